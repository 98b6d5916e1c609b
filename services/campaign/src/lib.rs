//! Campaigns: what promotions, flash sales and coupons run under — when, for whom, and on which budget.
//!
//! Tables: `campaigns`, `campaign_history` (every move of the state machine), `campaign_budget_uses` (what each order holds of
//! a budget), `segments` and `segment_members` (which customers belong together), `campaign_epochs` (counts changes of what is
//! kept compiled).
//!
//! What always holds:
//! - a campaign's history is a path of the graph in `rules/machine.rs`, and ends where the campaign stands;
//! - SCHEDULED and ACTIVE campaigns move at their times. The clock decides what applies, the row follows within a second and
//!   after a stop in the order in which the times came;
//! - spent = what confirmed orders took, held = what orders in flight took, spent + held ≤ budget: checked and taken in one
//!   transaction. Holds make it exhausted for others; when what is spent reaches the budget, the campaign ends;
//! - an order holds budgets once and gives them back once. One that gave back does not hold again;
//! - a segment is either a rule over customers or a list of accounts, and is not deleted while a campaign has it as audience.
//!
//! Whether what belongs to a campaign may apply is decided by who asks: this service says how it stands.

mod api;
mod audit;
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
    /// The service on its database.
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
        vec![jobs::keep_time(self)]
    }

    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        audit::audit(tx, report)
    }
}
