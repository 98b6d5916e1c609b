//! The rules engine: the language of promotions, its compiler and its evaluator.
//!
//! All of it is pure. A [`Promotion`] is what people write, with the conditions and schedules of
//! [`promox_contract::condition`]; [`Rule::compile`] checks it and points at every fault; a [`RuleSet`] orders and indexes
//! rules; [`evaluate`] works a [`Cart`] out under [`EvaluationContext`]. Cart, quote, calculate, order and backtest all call it,
//! so the same inputs give the same answer everywhere.
//!
//! What holds: discounts of a line never exceed what it costs, nor its floor; each promotion's shares sum to its amount;
//! a budget, the store's cap and a limit are never passed; what does not apply changes nothing. Each unit keeps an exact price
//! of its own, so how the units of a SKU stand in lines changes nothing but the rounding of a line and action.

mod actions;
mod catalogue;
mod compile;
mod evaluate;
mod language;
mod minor_units;
#[cfg(test)]
pub(crate) mod tests;

pub use catalogue::index::RuleSet;
pub use compile::Rule;
pub use compile::needs::Needs;
pub use evaluate::cart::{Cart, Line, LineInput};
pub use evaluate::context::{Allowance, CampaignStanding, Detail, EvaluationContext, GiftStock, NamedCode};
pub use evaluate::evaluate;
pub use evaluate::limits::{Counted, Counter, Counting, PersonLimit, TOTAL};
pub use language::action::{ActionSpec, ActionType, Basis, Part, Per, Scope, Stage, Tier};
pub use language::promotion::{CountedPer, Limits, Period, PeriodLimit, Promotion, Stacking, StackingMode, WhenShort};
pub(crate) use minor_units::{to_amount, to_minor};
pub use promox_contract::coupon::normal_code;
