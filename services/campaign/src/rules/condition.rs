//! Conditions over customers, in the language of promotions: read once with every fault pointed at, then asked of a customer.
//!
//! What is not known of a customer (a guest's account, an attribute that nobody set) is unlike everything: only NE and
//! `NOT_IN` hold for it.

use std::cmp::Ordering;

use promox_contract::promotion::Customer;
use promox_kernel::{Amount, Currency, FieldError, text_enum};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::field::{Actual, Field, Sort};

/// How deep `all`, `any` and `not` may nest.
const DEEPEST: usize = 8;
/// Comparisons of a rule at most.
const MOST_COMPARISONS: usize = 200;
/// Members of a list that is compared with at most.
const MOST_MEMBERS: usize = 1_000;

text_enum! {
    /// How a condition compares.
    Operator {
        Eq = "EQ",
        Ne = "NE",
        Lt = "LT",
        Lte = "LTE",
        Gt = "GT",
        Gte = "GTE",
        In = "IN",
        NotIn = "NOT_IN",
        Contains = "CONTAINS",
        StartsWith = "STARTS_WITH",
    }
}

/// A condition: one of `all`, `any`, `not`, or a comparison of `field`, `op` and `value`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SegmentCondition")]
pub struct Condition {
    /// Every one of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<Vec<Condition>>,
    /// At least one of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub any: Option<Vec<Condition>>,
    /// Not this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not: Option<Box<Condition>>,
    /// What is compared, `"customer.totalSpent"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// How.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub op: Option<Operator>,
    /// With what: a text, a number, a truth value, or a list for `IN` and `NOT_IN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// A condition as it is asked.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    All(Vec<Test>),
    Any(Vec<Test>),
    Not(Box<Test>),
    Leaf(Field, Operator, Wanted),
}

/// What a comparison wants, texts in the form they are compared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wanted {
    Number(Decimal),
    Numbers(Vec<Decimal>),
    Text(String),
    Texts(Vec<String>),
    Flag(bool),
}

impl Test {
    /// Reads a rule; every fault with its pointer, below `pointer`.
    pub(crate) fn read(rule: &Condition, pointer: &str, currency: Currency) -> Result<Self, Vec<FieldError>> {
        let mut reader = Reader { faults: Vec::new(), currency, comparisons: 0 };
        match reader.nested(rule, pointer, 0) {
            Some(test) if reader.faults.is_empty() => Ok(test),
            _ => Err(reader.faults),
        }
    }

    /// Whether it holds for a customer.
    pub(crate) fn holds(&self, customer: &Customer) -> bool {
        match self {
            Self::All(tests) => tests.iter().all(|test| test.holds(customer)),
            Self::Any(tests) => tests.iter().any(|test| test.holds(customer)),
            Self::Not(test) => !test.holds(customer),
            Self::Leaf(field, op, wanted) => compare(field, &field.of(customer), *op, wanted),
        }
    }
}

fn compare(field: &Field, actual: &Actual<'_>, op: Operator, wanted: &Wanted) -> bool {
    match (actual, wanted) {
        (Actual::Unknown, _) => matches!(op, Operator::Ne | Operator::NotIn),
        (Actual::Number(actual), Wanted::Number(wanted)) => in_order(op, actual.cmp(wanted)),
        (Actual::Number(actual), Wanted::Numbers(wanted)) => wanted.contains(actual) == (op == Operator::In),
        (Actual::Text(actual), Wanted::Number(wanted)) => {
            actual.parse::<Decimal>().is_ok_and(|actual| in_order(op, actual.cmp(wanted)))
        }
        (Actual::Text(actual), wanted) => text_holds(&field.fold(actual), op, wanted),
        (Actual::Flag(actual), Wanted::Flag(wanted)) => (actual == wanted) == (op == Operator::Eq),
        (Actual::Number(_) | Actual::Flag(_), _) => false,
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

fn text_holds(actual: &str, op: Operator, wanted: &Wanted) -> bool {
    match (op, wanted) {
        (Operator::Eq, Wanted::Text(wanted)) => actual == wanted,
        (Operator::Ne, Wanted::Text(wanted)) => actual != wanted,
        (Operator::Contains, Wanted::Text(wanted)) => actual.contains(wanted.as_str()),
        (Operator::StartsWith, Wanted::Text(wanted)) => actual.starts_with(wanted.as_str()),
        (Operator::In | Operator::NotIn, Wanted::Texts(wanted)) => {
            wanted.iter().any(|wanted| wanted == actual) == (op == Operator::In)
        }
        _ => false,
    }
}

/// Reads one rule.
struct Reader {
    faults: Vec<FieldError>,
    currency: Currency,
    comparisons: usize,
}

impl Reader {
    fn fault(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.faults.push(FieldError::new(pointer, detail));
    }

    fn nested(&mut self, it: &Condition, pointer: &str, depth: usize) -> Option<Test> {
        let comparison = it.field.is_some() || it.op.is_some() || it.value.is_some();
        let forms = [it.all.is_some(), it.any.is_some(), it.not.is_some(), comparison];
        if forms.iter().filter(|form| **form).count() != 1 {
            self.fault(pointer, "a condition is one of all, any, not, or a comparison of field, op and value");
            return None;
        }
        if comparison {
            return self.leaf(it, pointer);
        }
        if depth == DEEPEST {
            self.fault(pointer, format!("conditions nest {DEEPEST} levels deep at most"));
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
            self.fault(&pointer, "any of nothing never holds");
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

    fn leaf(&mut self, it: &Condition, pointer: &str) -> Option<Test> {
        self.comparisons += 1;
        if self.comparisons == MOST_COMPARISONS + 1 {
            self.fault(pointer, format!("a rule has {MOST_COMPARISONS} comparisons at most"));
        }
        for (name, absent) in [("field", it.field.is_none()), ("op", it.op.is_none()), ("value", it.value.is_none())] {
            if absent {
                let detail = "a comparison has field, op and value".to_owned();
                self.faults.push(FieldError { pointer: format!("{pointer}/{name}"), code: "MISSING".into(), detail });
            }
        }
        let (name, op, value) = (it.field.as_ref()?, it.op?, it.value.as_ref()?);
        let field = Field::parse(name).map_err(|detail| self.fault(format!("{pointer}/field"), detail)).ok()?;
        if !field.sort().compares(op) {
            self.fault(format!("{pointer}/op"), format!("{op} does not compare {name}"));
            return None;
        }
        let wanted = self.wanted(&field, op, value, (name, &format!("{pointer}/value")))?;
        Some(Test::Leaf(field, op, wanted))
    }

    /// The value, as the field's sort and the operator want it.
    fn wanted(&mut self, field: &Field, op: Operator, value: &Value, (name, at): (&str, &str)) -> Option<Wanted> {
        if matches!(op, Operator::In | Operator::NotIn) {
            return self.list(field, value, (name, at));
        }
        let orders = matches!(op, Operator::Lt | Operator::Lte | Operator::Gt | Operator::Gte);
        let read = match field.sort() {
            Sort::Attribute if orders => decimal(value).map(Wanted::Number).ok_or("a number"),
            Sort::Flag => value.as_bool().map(Wanted::Flag).ok_or("true or false"),
            _ => single(field, value, self.currency),
        };
        read.map_err(|wants| self.fault(at, format!("{name} is compared with {wants}"))).ok()
    }

    fn list(&mut self, field: &Field, value: &Value, (name, at): (&str, &str)) -> Option<Wanted> {
        let members = value.as_array().filter(|list| (1..=MOST_MEMBERS).contains(&list.len()));
        let Some(members) = members else {
            self.fault(at, format!("IN and NOT_IN take a list of 1 to {MOST_MEMBERS} values"));
            return None;
        };
        let (mut numbers, mut texts) = (Vec::new(), Vec::new());
        for (i, member) in members.iter().enumerate() {
            match single(field, member, self.currency) {
                Ok(Wanted::Number(number)) => numbers.push(number),
                Ok(Wanted::Text(text)) => texts.push(text),
                Ok(_) => {}
                Err(wants) => self.fault(format!("{at}/{i}"), format!("{name} is compared with {wants}")),
            }
        }
        let is_number = matches!(field.sort(), Sort::Money | Sort::Count);
        Some(if is_number { Wanted::Numbers(numbers) } else { Wanted::Texts(texts) })
    }
}

fn single(field: &Field, value: &Value, currency: Currency) -> Result<Wanted, &'static str> {
    match field.sort() {
        Sort::Money => {
            let exact = decimal(value).and_then(|amount| currency.exact(Amount(amount)).ok());
            exact.map(|amount| Wanted::Number(amount.0)).ok_or("an amount in the currency's digits")
        }
        Sort::Count => decimal(value).filter(Decimal::is_integer).map(Wanted::Number).ok_or("a whole number"),
        Sort::Attribute => match value {
            Value::String(text) => Ok(Wanted::Text(text.clone())),
            Value::Number(number) => Ok(Wanted::Text(number.to_string())),
            Value::Bool(flag) => Ok(Wanted::Text(flag.to_string())),
            _ => Err("a text"),
        },
        Sort::Text => value.as_str().map(|text| Wanted::Text(field.fold(text))).ok_or("a text"),
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

#[cfg(test)]
mod tests {
    use super::*;
    use promox_kernel::UserId;
    use serde_json::json;

    fn read(rule: Value) -> Result<Test, Vec<String>> {
        let rule: Condition = serde_json::from_value(rule).unwrap();
        Test::read(&rule, "/rule", Currency::GBP)
            .map_err(|faults| faults.into_iter().map(|fault| fault.pointer).collect())
    }

    fn ada() -> Customer {
        Customer {
            id: Some(UserId(7)),
            email: Some("Ada@Example.com".parse().unwrap()),
            tier: Some("GOLD".into()),
            segments: Vec::new(),
            order_count: 3,
            total_spent: "250.00".parse().unwrap(),
            registered_days: Some(40),
            is_guest: false,
            attributes: [("club".to_owned(), "yes".to_owned()), ("size".to_owned(), "42".to_owned())].into(),
        }
    }

    #[test]
    fn conditions_ask_of_a_customer() {
        let guest = Customer { is_guest: true, ..Customer::default() };
        for (rule, of_ada, of_guest) in [
            (json!({"field": "customer.totalSpent", "op": "GTE", "value": "250"}), true, false),
            (json!({"field": "customer.totalSpent", "op": "GT", "value": 250.00}), false, false),
            (json!({"field": "customer.orderCount", "op": "LT", "value": 3}), false, true),
            (json!({"field": "customer.orderCount", "op": "IN", "value": [0, "3"]}), true, true),
            (json!({"field": "customer.orderCount", "op": "NOT_IN", "value": [3]}), false, true),
            (json!({"field": "customer.id", "op": "EQ", "value": 7}), true, false),
            (json!({"field": "customer.id", "op": "NE", "value": 7}), false, true),
            (json!({"field": "customer.tier", "op": "IN", "value": ["GOLD", "DIAMOND"]}), true, false),
            (json!({"field": "customer.tier", "op": "NOT_IN", "value": ["GOLD"]}), false, true),
            (json!({"field": "customer.registeredDays", "op": "LTE", "value": 40}), true, false),
            (json!({"field": "customer.isGuest", "op": "EQ", "value": true}), false, true),
            (json!({"field": "customer.isGuest", "op": "NE", "value": true}), true, false),
            (json!({"field": "customer.email", "op": "CONTAINS", "value": "@EXAMPLE.com"}), true, false),
            (json!({"field": "customer.email", "op": "STARTS_WITH", "value": "bob"}), false, false),
            (json!({"field": "customer.attributes.club", "op": "EQ", "value": "yes"}), true, false),
            (json!({"field": "customer.attributes.size", "op": "GT", "value": 40.5}), true, false),
            (json!({"field": "customer.attributes.club", "op": "GT", "value": 1}), false, false),
            (json!({"field": "customer.attributes.none", "op": "NE", "value": "x"}), true, true),
            (json!({"not": {"field": "customer.attributes.none", "op": "EQ", "value": "x"}}), true, true),
            (json!({"all": []}), true, true),
            (
                json!({"any": [
                    {"all": [{"field": "customer.tier", "op": "EQ", "value": "GOLD"}, {"field": "customer.orderCount", "op": "GT", "value": 5}]},
                    {"field": "customer.isGuest", "op": "EQ", "value": true},
                ]}),
                false,
                true,
            ),
        ] {
            let test = read(rule.clone()).unwrap();
            assert_eq!((test.holds(&ada()), test.holds(&guest)), (of_ada, of_guest), "{rule}");
        }
    }

    #[test]
    fn what_does_not_type_check_is_pointed_at() {
        let leaf = |field: &str, op: &str, value: Value| json!({"field": field, "op": op, "value": value});
        for (rule, pointers) in [
            (json!({}), vec!["/rule"]),
            (json!({"all": [], "any": []}), vec!["/rule"]),
            (json!({"any": []}), vec!["/rule/any"]),
            (leaf("cart.subtotal", "GT", json!(1)), vec!["/rule/field"]),
            (leaf("customer.segments", "IN", json!(["VIP"])), vec!["/rule/field"]),
            (leaf("customer.attributes.", "EQ", json!("x")), vec!["/rule/field"]),
            (leaf("customer.tier", "GT", json!("GOLD")), vec!["/rule/op"]),
            (leaf("customer.isGuest", "IN", json!([true])), vec!["/rule/op"]),
            (leaf("customer.orderCount", "EQ", json!(1.5)), vec!["/rule/value"]),
            (leaf("customer.totalSpent", "EQ", json!("1.001")), vec!["/rule/value"]),
            (leaf("customer.tier", "IN", json!("GOLD")), vec!["/rule/value"]),
            (leaf("customer.tier", "IN", json!([])), vec!["/rule/value"]),
            (leaf("customer.tier", "IN", json!(["GOLD", 1])), vec!["/rule/value/1"]),
            (json!({"all": [{"field": "customer.tier"}]}), vec!["/rule/all/0/op", "/rule/all/0/value"]),
            (
                json!({"all": [leaf("x", "EQ", json!(1)), {"not": leaf("customer.isGuest", "EQ", json!("yes"))}]}),
                vec!["/rule/all/0/field", "/rule/all/1/not/value"],
            ),
        ] {
            assert_eq!(read(rule.clone()).unwrap_err(), pointers, "{rule}");
        }
    }

    #[test]
    fn conditions_nest_eight_deep() {
        let mut rule = json!({"field": "customer.isGuest", "op": "EQ", "value": true});
        for _ in 0..8 {
            rule = json!({ "not": rule });
        }
        assert!(read(rule.clone()).is_ok());
        assert_eq!(read(json!({ "not": rule })).unwrap_err(), ["/rule/not/not/not/not/not/not/not/not"]);
    }
}
