//! The tables of campaigns and segments.

use promox_contract::condition::{Condition, Schedule};
use promox_contract::ids::{CampaignId, OrderId};
use promox_kernel::{Amount, Currency, Json, Timestamp, UserId, text_enum};
use promox_storage::{Hold, HoldState, StoreError, Tx, record};

promox_kernel::id! {
    /// A segment of customers.
    SegmentId
}

text_enum! {
    /// Where a campaign stands.
    CampaignStatus {
        Draft = "DRAFT",
        Scheduled = "SCHEDULED",
        Active = "ACTIVE",
        Paused = "PAUSED",
        Ended = "ENDED",
        Cancelled = "CANCELLED",
    }
}

text_enum! {
    /// Why a campaign moved.
    MoveReason {
        /// It was made.
        Created = "CREATED",
        /// Somebody asked for it.
        Requested = "REQUESTED",
        /// Its time had come.
        Schedule = "SCHEDULE",
        /// Its budget was spent.
        Budget = "BUDGET",
    }
}

record! {
    /// A campaign, and what is taken of its budget.
    pub(crate) struct Campaign in Promox.campaigns = 500, key(id: CampaignId) {
        name: String,
        description: String,
        status: CampaignStatus,
        starts_at: Option<Timestamp>,
        ends_at: Option<Timestamp>,
        timezone: String,
        schedule: Option<Json<Schedule>>,
        budget: Option<Amount>,
        currency: Currency,
        /// What confirmed orders took.
        spent: Amount,
        /// What orders in flight took.
        held: Amount,
        /// Segments, any of which a customer must be in; empty for everybody.
        audience: Json<Vec<SegmentId>>,
        /// When it moves by itself next.
        due_at: Option<Timestamp>,
        /// When it was ACTIVE first.
        started_at: Option<Timestamp>,
        /// How many moves there are: the number of the newest.
        moves: i64,
        /// Counts edits and moves; orders are none.
        version: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
    index CampaignByDue = 501 (due_at);
    index CampaignByStatus = 502 (status, created_at);
    index CampaignByCreated = 511 (created_at);
}

record! {
    /// A move of a campaign, numbered from 1 for each; never changed.
    pub(crate) struct Move in Promox.campaign_history = 503, key(campaign_id: CampaignId, number: i64) {
        from: Option<CampaignStatus>,
        to: CampaignStatus,
        reason: MoveReason,
        by: Option<UserId>,
        /// When its time had come, if it moved by itself.
        due_at: Option<Timestamp>,
        at: Timestamp,
    }
}

record! {
    /// What an order takes of a campaign's budget.
    pub(crate) struct BudgetUse in Promox.campaign_budget_uses = 504, key(order_id: OrderId, campaign_id: CampaignId) {
        amount: Amount,
        state: HoldState,
        held_at: Timestamp,
        /// When it was spent or given back last.
        changed_at: Option<Timestamp>,
    }
}

impl Hold for BudgetUse {
    const KIND: &'static str = "budget";
    type Reference = OrderId;

    fn of(tx: &Tx<'_>, order_id: &OrderId) -> Result<Vec<Self>, StoreError> {
        tx.scan::<Self>().prefix(*order_id).rows().collect()
    }
    fn state(&self) -> HoldState {
        self.state
    }
    fn set_state(&mut self, state: HoldState, at: Timestamp) {
        (self.state, self.changed_at) = (state, Some(at));
    }
}

record! {
    /// Customers that belong together: by a rule, or by a list whose members have rows of their own too.
    pub(crate) struct Segment in Promox.segments = 507, key(id: SegmentId) {
        name: String,
        rule: Option<Json<Condition>>,
        user_ids: Option<Json<Vec<UserId>>>,
        /// Of the amounts in the rule.
        currency: Currency,
        version: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
    unique SegmentByName = 508 (name);
}

record! {
    /// An account in a listed segment.
    pub(crate) struct Member in Promox.segment_members = 509, key(user_id: UserId, segment_id: SegmentId) {
        at: Timestamp,
    }
}

record! {
    /// Counts changes of segments, so that what is compiled from them knows when it is stale.
    pub(crate) struct Epoch in Promox.campaign_epochs = 510, key(name: String) {
        epoch: i64,
    }
}
