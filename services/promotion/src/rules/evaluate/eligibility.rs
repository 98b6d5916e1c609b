//! Eligibility of a promotion before its conditions: its dates and hours, its campaign, and its limits.

use promox_contract::promotion::RejectReason;
use promox_kernel::Timestamp;

use crate::rules::compile::Rule;
use crate::rules::evaluate::context::EvaluationContext;

/// Checks whether a promotion may apply now. The error is the reason why not.
pub(crate) fn check_eligibility(rule: &Rule, context: &EvaluationContext) -> Result<(), RejectReason> {
    if context.ignore_dates {
        rule.window.check_hours(context.now)?;
    } else {
        rule.window.check(context.now)?;
    }
    if let Some(campaign) = rule.campaign {
        let eligibility = context.campaigns.get(&campaign).ok_or(RejectReason::Paused)?;
        if let Some(reason) = eligibility.refused {
            return Err(reason);
        }
        if eligibility.left.is_some_and(|left| left.0 <= rust_decimal::Decimal::ZERO) {
            return Err(RejectReason::BudgetExhausted);
        }
    }
    match context.allowances.get(&rule.id).and_then(|allowance| allowance.exhausted) {
        Some(reason) => Err(reason),
        None => Ok(()),
    }
}

impl Rule {
    /// The period around `now` during which time does not change the rule's eligibility: its start and exclusive end.
    pub fn steady(&self, now: Timestamp) -> (Timestamp, Timestamp) {
        self.window.steady(now, self.needs().time)
    }

    /// Whether its dates, hours, campaign and limits let it apply now.
    pub fn applies_now(&self, context: &EvaluationContext) -> bool {
        check_eligibility(self, context).is_ok()
    }
}
