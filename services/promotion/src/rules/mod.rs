//! The rules engine: the language of promotions, its compiler and its evaluator.
//!
//! All of it is pure. A [`Promotion`] is what people write, with the conditions and schedules of
//! [`promox_contract::condition`]; [`Rule::compile`] checks it and points at every fault; a [`RuleSet`] orders and indexes
//! rules; [`evaluate`] works a [`Cart`] out under [`Circumstances`]. Cart, quote, calculate, order and backtest all call it,
//! so the same inputs give the same answer everywhere.
//!
//! What holds: discounts of a line never exceed what it costs, nor its floor; each promotion's shares sum to its amount;
//! a budget, the store's cap and a limit are never passed; what does not apply changes nothing. Each unit keeps an exact price
//! of its own, so how the units of a SKU stand in lines changes nothing but the rounding of a line and action.

mod apply;
mod ask;
mod bands;
mod cart;
mod compile;
mod deeds;
mod evaluate;
mod exact;
mod faults;
mod filter;
mod gate;
mod index;
mod language;
mod limits;
mod numbers;
mod offers;
mod outcome;
mod runs;
mod scale;
mod schedule;
mod shelf;
mod state;
#[cfg(test)]
pub(crate) mod tests;
mod units;

pub use cart::{Allowance, CampaignStanding, Cart, Circumstances, Detail, GiftStock, Line, LineInput, NamedCode};
pub use compile::{Needs, Rule};
pub use evaluate::evaluate;
pub use index::RuleSet;
pub use language::*;
pub use limits::{Counted, Counter, Counting, PersonLimit, TOTAL};
pub(crate) use numbers::{to_amount, to_minor};
