//! Parsed conditions.

use rust_decimal::Decimal;
use serde_json::Value;

use super::document::Operator;
use super::field::Field;

/// A validated condition. `I` is the parsed line filter of `items.…` fields; `()` where there are no lines.
#[derive(Clone, Debug)]
pub enum Test<I> {
    /// All of these.
    All(Vec<Test<I>>),
    /// At least one of these.
    Any(Vec<Test<I>>),
    /// The negation of this.
    Not(Box<Test<I>>),
    /// A comparison.
    Leaf(Box<Leaf<I>>),
}

/// A comparison.
#[derive(Clone, Debug)]
pub struct Leaf<I> {
    /// The field.
    pub field: Field,
    /// Its name in the document.
    pub name: String,
    /// The operator.
    pub op: Operator,
    /// The value.
    pub wanted: Wanted,
    /// The value as in the document.
    pub value: Value,
    /// The lines that it covers.
    pub items: I,
}

/// The value of a comparison, in the field's units.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// A whole number; money in minor units.
    Number(i64),
    /// Any of these, or none of them.
    Numbers(Vec<i64>),
    /// A text in the form in which its field compares.
    Text(String),
    /// Any of these, or none of them.
    Texts(Vec<String>),
    /// A boolean.
    Flag(bool),
    /// A number that an attribute is compared with.
    Decimal(Decimal),
}

impl<I> Test<I> {
    /// All comparisons in it.
    pub fn leaves<'t>(&'t self, visit: &mut impl FnMut(&'t Leaf<I>)) {
        match self {
            Self::All(tests) | Self::Any(tests) => tests.iter().for_each(|test| test.leaves(visit)),
            Self::Not(test) => test.leaves(visit),
            Self::Leaf(leaf) => visit(leaf),
        }
    }

    /// Comparisons that must each hold on their own.
    pub fn necessary<'t>(&'t self, visit: &mut impl FnMut(&'t Leaf<I>)) {
        match self {
            Self::All(tests) => tests.iter().for_each(|test| test.necessary(visit)),
            Self::Leaf(leaf) => visit(leaf),
            Self::Any(_) | Self::Not(_) => {}
        }
    }
}
