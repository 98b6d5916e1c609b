//! Analytics: figures of sales, customers and promotions for any period.
//!
//! Tables:
//! - `analytics_entries`: the contribution of each order, refund, credit note, redemption, change of points and visit,
//!   with its time.
//! - `analytics_rollups`, `analytics_products`, `analytics_buyers`, `promotion_analytics`, `campaign_analytics` and
//!   `flash_sale_analytics`: the roll-ups of the entries by hour, day and month.
//! - `analytics_refunds` and `analytics_firsts`: rows from which entries are derived.
//! - `analytics_customers` and `analytics_skus`: the numbers of customers and SKUs.
//! - `analytics_visits`: visits that may continue.
//! - `analytics_generations`: the positions in the event logs.
//!
//! Invariants:
//! - Every roll-up is the sum of the entries in its bucket. A position in a log moves in the transaction of its effect.
//! - An entry matches its order at the same position. The same events produce the same rows, however often and in
//!   whichever batches they are followed, so that a rebuild ends with the same rows.
//! - Buckets are in UTC, and times that no bucket covers are read entry by entry, so that every period is exact in every
//!   zone.
//!
//! Nothing waits for analytics and no decision depends on it. No person's name, address or session is stored.

pub mod api;
mod audit;
mod commands;
mod dashboard;
mod events;
mod follow;
mod handlers;
mod jobs;
mod queries;
mod rebuild;
mod records;
mod reports;
mod rules;
mod stream;
pub mod table;
#[cfg(test)]
mod tests;
mod views;

use std::sync::Arc;

use parking_lot::Mutex;
use promox_kernel::{Cx, Error, Job, Listeners, Registry, register};
use promox_storage::{Database, Db, EventLog, Record, Report, Service, StoreError, TableDef, Tx};

use crate::api::{
    FollowFigures, GetCampaignFigures, GetFunnel, GetPromotionFigures, GetRfm, GetState, GetSummary, ListSeries,
    ListTopProducts, Rebuild, RecordEvent,
};
use crate::follow::Positions;

/// The analytics service.
#[derive(Debug)]
pub struct Analytics {
    db: Db,
    /// The shop's event log.
    shop: EventLog,
    /// The event log of the promotion engine, whose database also stores the figures.
    own: EventLog,
    positions: Mutex<Positions>,
    /// Held by the one task that follows the logs.
    following: tokio::sync::Mutex<()>,
    listeners: Listeners<(), stream::Figures>,
}

impl Analytics {
    /// The service on its database. It follows the event log of that database and the shop's log.
    pub fn new(db: Db, shop: EventLog) -> Arc<Self> {
        let own = EventLog::of(&db);
        Arc::new(Self {
            db,
            shop,
            own,
            positions: Mutex::default(),
            following: tokio::sync::Mutex::default(),
            listeners: Listeners::at_most(stream::MAX_LISTENERS),
        })
    }

    /// Rebuilds all figures from the event logs and returns when they are complete: for the command line, where no jobs
    /// run. `progress` receives the number of events followed so far and their total.
    pub async fn rebuild(&self, cx: &Cx, mut progress: impl FnMut(u64, u64)) -> Result<(), Error> {
        self.begin_rebuild(cx).await?;
        while let Some(rebuild) = self.state().await?.rebuild {
            let (done, all) = rebuild.events();
            progress(done, all);
            self.follow(cx).await?;
        }
        Ok(())
    }
}

impl Service for Analytics {
    const NAME: &'static str = "analytics";
    const DATABASE: Database = Database::Promox;
    const TABLES: &'static [&'static TableDef] = &[
        records::Generation::TABLE,
        records::Entry::TABLE,
        records::Refunded::TABLE,
        records::First::TABLE,
        records::Rollup::TABLE,
        records::ProductRollup::TABLE,
        records::BuyerRollup::TABLE,
        records::PromotionRollup::TABLE,
        records::CampaignRollup::TABLE,
        records::FlashRollup::TABLE,
        records::Customer::TABLE,
        records::NumberedSku::TABLE,
        records::Visit::TABLE,
    ];

    fn register(self: &Arc<Self>, registry: &mut Registry) {
        register!(registry, self; GetSummary, ListSeries, ListTopProducts, GetFunnel, GetRfm, GetPromotionFigures);
        register!(registry, self; GetCampaignFigures, FollowFigures, RecordEvent, GetState, Rebuild);
    }

    fn jobs(self: &Arc<Self>) -> Vec<Job> {
        jobs::all(self)
    }

    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        audit::audit(tx, report)
    }
}
