//! Worked examples and properties of the evaluator.
