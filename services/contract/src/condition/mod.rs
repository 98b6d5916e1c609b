//! Conditions and schedules: the language in which promotions state when they apply, and segments their members.
//!
//! A [`Condition`] is the document. [`Test::read`] validates it for its [`Subject`] and reports every fault;
//! [`Test::holds`] evaluates it against [`Facts`]. A [`Schedule`] likewise becomes a [`Timetable`]. All of it is pure,
//! and the only place that knows fields, operators and which go together.
//!
//! Unknown values (a guest's account, an attribute that is not set) are unequal to everything: only `NE` and `NOT_IN`
//! hold for them.

mod customer;
mod document;
mod field;
mod holds;
mod hours;
mod read;
mod test;
mod timetable;

pub use customer::CustomerFacts;
pub use document::{Condition, ItemFilter, OneOrMany, Operator};
pub use field::{CustomerField, Field, Subject, ValueType};
pub use holds::{Actual, Facts};
pub use hours::{DAYS, Schedule, weekday};
pub use read::Lines;
pub use test::{Leaf, Test, Wanted};
pub use timetable::Timetable;
