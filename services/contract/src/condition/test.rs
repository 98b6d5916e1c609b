//! Parsed conditions.

use rust_decimal::Decimal;
use serde_json::Value;

use super::document::Operator;
use super::field::Field;

/// A validated condition. `I` is the parsed line filter of `items.…` fields, or `()` where there are no lines.
#[derive(Clone, Debug)]
pub enum Test<I> {
    /// All of these must hold.
    All(Vec<Test<I>>),
    /// At least one of these must hold.
    Any(Vec<Test<I>>),
    /// This must not hold.
    Not(Box<Test<I>>),
    /// A comparison.
    Leaf(Box<Leaf<I>>),
}

/// A comparison.
#[derive(Clone, Debug)]
pub struct Leaf<I> {
    /// The field.
    pub field: Field,
    /// The field's name in the document.
    pub name: String,
    /// The operator.
    pub op: Operator,
    /// The parsed value.
    pub wanted: Wanted,
    /// The value as it is in the document.
    pub value: Value,
    /// The lines that the comparison covers.
    pub items: I,
}

/// The value that a comparison requires, in the field's units.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// A whole number; money in minor units.
    Number(i64),
    /// Whole numbers, for `IN` and `NOT_IN`; money in minor units.
    Numbers(Vec<i64>),
    /// A text in the form in which its field compares.
    Text(String),
    /// Texts in the form in which their field compares, for `IN` and `NOT_IN`.
    Texts(Vec<String>),
    /// A boolean.
    Flag(bool),
    /// A number that an attribute is compared with.
    Decimal(Decimal),
}

impl<I> Test<I> {
    /// Visits all comparisons of the condition.
    pub fn leaves<'t>(&'t self, visit: &mut impl FnMut(&'t Leaf<I>)) {
        match self {
            Self::All(tests) | Self::Any(tests) => tests.iter().for_each(|test| test.leaves(visit)),
            Self::Not(test) => test.leaves(visit),
            Self::Leaf(leaf) => visit(leaf),
        }
    }

    /// Visits the comparisons that must each hold for the condition to hold.
    pub fn necessary<'t>(&'t self, visit: &mut impl FnMut(&'t Leaf<I>)) {
        match self {
            Self::All(tests) => tests.iter().for_each(|test| test.necessary(visit)),
            Self::Leaf(leaf) => visit(leaf),
            Self::Any(_) | Self::Not(_) => {}
        }
    }
}
