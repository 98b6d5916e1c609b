//! A promotion as a document: its JSON form, which is also the form in which it is stored.

use promox_contract::condition::{Condition, Schedule};
use promox_contract::ids::CampaignId;
use promox_kernel::{Amount, Sku, Timestamp, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules::language::action::{ActionSpec, Effect, Gift, Members, Stage};

text_enum! {
    /// How a promotion combines with others.
    StackingMode { Stackable = "STACKABLE", Exclusive = "EXCLUSIVE" }
}

text_enum! {
    /// What happens when the remaining budget is less than the discount.
    WhenShort { Refuse = "REFUSE", GiveRest = "GIVE_REST" }
}

text_enum! {
    /// What a periodic limit counts by.
    CountedPer { User = "USER", Email = "EMAIL", Address = "ADDRESS", Total = "TOTAL" }
}

text_enum! {
    /// The period of a limit, in the promotion's time zone.
    Period { Day = "DAY", Week = "WEEK", Month = "MONTH" }
}

/// A promotion in the rules language.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("required" = ["name", "actions"]))]
pub struct Promotion {
    /// The caller's own id, allowed only in `promotions[]` of `calculate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    /// The name. It is required; a missing name is reported together with other faults.
    #[serde(default)]
    pub name: String,
    /// The code that activates it; null for an automatic one.
    #[serde(default)]
    pub code: Option<String>,
    /// Whether it applies only through its coupons.
    #[serde(default)]
    pub coupon_only: bool,
    /// The campaign that it belongs to, if any. It applies only while the campaign runs.
    #[serde(default)]
    pub campaign_id: Option<CampaignId>,
    /// The stage that it applies in; `CART` by default.
    #[serde(default = "cart")]
    pub stage: Stage,
    /// Higher priorities apply first.
    #[serde(default)]
    pub priority: i32,
    /// How it combines with other promotions.
    #[serde(default)]
    pub stacking: Stacking,
    /// Whether it discounts lines of flash sales.
    #[serde(default)]
    pub include_flash: bool,
    /// When it starts.
    #[serde(default)]
    pub starts_at: Option<Timestamp>,
    /// When it ends, exclusive.
    #[serde(default)]
    pub ends_at: Option<Timestamp>,
    /// The IANA time zone of its schedule, conditions and periods.
    #[serde(default = "utc")]
    pub timezone: String,
    /// The hours of the week in which it applies.
    #[serde(default)]
    pub schedule: Option<Schedule>,
    /// The conditions.
    #[serde(default)]
    pub when: Option<Condition>,
    /// Its actions, in order; 1 to 8.
    #[serde(default)]
    pub actions: Vec<ActionSpec>,
    /// Its limits.
    #[serde(default)]
    pub limits: Option<Limits>,
}

fn cart() -> Stage {
    Stage::Cart
}

fn utc() -> String {
    "UTC".to_owned()
}

/// How a promotion combines with others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stacking {
    /// The mode. The default is `EXCLUSIVE` in stage `CATALOG`, otherwise `STACKABLE`.
    #[serde(default)]
    pub mode: Option<StackingMode>,
    /// The group. Of the stackable promotions of a group, only the one with the largest discount applies.
    #[serde(default)]
    pub group: Option<String>,
}

/// Limits on the uses of a promotion.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// The maximum number of uses in total.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u32>,
    /// The maximum number of uses per person, identified by account and normalised e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_user: Option<u32>,
    /// The budget: the maximum cost of all uses together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Amount>,
    /// What happens when the remaining budget is less than the discount; `REFUSE` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_short: Option<WhenShort>,
    /// Limits by day, week or month.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub periods: Vec<PeriodLimit>,
}

/// A limit on uses in a period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeriodLimit {
    /// What uses are counted by.
    pub per: CountedPer,
    /// The period.
    pub period: Period,
    /// The maximum number of uses in the period.
    pub count: u32,
}

impl Promotion {
    /// Its stacking mode, or the default of its stage.
    pub fn stacking_mode(&self) -> StackingMode {
        let default = if self.stage == Stage::Catalog { StackingMode::Exclusive } else { StackingMode::Stackable };
        self.stacking.mode.unwrap_or(default)
    }

    /// The promotion with all defaults filled in, as it is stored and shown.
    #[must_use]
    pub fn with_defaults(mut self) -> Self {
        self.id = None;
        self.stacking.mode = Some(self.stacking_mode());
        let stage = self.stage;
        for action in &mut self.actions {
            action.fill_defaults(stage);
        }
        if let Some(limits) = &mut self.limits {
            limits.when_short.get_or_insert(WhenShort::Refuse);
        }
        self
    }

    /// Whether a condition or an action names this category.
    pub(crate) fn names_category(&self, id: i64) -> bool {
        let acts_on =
            |action: &ActionSpec| Members::from(action.clone()).filters_mut().any(|filter| filter.names_category(id));
        self.when.as_ref().is_some_and(|when| when.names_category(id)) || self.actions.iter().any(acts_on)
    }

    /// Replaces a category in all conditions and actions.
    pub(crate) fn replace_category(&mut self, id: i64, by: i64) {
        if let Some(when) = &mut self.when {
            when.replace_category(id, by);
        }
        for action in &mut self.actions {
            action.change(|members| members.filters_mut().for_each(|filter| filter.replace_category(id, by)));
        }
    }

    /// The gifts it grants, each with the index of its action.
    pub(crate) fn gifts(&self) -> impl Iterator<Item = (usize, &Sku)> {
        self.actions.iter().enumerate().filter_map(|(i, action)| match &action.effect {
            Effect::Gift(Gift { sku: Some(sku), .. }) => Some((i, sku)),
            _ => None,
        })
    }
}
