//! Conditions as they are asked.

use rust_decimal::Decimal;
use serde_json::Value;

use super::document::Operator;
use super::field::Field;

/// A condition, checked. `I` is the filter of lines that its `items.…` fields are about; `()` where there are no lines.
#[derive(Clone, Debug)]
pub enum Test<I> {
    /// Every one of these.
    All(Vec<Test<I>>),
    /// At least one of these.
    Any(Vec<Test<I>>),
    /// Not this.
    Not(Box<Test<I>>),
    /// A comparison.
    Leaf(Box<Leaf<I>>),
}

/// A comparison.
#[derive(Clone, Debug)]
pub struct Leaf<I> {
    /// What is compared.
    pub field: Field,
    /// Its name, as it is written.
    pub name: String,
    /// How.
    pub op: Operator,
    /// With what.
    pub wanted: Wanted,
    /// The same, as it is written.
    pub value: Value,
    /// Which lines it is about.
    pub items: I,
}

/// What a comparison wants, in the field's own units.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// A whole number; of money, its minor units.
    Number(i64),
    /// Any of these, or none of them.
    Numbers(Vec<i64>),
    /// A text in the form that its field compares.
    Text(String),
    /// Any of these, or none of them.
    Texts(Vec<String>),
    /// True or false.
    Flag(bool),
    /// A number that an attribute is held against.
    Decimal(Decimal),
}

impl<I> Test<I> {
    /// Every comparison in it.
    pub fn leaves<'t>(&'t self, visit: &mut impl FnMut(&'t Leaf<I>)) {
        match self {
            Self::All(tests) | Self::Any(tests) => tests.iter().for_each(|test| test.leaves(visit)),
            Self::Not(test) => test.leaves(visit),
            Self::Leaf(leaf) => visit(leaf),
        }
    }

    /// Comparisons that each must hold by themselves.
    pub fn necessary<'t>(&'t self, visit: &mut impl FnMut(&'t Leaf<I>)) {
        match self {
            Self::All(tests) => tests.iter().for_each(|test| test.necessary(visit)),
            Self::Leaf(leaf) => visit(leaf),
            Self::Any(_) | Self::Not(_) => {}
        }
    }
}
