//! Evaluates conditions on a cart in its current state, and explains those that do not hold.

use promox_contract::condition::{Actual, CustomerFacts, DAYS, Facts, Field, Leaf, Operator, Test, ValueType, Wanted};
use promox_contract::promotion::{RejectDetail, RejectReason};
use promox_kernel::{Amount, Currency};
use rust_decimal::Decimal;
use serde_json::Value;

use crate::rules::compile::Rule;
use crate::rules::evaluate::context::EvaluationContext;
use crate::rules::evaluate::exact::Exact;
use crate::rules::evaluate::state::State;
use crate::rules::language::filter::Filter;
use crate::rules::minor_units::to_amount;

/// What the conditions of a promotion are evaluated on: the cart, its buyer and the time.
#[derive(Clone, Copy)]
pub(crate) struct ConditionContext<'a> {
    pub(crate) rule: &'a Rule,
    pub(crate) state: &'a State<'a>,
    pub(crate) context: &'a EvaluationContext,
}

/// A condition that does not hold.
pub(crate) struct Unmet<'a> {
    leaf: &'a Leaf<Filter>,
    /// Whether it is inside a `not`, so that it should not hold.
    inverted: bool,
}

impl Facts<Filter> for ConditionContext<'_> {
    fn actual<'f>(&'f self, leaf: &'f Leaf<Filter>) -> Actual<'f> {
        let (cart, customer) = (self.state.cart, &self.context.customer);
        let text = |text: &'f Option<String>| text.as_deref().map_or(Actual::Unknown, Actual::Text);
        match &leaf.field {
            Field::CartSubtotal => Actual::Number(self.state.goods()),
            Field::CartQuantity => Actual::Number(cart.lines.iter().map(|line| i64::from(line.quantity)).sum()),
            Field::CartLines => Actual::Number(i64::try_from(cart.lines.len()).unwrap_or(i64::MAX)),
            Field::ItemsSubtotal | Field::ItemsQuantity | Field::ItemsMaxLineQuantity => self.of_items(leaf),
            Field::CartCurrency => Actual::Text(cart.currency.code()),
            Field::CartAttribute(name) => {
                cart.attributes.get(name).map_or(Actual::Unknown, |value| Actual::Text(value))
            }
            Field::Customer(field) => CustomerFacts { customer, currency: cart.currency }.of(field),
            Field::ShippingCountry => text(&cart.country),
            Field::ShippingMethod => text(&cart.shipping_method),
            Field::PaymentMethod => text(&cart.payment_method),
            Field::Channel => Actual::Text(&cart.channel),
            Field::Weekday => {
                let (day, _) = self.rule.window.day_and_hour(self.context.now);
                DAYS.get(day).map_or(Actual::Unknown, |day| Actual::Text(day))
            }
            Field::Hour => Actual::Number(self.rule.window.day_and_hour(self.context.now).1),
        }
    }
}

impl<'a> ConditionContext<'a> {
    /// Whether the promotion's conditions hold.
    pub(crate) fn holds(self) -> bool {
        self.rule.when.as_ref().is_none_or(|test| test.holds(&self))
    }

    fn of_items(self, leaf: &Leaf<Filter>) -> Actual<'a> {
        let matching = self.state.matching(self.rule, &leaf.items);
        Actual::Number(match leaf.field {
            Field::ItemsSubtotal => matching.map(|(i, _)| self.state.cost_of(i)).sum::<Exact>().half_down(),
            Field::ItemsQuantity => matching.map(|(_, line)| i64::from(line.quantity)).sum(),
            _ => matching.map(|(_, line)| i64::from(line.quantity)).max().unwrap_or(0),
        })
    }

    /// The comparisons that make the conditions fail.
    pub(crate) fn unmet(self) -> Vec<Unmet<'a>> {
        let mut found = Vec::new();
        if let Some(test) = &self.rule.when {
            self.collect(test, true, &mut found);
        }
        found
    }

    fn collect(self, test: &'a Test<Filter>, wanted: bool, found: &mut Vec<Unmet<'a>>) {
        if test.holds(&self) == wanted {
            return;
        }
        match test {
            Test::All(tests) | Test::Any(tests) => tests.iter().for_each(|test| self.collect(test, wanted, found)),
            Test::Not(test) => self.collect(test, !wanted, found),
            Test::Leaf(leaf) => found.push(Unmet { leaf, inverted: !wanted }),
        }
    }

    /// The reason and the details of conditions that do not hold.
    pub(crate) fn explain(self) -> (RejectReason, Vec<RejectDetail>) {
        let unmet = self.unmet();
        let customer_unmet = unmet.iter().any(|unmet| unmet.leaf.field.is_of_customer());
        let reason = if customer_unmet { RejectReason::NotEligible } else { RejectReason::ConditionsNotMet };
        (reason, unmet.iter().filter(|unmet| unmet.leaf.field.may_be_shown()).map(|unmet| self.detail(unmet)).collect())
    }

    fn detail(self, unmet: &Unmet<'_>) -> RejectDetail {
        let op = if unmet.inverted { opposite(unmet.leaf.op) } else { unmet.leaf.op.as_str() };
        let missing = self.missing(unmet).map(|(_, missing)| missing);
        let (field, wanted) = (unmet.leaf.name.clone(), unmet.leaf.value.clone());
        RejectDetail { field, op: op.to_owned(), wanted, actual: self.actual_value(unmet.leaf), missing }
    }

    fn actual_value(self, leaf: &Leaf<Filter>) -> Value {
        let currency = self.state.cart.currency;
        match self.actual(leaf) {
            Actual::Number(minor) if leaf.field.value_type() == ValueType::Money => {
                Value::String(to_amount(minor, currency).to_string())
            }
            Actual::Number(number) => Value::from(number),
            Actual::Text(text) => Value::from(text),
            Actual::Texts(texts) => Value::from(texts.to_vec()),
            Actual::Flag(flag) => Value::Bool(flag),
            Actual::Unknown => Value::Null,
        }
    }

    /// How much an amount or quantity lacks for a comparison to hold: as a number of minor units or units, and as an
    /// amount.
    fn missing(self, unmet: &Unmet<'_>) -> Option<(i64, Amount)> {
        let (Actual::Number(actual), Wanted::Number(wanted)) = (self.actual(unmet.leaf), &unmet.leaf.wanted) else {
            return None;
        };
        if unmet.leaf.field == Field::Hour {
            return None; // A buyer cannot add hours to a cart.
        }
        let missing = match (unmet.leaf.op, unmet.inverted) {
            (Operator::Gte, false) | (Operator::Lt, true) => wanted - actual,
            (Operator::Gt, false) | (Operator::Lte, true) => wanted - actual + 1,
            _ => return None,
        };
        (missing > 0).then(|| (missing, in_units(missing, &unmet.leaf.field, self.state.cart.currency)))
    }

    /// The amount or quantity that the cart lacks, if it is the only unmet condition.
    pub(crate) fn one_missing(self) -> Option<(String, i64, Amount)> {
        let unmet = self.unmet();
        let [only] = unmet.as_slice() else { return None };
        if !only.leaf.field.is_of_goods() && !only.leaf.field.is_of_items() {
            return None;
        }
        self.missing(only).map(|(missing, amount)| (only.leaf.name.clone(), missing, amount))
    }
}

/// A number of minor units or units as an amount.
fn in_units(number: i64, field: &Field, currency: Currency) -> Amount {
    if field.value_type() == ValueType::Money { to_amount(number, currency) } else { Amount(Decimal::from(number)) }
}

/// The operator of the negated comparison.
fn opposite(op: Operator) -> &'static str {
    match op {
        Operator::Eq => "NE",
        Operator::Ne => "EQ",
        Operator::Lt => "GTE",
        Operator::Lte => "GT",
        Operator::Gt => "LTE",
        Operator::Gte => "LT",
        Operator::In => "NOT_IN",
        Operator::NotIn => "IN",
        Operator::Contains => "NOT_CONTAINS",
        Operator::StartsWith => "NOT_STARTS_WITH",
        Operator::EndsWith => "NOT_ENDS_WITH",
    }
}
