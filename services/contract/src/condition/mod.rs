//! Conditions and schedules: the language in which promotions say when they apply, and segments whom they hold.
//!
//! A [`Condition`] is what people write. [`Test::read`] checks it for its [`Subject`] and points at every fault;
//! [`Test::holds`] asks it of [`Facts`]. A [`Schedule`] likewise becomes a [`Timetable`]. All of it is pure, and the one place
//! that knows fields, operators and which go together.
//!
//! What is not known (a guest's account, an attribute that nobody set) is unlike everything: only `NE` and `NOT_IN` hold
//! for it.

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
