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
    /// The status of a campaign.
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
    /// The reason of a status change.
    MoveReason {
        /// It was created.
        Created = "CREATED",
        /// A user requested it.
        Requested = "REQUESTED",
        /// Its scheduled time was reached.
        Schedule = "SCHEDULE",
        /// Its budget was spent.
        Budget = "BUDGET",
    }
}

record! {
    /// A campaign, with the amounts used of its budget.
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
        /// The amounts of confirmed orders.
        spent: Amount,
        /// The amounts of orders in progress.
        held: Amount,
        /// The segments of which a customer must be in any; empty for everyone.
        audience: Json<Vec<SegmentId>>,
        /// When its next scheduled transition is due.
        due_at: Option<Timestamp>,
        /// When it first became ACTIVE.
        started_at: Option<Timestamp>,
        /// The number of transitions, which is also the number of the latest one.
        moves: i64,
        /// The version; it increases with edits and transitions, but not with orders.
        version: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
    index CampaignByDue = 501 (due_at);
    index CampaignByStatus = 502 (status, created_at);
    index CampaignByCreated = 511 (created_at);
}

record! {
    /// A transition of a campaign, numbered from 1 per campaign. It is never changed.
    pub(crate) struct Move in Promox.campaign_history = 503, key(campaign_id: CampaignId, number: i64) {
        from: Option<CampaignStatus>,
        to: CampaignStatus,
        reason: MoveReason,
        by: Option<UserId>,
        /// The scheduled time, if it was a scheduled transition.
        due_at: Option<Timestamp>,
        at: Timestamp,
    }
}

record! {
    /// The amount of a campaign's budget that an order uses.
    pub(crate) struct BudgetUse in Promox.campaign_budget_uses = 504, key(order_id: OrderId, campaign_id: CampaignId) {
        amount: Amount,
        state: HoldState,
        held_at: Timestamp,
        /// When it was spent or released; null while it is held.
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
    /// A group of customers, defined by a rule or by a list whose members also have rows of their own.
    pub(crate) struct Segment in Promox.segments = 507, key(id: SegmentId) {
        name: String,
        rule: Option<Json<Condition>>,
        user_ids: Option<Json<Vec<UserId>>>,
        /// The currency of the amounts in the rule.
        currency: Currency,
        version: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
    unique SegmentByName = 508 (name);
}

record! {
    /// An account in a segment with a list.
    pub(crate) struct Member in Promox.segment_members = 509, key(user_id: UserId, segment_id: SegmentId) {
        at: Timestamp,
    }
}

record! {
    /// Counts changes of segments, so that nodes know when their compiled segments are stale.
    pub(crate) struct Epoch in Promox.campaign_epochs = 510, key(name: String) {
        epoch: i64,
    }
}
