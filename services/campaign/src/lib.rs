//! Campaigns: the period, audience and budget of promotions, flash sales and coupons.
//!
//! Tables: `campaigns`, `campaign_history` (every transition), `campaign_budget_uses` (the amount of a budget that each
//! order uses), `segments` and `segment_members` (groups of customers), `campaign_epochs` (counts changes of segments,
//! which are cached in compiled form).
//!
//! Invariants:
//! - a campaign's history follows the transitions in `rules/machine.rs` and ends in its status;
//! - SCHEDULED and ACTIVE campaigns change status at their times. Whether a campaign applies is decided by the clock;
//!   its row follows within a second, or after a restart in the order of the times;
//! - spent = amounts of confirmed orders, held = amounts of orders in progress, spent + held ≤ budget, which is
//!   checked in the transaction that holds the amount. Held amounts are not available to other orders; when the spent
//!   amount reaches the budget, the campaign ends;
//! - an order holds budgets once and releases them once. After a release it cannot hold again;
//! - a segment is defined either by a rule or by a list of accounts, and cannot be deleted while it is in the audience
//!   of a campaign.
//!
//! This service reports the status of campaigns. The services whose promotions or sales belong to a campaign decide
//! what applies.

mod api;
mod audit;
mod checks;
mod commands;
mod events;
mod facts;
mod handlers;
mod jobs;
mod queries;
mod records;
mod reject;
mod rules;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use promox_contract::campaign::{GetCampaignStates, GetCustomerSegments, HoldBudgets, ReleaseBudgets};
use promox_kernel::{Job, Registry, register};
use promox_storage::{Consumer, Database, Db, Record, Report, Service, StoreError, TableDef, Tx};

pub use api::*;
pub use records::{CampaignStatus, MoveReason, SegmentId};

/// The campaign service.
#[derive(Debug)]
pub struct Campaigns {
    db: Db,
    segments: Arc<queries::SegmentCache>,
}

impl Campaigns {
    /// Creates the service with its database.
    pub fn new(db: Db) -> Arc<Self> {
        Arc::new(Self { db, segments: Arc::default() })
    }
}

impl Service for Campaigns {
    const NAME: &'static str = "campaign";
    const DATABASE: Database = Database::Promox;
    const TABLES: &'static [&'static TableDef] = &[
        records::Campaign::TABLE,
        records::Move::TABLE,
        records::BudgetUse::TABLE,
        records::Segment::TABLE,
        records::Member::TABLE,
        records::Epoch::TABLE,
    ];

    fn register(self: &Arc<Self>, registry: &mut Registry) {
        register!(registry, self; ListCampaigns, CreateCampaign, GetCampaign, UpdateCampaign, DeleteCampaign);
        register!(registry, self; ListHistory, MoveCampaign);
        register!(registry, self; ListSegments, CreateSegment, GetSegment, UpdateSegment, DeleteSegment);
        register!(registry, self; GetCampaignStates, GetCustomerSegments, ReleaseBudgets);
        promox_storage::register_transactions!(registry, self; HoldBudgets);
    }

    fn consumers(self: &Arc<Self>) -> Vec<Arc<dyn Consumer>> {
        vec![Arc::new(events::PostBudgets)]
    }

    fn jobs(self: &Arc<Self>) -> Vec<Job> {
        vec![jobs::run_due_transitions(self)]
    }

    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        audit::audit(tx, report)
    }
}
