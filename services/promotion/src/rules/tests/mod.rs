//! Worked examples and properties of the evaluator.

mod examples;
mod faults;
mod properties;
mod time;
