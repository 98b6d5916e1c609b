//! Conditions as they are compared: read once with every fault pointed at, then asked of a cart as it stands.

use promox_kernel::{Amount, Currency};
use rust_decimal::Decimal;
use serde_json::Value;

use super::faults::Faults;
use super::field::{Field, Sort};
use super::filter::Filter;
use super::language::{Condition, Operator, Stage};
use super::numbers::exact_minor;
use super::schedule::DAYS;

/// How deep `all`, `any` and `not` may nest.
const DEEPEST: usize = 8;
/// Comparisons of a promotion at most.
const MOST_COMPARISONS: usize = 200;
/// Members of a list that is compared with at most.
const MOST_MEMBERS: usize = 1_000;

/// A condition.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    All(Vec<Test>),
    Any(Vec<Test>),
    Not(Box<Test>),
    Leaf(Box<Leaf>),
}

/// A comparison.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) field: Field,
    /// As it is written.
    pub(crate) name: String,
    pub(crate) op: Operator,
    pub(crate) wanted: Wanted,
    /// As it is written.
    pub(crate) value: Value,
    /// Which lines it is about.
    pub(crate) items: Filter,
}

/// What a comparison wants, in the field's own units: minor units of money, a number, texts in the form they are compared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wanted {
    Number(i64),
    Numbers(Vec<i64>),
    Text(String),
    Texts(Vec<String>),
    Flag(bool),
    Decimal(Decimal),
}

impl Test {
    /// Every comparison in it.
    pub(crate) fn leaves<'t>(&'t self, visit: &mut impl FnMut(&'t Leaf)) {
        match self {
            Self::All(tests) | Self::Any(tests) => tests.iter().for_each(|test| test.leaves(visit)),
            Self::Not(test) => test.leaves(visit),
            Self::Leaf(leaf) => visit(leaf),
        }
    }

    /// Comparisons that each must hold by themselves.
    pub(crate) fn necessary<'t>(&'t self, visit: &mut impl FnMut(&'t Leaf)) {
        match self {
            Self::All(tests) => tests.iter().for_each(|test| test.necessary(visit)),
            Self::Leaf(leaf) => visit(leaf),
            Self::Any(_) | Self::Not(_) => {}
        }
    }
}

/// Reads conditions of one promotion.
pub(crate) struct Reader<'f> {
    pub(crate) faults: &'f mut Faults,
    stage: Stage,
    comparisons: usize,
}

impl<'f> Reader<'f> {
    /// A reader for a promotion of a stage.
    pub(crate) fn new(faults: &'f mut Faults, stage: Stage) -> Self {
        Self { faults, stage, comparisons: 0 }
    }

    /// Reads the condition at a pointer; `None` when it has faults.
    pub(crate) fn read(&mut self, condition: &Condition, pointer: &str) -> Option<Test> {
        self.nested(condition, pointer, 0)
    }

    fn nested(&mut self, it: &Condition, pointer: &str, depth: usize) -> Option<Test> {
        let comparison = it.field.is_some() || it.op.is_some() || it.value.is_some() || it.items.is_some();
        let forms = [it.all.is_some(), it.any.is_some(), it.not.is_some(), comparison];
        if forms.iter().filter(|form| **form).count() != 1 {
            self.faults.at(pointer, "a condition is one of all, any, not, or a comparison of field, op and value");
            return None;
        }
        if comparison {
            return self.leaf(it, pointer).map(|leaf| Test::Leaf(Box::new(leaf)));
        }
        if depth == DEEPEST {
            self.faults.at(pointer, format!("conditions nest {DEEPEST} levels deep at most"));
            return None;
        }
        if let Some(inner) = &it.not {
            return Some(Test::Not(Box::new(self.nested(inner, &format!("{pointer}/not"), depth + 1)?)));
        }
        if let Some(all) = &it.all {
            return self.several(all, &format!("{pointer}/all"), depth).map(Test::All);
        }
        let any = it.any.as_deref().unwrap_or_default();
        let pointer = format!("{pointer}/any");
        if any.is_empty() {
            self.faults.at(&pointer, "any of nothing never holds");
        }
        self.several(any, &pointer, depth).map(Test::Any)
    }

    fn several(&mut self, conditions: &[Condition], pointer: &str, depth: usize) -> Option<Vec<Test>> {
        let mut tests = Vec::with_capacity(conditions.len());
        for (i, condition) in conditions.iter().enumerate() {
            tests.push(self.nested(condition, &format!("{pointer}/{i}"), depth + 1));
        }
        tests.into_iter().collect()
    }

    fn leaf(&mut self, it: &Condition, pointer: &str) -> Option<Leaf> {
        self.comparisons += 1;
        if self.comparisons == MOST_COMPARISONS + 1 {
            self.faults.at(pointer, format!("a promotion has {MOST_COMPARISONS} comparisons at most"));
        }
        for (name, absent) in [("field", it.field.is_none()), ("op", it.op.is_none()), ("value", it.value.is_none())] {
            if absent {
                self.faults.missing(&format!("{pointer}/{name}"), "a comparison has field, op and value");
            }
        }
        let (name, op, value) = (it.field.clone()?, it.op?, it.value.clone()?);
        let Some(field) = Field::parse(&name) else {
            self.faults.at(&format!("{pointer}/field"), format!("there is no field \"{name}\""));
            return None;
        };
        if self.stage == Stage::Catalog && !field.is_known_on_the_shelf() {
            self.faults.at(
                &format!("{pointer}/field"),
                "on the shelf a condition may ask about the customer, the channel and the time only",
            );
        }
        if it.items.is_some() && !field.is_of_items() {
            self.faults.at(&format!("{pointer}/items"), "only items.… fields are about some lines");
        }
        let items = Filter::read(it.items.as_ref(), &format!("{pointer}/items"), self.faults);
        if !field.sort().compares(op) {
            self.faults.at(&format!("{pointer}/op"), format!("{op} does not compare {name}"));
            return None;
        }
        let wanted = self.wanted(&field, op, &value, &format!("{pointer}/value"))?;
        Some(Leaf { field, name, op, wanted, value, items })
    }

    /// The value, as the field's sort and the operator want it.
    fn wanted(&mut self, field: &Field, op: Operator, value: &Value, pointer: &str) -> Option<Wanted> {
        let sort = field.sort();
        if matches!(op, Operator::In | Operator::NotIn) {
            return self.list(field, value, pointer);
        }
        let read = match sort {
            Sort::Attribute if is_order(op) => decimal(value).map(Wanted::Decimal).ok_or("a number"),
            Sort::Flag => value.as_bool().map(Wanted::Flag).ok_or("true or false"),
            _ => single(field, value, self.faults.currency),
        };
        read.map_err(|wants| self.faults.at(pointer, format!("{} is compared with {wants}", field.name()))).ok()
    }

    fn list(&mut self, field: &Field, value: &Value, pointer: &str) -> Option<Wanted> {
        let members = value.as_array().filter(|list| (1..=MOST_MEMBERS).contains(&list.len()));
        let Some(members) = members else {
            self.faults.at(pointer, format!("IN and NOT_IN take a list of 1 to {MOST_MEMBERS} values"));
            return None;
        };
        let (mut numbers, mut texts) = (Vec::new(), Vec::new());
        for (i, member) in members.iter().enumerate() {
            match single(field, member, self.faults.currency) {
                Ok(Wanted::Number(number)) => numbers.push(number),
                Ok(Wanted::Text(text)) => texts.push(text),
                Ok(_) => {}
                Err(wants) => {
                    self.faults.at(&format!("{pointer}/{i}"), format!("{} is compared with {wants}", field.name()));
                }
            }
        }
        let is_number = matches!(field.sort(), Sort::Money | Sort::Count | Sort::Hour);
        Some(if is_number { Wanted::Numbers(numbers) } else { Wanted::Texts(texts) })
    }
}

/// Whether an operator asks for an order.
pub(crate) fn is_order(op: Operator) -> bool {
    matches!(op, Operator::Lt | Operator::Lte | Operator::Gt | Operator::Gte)
}

fn single(field: &Field, value: &Value, currency: Currency) -> Result<Wanted, &'static str> {
    let number = |wanted: Option<i64>| wanted.map(Wanted::Number);
    match field.sort() {
        Sort::Money => {
            let minor = decimal(value).and_then(|amount| exact_minor(Amount(amount), currency));
            number(minor).ok_or("an amount in the currency's digits")
        }
        Sort::Count => number(whole(value)).ok_or("a whole number"),
        Sort::Hour => number(whole(value).filter(|hour| (0..24).contains(hour))).ok_or("an hour, 0 to 23"),
        Sort::Weekday => {
            let day = value.as_str().filter(|day| DAYS.contains(day));
            day.map(|day| Wanted::Text(day.to_owned())).ok_or("a day, MON to SUN")
        }
        Sort::Attribute => match value {
            Value::String(text) => Ok(Wanted::Text(text.clone())),
            Value::Number(number) => Ok(Wanted::Text(number.to_string())),
            Value::Bool(flag) => Ok(Wanted::Text(flag.to_string())),
            _ => Err("a text"),
        },
        Sort::Text | Sort::List => value.as_str().map(|text| Wanted::Text(field.fold(text))).ok_or("a text"),
        Sort::Flag => Err("true or false"),
    }
}

/// A number or the digits of one.
fn decimal(value: &Value) -> Option<Decimal> {
    let amount: Amount = match value {
        Value::String(text) => text.parse().ok()?,
        Value::Number(number) => number.to_string().parse().ok()?,
        _ => return None,
    };
    Some(amount.0)
}

fn whole(value: &Value) -> Option<i64> {
    let decimal = decimal(value)?;
    decimal.is_integer().then(|| i64::try_from(decimal).ok()).flatten()
}
