//! Evaluation of conditions against facts.

use std::cmp::Ordering;

use rust_decimal::Decimal;

use super::document::Operator;
use super::test::{Leaf, Test, Wanted};

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actual<'a> {
    /// A whole number; money in minor units.
    Number(i64),
    /// A text.
    Text(&'a str),
    /// A list of texts.
    Texts(&'a [String]),
    /// A boolean.
    Flag(bool),
    /// An unknown value, which is unequal to everything.
    Unknown,
}

/// The facts that conditions are evaluated against.
pub trait Facts<I> {
    /// The value of a comparison's field.
    fn actual<'f>(&'f self, leaf: &'f Leaf<I>) -> Actual<'f>;
}

impl<I> Test<I> {
    /// Whether the condition holds.
    pub fn holds(&self, facts: &impl Facts<I>) -> bool {
        match self {
            Self::All(tests) => tests.iter().all(|test| test.holds(facts)),
            Self::Any(tests) => tests.iter().any(|test| test.holds(facts)),
            Self::Not(test) => !test.holds(facts),
            Self::Leaf(leaf) => leaf.holds(facts.actual(leaf)),
        }
    }
}

impl<I> Leaf<I> {
    fn holds(&self, actual: Actual<'_>) -> bool {
        match (actual, &self.wanted) {
            (Actual::Number(actual), wanted) => number_holds(actual, self.op, wanted),
            (Actual::Text(actual), Wanted::Decimal(wanted)) => {
                actual.parse::<Decimal>().is_ok_and(|actual| in_order(self.op, actual.cmp(wanted)))
            }
            (Actual::Text(actual), wanted) => text_holds(&self.field.fold(actual), self.op, wanted),
            (Actual::Texts(actual), wanted) => list_holds(actual, self.op, wanted),
            (Actual::Flag(actual), Wanted::Flag(wanted)) => (actual == *wanted) == (self.op == Operator::Eq),
            (Actual::Flag(_), _) => false,
            (Actual::Unknown, _) => matches!(self.op, Operator::Ne | Operator::NotIn),
        }
    }
}

fn in_order(op: Operator, order: Ordering) -> bool {
    match op {
        Operator::Lt => order.is_lt(),
        Operator::Lte => order.is_le(),
        Operator::Gt => order.is_gt(),
        Operator::Gte => order.is_ge(),
        Operator::Eq => order.is_eq(),
        Operator::Ne => order.is_ne(),
        _ => false,
    }
}

fn number_holds(actual: i64, op: Operator, wanted: &Wanted) -> bool {
    match wanted {
        Wanted::Number(wanted) => in_order(op, actual.cmp(wanted)),
        Wanted::Numbers(wanted) => wanted.contains(&actual) == (op == Operator::In),
        _ => false,
    }
}

fn text_holds(actual: &str, op: Operator, wanted: &Wanted) -> bool {
    match (op, wanted) {
        (Operator::Eq, Wanted::Text(wanted)) => actual == wanted,
        (Operator::Ne, Wanted::Text(wanted)) => actual != wanted,
        (Operator::Contains, Wanted::Text(wanted)) => actual.contains(wanted.as_str()),
        (Operator::StartsWith, Wanted::Text(wanted)) => actual.starts_with(wanted.as_str()),
        (Operator::EndsWith, Wanted::Text(wanted)) => actual.ends_with(wanted.as_str()),
        (Operator::In | Operator::NotIn, Wanted::Texts(wanted)) => {
            wanted.iter().any(|wanted| wanted == actual) == (op == Operator::In)
        }
        _ => false,
    }
}

fn list_holds(actual: &[String], op: Operator, wanted: &Wanted) -> bool {
    match wanted {
        Wanted::Text(wanted) => op == Operator::Contains && actual.contains(wanted),
        Wanted::Texts(wanted) => wanted.iter().any(|wanted| actual.contains(wanted)) == (op == Operator::In),
        _ => false,
    }
}
