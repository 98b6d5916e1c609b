//! Compiles promotions: checks each member and builds the rule that is evaluated.

pub(crate) mod actions;
pub(crate) mod anchor;
pub(crate) mod needs;

use promox_contract::condition::{Condition, Subject, Test};
use promox_contract::coupon::normal_code;
use promox_contract::ids::{CampaignId, PromotionId};
use promox_kernel::{Amount, Currency, FieldError, bounded};

use crate::rules::actions::action::Action;
use crate::rules::compile::actions::read_action;
use crate::rules::compile::anchor::{Anchor, anchor, least_subtotal};
use crate::rules::compile::needs::{Needs, needs};
use crate::rules::language::action::Stage;
use crate::rules::language::faults::DocumentFaults;
use crate::rules::language::filter::Filter;
use crate::rules::language::promotion::{Limits, PeriodLimit, Promotion, StackingMode, WhenShort};
use crate::rules::language::schedule::Window;

/// The most actions of a promotion.
const MAX_ACTIONS: usize = 8;

/// The most periodic limits of a promotion.
const MAX_PERIODS: usize = 8;

/// The largest priority, and the lowest with its sign changed.
const MAX_PRIORITY: i32 = 1_000_000;

/// A compiled promotion.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a member of the language")]
pub struct Rule {
    pub(crate) id: PromotionId,
    pub(crate) name: String,
    pub(crate) code: Option<String>,
    pub(crate) code_key: Option<String>,
    pub(crate) coupon_only: bool,
    pub(crate) campaign: Option<CampaignId>,
    pub(crate) stage: Stage,
    pub(crate) priority: i32,
    pub(crate) exclusive: bool,
    pub(crate) group: Option<String>,
    pub(crate) include_flash: bool,
    pub(crate) window: Window,
    pub(crate) when: Option<Test<Filter>>,
    pub(crate) actions: Vec<Action>,
    pub(crate) limits: Limits,
    pub(crate) budget: Option<i64>,
    pub(crate) give_rest: bool,
    pub(crate) anchor: Anchor,
    /// The least subtotal of goods that its conditions require.
    pub(crate) least_subtotal: i64,
    /// Whether it may be offered to a cart that falls short of its conditions.
    pub(crate) may_be_offered: bool,
    needs: Needs,
}

impl Rule {
    /// Compiles the promotion at `pointer` of the request. The error lists every fault with its pointer.
    pub fn compile(
        id: PromotionId,
        promotion: &Promotion,
        currency: Currency,
        pointer: &str,
    ) -> Result<Self, Vec<FieldError>> {
        let mut faults = DocumentFaults::new(pointer, currency);
        check_head(promotion, &mut faults);
        let window = Window::of(promotion, &mut faults);
        let when = promotion.when.as_ref().and_then(|when| read_condition(when, promotion.stage, &mut faults));
        let actions = read_actions(promotion, &mut faults);
        let limits = promotion.limits.clone().unwrap_or_default();
        let budget = check_limits(promotion, &mut faults);
        if !faults.is_empty() {
            return Err(faults.into_list());
        }
        let named = promotion.code.is_some() || promotion.coupon_only;
        Ok(Self {
            id,
            name: promotion.name.trim().to_owned(),
            code: promotion.code.clone(),
            code_key: promotion.code.as_deref().map(normal_code),
            coupon_only: promotion.coupon_only,
            campaign: promotion.campaign_id,
            stage: promotion.stage,
            priority: promotion.priority,
            exclusive: promotion.stacking_mode() == StackingMode::Exclusive,
            group: promotion.stacking.group.clone(),
            include_flash: promotion.include_flash,
            window,
            anchor: if named { Anchor::Named } else { anchor(when.as_ref(), &actions) },
            least_subtotal: least_subtotal(when.as_ref()),
            may_be_offered: !named && may_be_offered(when.as_ref()),
            needs: needs(when.as_ref(), &actions, &limits),
            when,
            actions,
            budget,
            give_rest: limits.when_short == Some(WhenShort::GiveRest),
            limits,
        })
    }

    /// Its id.
    pub fn id(&self) -> PromotionId {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The budget: the most it may grant in all.
    pub fn budget_amount(&self) -> Option<Amount> {
        self.limits.budget
    }

    /// Its campaign.
    pub fn campaign(&self) -> Option<CampaignId> {
        self.campaign
    }

    /// What has to be looked up for it.
    pub fn needs(&self) -> &Needs {
        &self.needs
    }
}

fn check_head(document: &Promotion, faults: &mut DocumentFaults) {
    if let Err(fault) = bounded(&document.name, 1, 200) {
        faults.note("/name", fault);
    }
    if let Some(code) = &document.code {
        check_code(code, faults);
    }
    if !(-MAX_PRIORITY..=MAX_PRIORITY).contains(&document.priority) {
        faults.note("/priority", format!("must be from -{MAX_PRIORITY} to {MAX_PRIORITY}"));
    }
    if let Some(group) = &document.stacking.group {
        if let Err(fault) = bounded(group, 1, 64) {
            faults.note("/stacking/group", fault);
        }
        if document.stacking_mode() == StackingMode::Exclusive {
            faults.note("/stacking/group", "an EXCLUSIVE promotion must not be in a group");
        }
    }
    if document.stage == Stage::Catalog {
        check_catalogue_rule(document, faults);
    }
}

fn check_code(code: &str, faults: &mut DocumentFaults) {
    let normal = normal_code(code);
    let printable = code.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    if normal.is_empty() || code.chars().count() > 64 || !printable {
        faults.note("/code", "must be 1 to 64 letters, digits and signs, spaces, - and _ not counted");
    }
}

/// Reports members that a price rule cannot have: everybody pays catalogue prices, so they have no codes, and no use is
/// counted.
fn check_catalogue_rule(document: &Promotion, faults: &mut DocumentFaults) {
    if document.code.is_some() {
        faults.note("/code", "a price rule must not have a code");
    }
    if document.coupon_only {
        faults.note("/couponOnly", "a price rule must not be couponOnly");
    }
    if document
        .limits
        .as_ref()
        .is_some_and(|limits| *limits != Limits { when_short: limits.when_short, ..Limits::default() })
    {
        faults.note("/limits", "a price rule must not have limits; give it a campaign with a budget instead");
    }
    if document.include_flash {
        faults.note("/includeFlash", "price rules do not apply to flash sales");
    }
}

fn read_condition(when: &Condition, stage: Stage, faults: &mut DocumentFaults) -> Option<Test<Filter>> {
    let subject = if stage == Stage::Catalog { Subject::Shelf } else { Subject::Cart };
    let currency = faults.currency;
    faults.read(|at| Test::read(when, &format!("{at}/when"), subject, currency))
}

fn read_actions(document: &Promotion, faults: &mut DocumentFaults) -> Vec<Action> {
    if !(1..=MAX_ACTIONS).contains(&document.actions.len()) {
        faults.note("/actions", format!("must have 1 to {MAX_ACTIONS} actions"));
    }
    let read = |(i, action)| read_action(action, document.stage, &format!("/actions/{i}"), faults);
    document.actions.iter().enumerate().filter_map(read).collect()
}

fn check_limits(document: &Promotion, faults: &mut DocumentFaults) -> Option<i64> {
    let limits = document.limits.as_ref()?;
    for (pointer, count) in [("/limits/total", limits.total), ("/limits/perUser", limits.per_user)] {
        if count == Some(0) {
            faults.note(pointer, "must be at least 1");
        }
    }
    if limits.periods.len() > MAX_PERIODS {
        faults.note("/limits/periods", format!("must have at most {MAX_PERIODS} periodic limits"));
    }
    for (i, period) in limits.periods.iter().enumerate() {
        if period.count == 0 {
            faults.note(&format!("/limits/periods/{i}/count"), "must be at least 1");
        }
        let same = |other: &PeriodLimit| (other.per, other.period) == (period.per, period.period);
        if limits.periods.iter().take(i).any(same) {
            faults.note(
                &format!("/limits/periods/{i}"),
                "another limit has the same period and scope: keep the lower one",
            );
        }
    }
    faults.optional_amount("/limits/budget", limits.budget)
}

fn may_be_offered(when: Option<&Test<Filter>>) -> bool {
    let mut may = false;
    if let Some(when) = when {
        when.leaves(&mut |leaf| {
            may |= leaf.field.is_of_goods() || leaf.field.is_of_items();
        });
    }
    may
}
