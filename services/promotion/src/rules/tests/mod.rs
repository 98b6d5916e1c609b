//! Worked examples and properties of the evaluator.

pub(crate) mod catalog;
mod examples;
mod faults;
mod model;
mod properties;
mod time;
mod units;
