//! The tables of the promotion service.

use promox_contract::buyer::PersonKey;
use promox_contract::condition::{ItemFilter, Operator};
use promox_contract::ids::{CampaignId, OrderId, PromotionId};
use promox_kernel::{Amount, Json, Sku, Timestamp, UserId, text_enum};
use promox_storage::{Hold, HoldState, StoreError, Tx, record};
use serde::{Deserialize, Serialize};

use crate::rules::{self, ActionType, Basis, CountedBy, Part, Per, Scope, Tier};

text_enum! {
    /// The status of a promotion.
    PromotionStatus { Draft = "DRAFT", Active = "ACTIVE", Paused = "PAUSED", Archived = "ARCHIVED" }
}

text_enum! {
    /// The kind of a rule row: a group of conditions, a comparison, or an action.
    RuleKind { All = "ALL", Any = "ANY", Not = "NOT", Comparison = "COMPARISON", Action = "ACTION" }
}

record! {
    /// A promotion: its document and its status.
    pub(crate) struct Promotion in Promox.promotions = 530, key(id: PromotionId) {
        status: PromotionStatus,
        /// Its code in normal form; null once it is archived, which frees the code.
        code_key: Option<String>,
        campaign_id: Option<CampaignId>,
        /// The epoch of its last change. Only promotions changed since the compiled epoch are compiled again.
        changed: i64,
        document: Json<rules::Promotion>,
        version: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
    unique PromotionByCode = 531 (code_key);
    index PromotionByStatus = 532 (status, created_at);
    index PromotionByChange = 533 (changed);
    index PromotionByCampaign = 534 (campaign_id, created_at);
    index PromotionByCreated = 547 (created_at);
}

record! {
    /// A condition or an action of a promotion in typed columns, for SQL queries. It is derived from the promotion's
    /// document and written in the same transaction. Columns that do not apply to the kind or the action are null.
    pub(crate) struct RuleRow in Promox.promotion_rules = 541, key(promotion_id: PromotionId, position: u32) {
        kind: RuleKind,
        /// The JSON pointer of its place in the document, such as `/when/all/0` or `/actions/1`.
        pointer: String,
        /// The position of the group that contains a condition; null for the outermost condition and for actions.
        parent: Option<u32>,
        /// The field of a comparison, such as `cart.subtotal`.
        field: Option<String>,
        op: Option<Operator>,
        /// The value of a comparison.
        operand: Json<Option<serde_json::Value>>,
        /// The lines that a comparison or an action covers.
        items: Json<Option<ItemFilter>>,
        /// The effect of an action.
        action: Option<ActionType>,
        value: Option<Amount>,
        scope: Option<Scope>,
        per: Option<Per>,
        max_discount: Option<Amount>,
        max_units_per_line: Option<u32>,
        max_applications: Option<u32>,
        every: Option<u32>,
        size: Option<u32>,
        price: Option<Amount>,
        percent_off: Option<Amount>,
        amount_off: Option<Amount>,
        basis: Option<Basis>,
        sku: Option<Sku>,
        quantity: Option<u32>,
        buy: Json<Option<Part>>,
        get: Json<Option<Part>>,
        parts: Json<Option<Vec<Part>>>,
        tiers: Json<Option<Vec<Tier>>>,
    }
}

record! {
    /// The epoch of all promotions, incremented by every change that an evaluation could see.
    pub(crate) struct Epoch in Promox.promotion_epochs = 535, key(id: i64) {
        epoch: i64,
    }
}

record! {
    /// The counted uses of a promotion: in total, in a period, or by an address in a period. `spent` is counted only in
    /// total.
    pub(crate) struct Count in Promox.promotion_counts = 536, key(promotion_id: PromotionId, name: String) {
        uses: i64,
        spent: Amount,
        /// When its period ends; null for the total.
        ends_at: Option<Timestamp>,
    }
    index CountByEnd = 537 (ends_at);
}

/// A promotion's use in an order's hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct HeldUse {
    pub(crate) promotion_id: PromotionId,
    pub(crate) campaign_id: Option<CampaignId>,
    pub(crate) coupon_code: Option<String>,
    pub(crate) amount: Amount,
    /// The counters that it was counted in.
    pub(crate) counters: Vec<String>,
    /// The limits per person at the time, each with the start of its period.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) person_limits: Vec<(Timestamp, u32)>,
    /// Whether it counts for its person because of a limit that was added later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) counted_later: bool,
}

impl HeldUse {
    /// Whether it counts for its person: it has a [`PersonUse`] under each of the person's identifiers.
    pub(crate) fn counts_person(&self) -> bool {
        !self.person_limits.is_empty() || self.counted_later
    }
}

record! {
    /// The uses of an order.
    pub(crate) struct OrderUses in Promox.promotion_holds = 538, key(order_id: OrderId) {
        state: HoldState,
        user_id: Option<UserId>,
        /// The buyer's identifiers.
        person: Json<Vec<PersonKey>>,
        uses: Json<Vec<HeldUse>>,
        held_at: Timestamp,
        /// When they were released; null while they are active.
        ended_at: Option<Timestamp>,
        /// A digest of the shipping address.
        address: Option<String>,
    }
}

impl Hold for OrderUses {
    const KIND: &'static str = "promotion";
    type Reference = OrderId;

    fn of(tx: &Tx<'_>, order_id: &OrderId) -> Result<Vec<Self>, StoreError> {
        Ok(tx.get::<Self>(order_id)?.into_iter().collect())
    }
    fn state(&self) -> HoldState {
        self.state
    }
    fn set_state(&mut self, state: HoldState, at: Timestamp) {
        self.state = state;
        self.ended_at = (!state.is_live()).then_some(at);
    }
}

record! {
    /// An active use of a promotion with a limit per person, recorded under one of the person's identifiers. `person`
    /// is the name of a [`PersonKey`]. `exact` distinguishes persons with the same name; it is empty if nothing does.
    pub(crate) struct PersonUse in Promox.promotion_person_uses = 545,
        key(promotion_id: PromotionId, person: String, used_at: Timestamp, order_id: OrderId, exact: String)
    {
        /// When the last period that counts it ends; null if it counts permanently.
        ends_at: Option<Timestamp>,
    }
    index PersonUseByEnd = 546 (ends_at);
}

record! {
    /// A use of a promotion by a confirmed order, with the time of its reversal, if any.
    pub(crate) struct Use in Promox.promotion_usage_log = 539, key(promotion_id: PromotionId, order_id: OrderId) {
        user_id: Option<UserId>,
        campaign_id: Option<CampaignId>,
        coupon_code: Option<String>,
        amount: Amount,
        used_at: Timestamp,
        released_at: Option<Timestamp>,
    }
    index UseByTime = 548 (promotion_id, used_at);
}

record! {
    /// Codes that are about to be assigned to a promotion or to coupons. The row exists only until they are; one left
    /// behind by a crash expires.
    pub(crate) struct CodeClaim in Promox.code_claims = 540, key(owner: String) {
        by_promotion: bool,
        /// The codes in normal form.
        codes: Json<Vec<String>>,
        /// The first code of a range that is claimed as a whole, if any; all codes of the range have the same length.
        first: Option<String>,
        /// The last code of that range, inclusive.
        last: Option<String>,
        /// When the claim expires.
        until: Timestamp,
    }
}

record! {
    /// New limits of a promotion that are published once its earlier uses are counted for them. While the row exists,
    /// each new use counts for them too, but they refuse none.
    pub(crate) struct Recount in Promox.promotion_recounts = 549, key(promotion_id: PromotionId) {
        /// The order at which the next batch starts; null for the first one.
        next: Option<OrderId>,
        /// What the limits count; null in a row of an older version, for limits that are published already.
        counted: Option<Json<CountedBy>>,
        /// Distinguishes this count from others of the same promotion.
        token: Option<String>,
        /// When all earlier uses were counted; null until then.
        complete_at: Option<Timestamp>,
        /// When the row is removed unless the limits are published.
        until: Option<Timestamp>,
    }
}

impl CodeClaim {
    /// Returns whether the claim lists this code.
    pub(crate) fn names(&self, code: &String) -> bool {
        self.codes.contains(code)
    }

    /// Returns whether this code is in the claimed range.
    pub(crate) fn spans(&self, code: &String) -> bool {
        let within = |first: &String, last: &String| code.len() == first.len() && first <= code && code <= last;
        self.first.as_ref().zip(self.last.as_ref()).is_some_and(|(first, last)| within(first, last))
    }
}
