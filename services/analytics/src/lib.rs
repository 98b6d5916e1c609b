//! Analytics: what was sold, to how many, by which promotions, and how it compares: figures of any period, at once.
//!
//! Tables: `analytics_entries` (what each order, refund, credit note, redemption, point and visit adds at its time), the
//! roll-ups of them by hour, day and month (`analytics_rollups`, `analytics_products`, `analytics_buyers`,
//! `promotion_analytics`, `campaign_analytics`, `flash_sale_analytics`), `analytics_refunds` and `analytics_firsts`
//! (what entries follow from), `analytics_customers` and `analytics_skus` (their numbers),
//! `analytics_visits` (visits that may still go on), `analytics_generations` (how far the event logs were followed).
//!
//! What always holds:
//! - every roll-up is the sum of the entries in its bucket; a place in a log moves in the transaction of its effect;
//! - an entry says what its order says at the same position; the same events make the same rows, however often and in
//!   whichever batches they come, so that a rebuild ends where the rows were;
//! - buckets are of UTC, and what no bucket covers is read entry by entry: every period is exact, in every zone.
//!
//! Deliberately absent: deciding anything. Nobody waits for analytics, and no person's name, address or session is kept.

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
    /// What the shop told.
    shop: EventLog,
    /// What the promotion engine told, in whose database the figures are.
    own: EventLog,
    places: Mutex<Places>,
    /// One at a time follows.
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
            listeners: Listeners::at_most(stream::MOST_LISTENERS),
        })
    }

    /// Makes every figure anew from the event logs, at once: for the command line, where nothing runs by the clock. `told`
    /// hears how many events of how many were followed.
    pub async fn rebuild(&self, cx: &Cx, mut told: impl FnMut(u64, u64)) -> Result<(), Error> {
        self.begin_rebuild(cx).await?;
        while let Some(rebuild) = self.state().await?.rebuild {
            let (done, all) = rebuild.events();
            told(done, all);
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
