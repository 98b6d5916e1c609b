//! Analytics: sales, customers, promotions, comparisons: the figures of any period, at once.
//!
//! Tables: `analytics_entries` (what each order, refund, credit note, redemption, point and visit adds at its time),
//! their roll-ups by hour, day and month (`analytics_rollups`, `analytics_products`, `analytics_buyers`,
//! `promotion_analytics`, `campaign_analytics`, `flash_sale_analytics`), `analytics_refunds` and `analytics_firsts`
//! (from which entries are derived), `analytics_customers` and `analytics_skus` (their numbers), `analytics_visits`
//! (visits that may continue), `analytics_generations` (positions in the event logs).
//!
//! Invariants:
//! - every roll-up is the sum of the entries in its bucket; a position in a log moves in the transaction of its effect;
//! - an entry matches its order at the same position; the same events give the same rows, however often and in whichever
//!   batches they come, so that a rebuild ends with the same rows;
//! - buckets are in UTC, and what no bucket covers is read entry by entry: every period is exact, in every zone.
//!
//! Deliberately absent: decisions. Nothing waits for analytics, and no person's name, address or session is stored.

pub mod api;
mod audit;
mod commands;
mod dashboard;
mod events;
mod follow;
mod handlers;
mod jobs;
mod queries;
mod records;
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
use crate::follow::Places;

/// The analytics service.
#[derive(Debug)]
pub struct Analytics {
    db: Db,
    /// The shop's event log.
    shop: EventLog,
    /// The event log of the promotion engine, whose database has the figures.
    own: EventLog,
    places: Mutex<Places>,
    /// Only one task follows at a time.
    following: tokio::sync::Mutex<()>,
    listeners: Listeners<(), stream::Figures>,
}

impl Analytics {
    /// The service on its database, following its own event log and the shop's.
    pub fn new(db: Db, shop: EventLog) -> Arc<Self> {
        let own = EventLog::of(&db);
        Arc::new(Self {
            db,
            shop,
            own,
            places: Mutex::default(),
            following: tokio::sync::Mutex::default(),
            listeners: Listeners::at_most(stream::MAX_LISTENERS),
        })
    }

    /// Rebuilds every figure from the event logs, immediately: for the command line, where no jobs run. `progress` gets the
    /// number of followed events and their total.
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
