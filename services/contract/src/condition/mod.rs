//! Conditions and schedules: the language in which promotions define when they apply, and segments define their
//! members.
//!
//! A [`Condition`] is the document. [`Test::read`] validates it for its [`Subject`] and reports every fault;
//! [`Test::holds`] evaluates it against [`Facts`]. Likewise, a [`Schedule`] becomes a [`Timetable`]. This module does
//! no I/O, and nothing else knows which fields and operators exist and can be combined.
//!
//! Unknown values, such as a guest's account or an attribute that is not set, are unequal to everything: only `NE` and
//! `NOT_IN` hold for them.

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
