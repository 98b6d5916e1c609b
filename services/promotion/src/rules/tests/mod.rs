//! Worked examples and properties of the evaluator.

mod examples;
mod faults;
mod model;
mod properties;
pub(crate) mod shelf;
mod time;
mod units;
