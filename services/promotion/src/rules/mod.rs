//! The rules engine: the language of promotions, its compiler and its evaluator.
//!
//! It is pure. A [`Promotion`] is a document, with the conditions and schedules of [`promox_contract::condition`].
//! [`Rule::compile`] checks it and reports every fault with a pointer. A [`RuleSet`] orders and indexes rules.
//! [`evaluate`] applies them to a [`Cart`] in an [`EvaluationContext`]. Cart, quote, calculate, order and backtest all
//! call it, so equal inputs give equal results everywhere.
//!
//! Invariants: discounts never take a line below zero or its floor price; the shares of a promotion sum to its amount;
//! budgets, limits and the store's cap are never exceeded; a promotion that does not apply changes nothing. Each unit
//! has an exact price of its own, so splitting the units of a SKU into lines affects only the rounding of each line and
//! action.

mod actions;
mod catalog;
mod compile;
mod evaluate;
mod language;
mod minor_units;
#[cfg(test)]
pub(crate) mod tests;

pub use catalog::index::RuleSet;
pub use compile::Rule;
pub use compile::needs::Needs;
pub use evaluate::cart::{Cart, Line, LineInput};
pub use evaluate::context::{Allowance, CampaignEligibility, Detail, EvaluationContext, GiftStock, NamedCode};
pub use evaluate::evaluate;
pub(crate) use evaluate::limits::later;
pub use evaluate::limits::{CountedBuyer, CountedBy, Counter, Counting, PersonLimit, TOTAL};
pub(crate) use language::action::Members;
pub use language::action::{ActionSpec, ActionType, Basis, Effect, Part, Per, Scope, Stage, Tier};
pub use language::promotion::{CountedPer, Limits, Period, PeriodLimit, Promotion, Stacking, StackingMode, WhenShort};
pub(crate) use minor_units::{to_amount, to_minor};
pub use promox_contract::coupon::normal_code;
