//! Parsing of conditions: every member is validated and every fault is reported.

use promox_kernel::{Amount, Currency, FieldError};
use rust_decimal::Decimal;
use serde_json::Value;

use crate::codes;

use super::document::{Condition, ItemFilter, Operator};
use super::field::{Field, Subject, ValueType};
use super::hours::DAYS;
use super::test::{Leaf, Test, Wanted};

/// The maximum nesting depth of `all`, `any` and `not`.
const MAX_DEPTH: usize = 8;
/// The maximum number of comparisons of a condition, including nested ones.
const MAX_COMPARISONS: usize = 200;
/// The maximum number of elements of a list value.
const MAX_MEMBERS: usize = 1_000;

/// The parsed form of a line filter.
pub trait Lines: Sized {
    /// Parses the filter at a pointer and adds its faults to `faults`. No filter means every line.
    fn read_filter(
        filter: Option<&ItemFilter>,
        pointer: &str,
        currency: Currency,
        faults: &mut Vec<FieldError>,
    ) -> Self;
}

/// Where there are no lines, no field accepts a filter: any filter has been refused already.
impl Lines for () {
    fn read_filter(_: Option<&ItemFilter>, _: &str, _: Currency, _: &mut Vec<FieldError>) -> Self {}
}

impl<I: Lines> Test<I> {
    /// Parses the condition at a pointer, with amounts in `currency`. The error lists every fault.
    pub fn read(
        condition: &Condition,
        pointer: &str,
        subject: Subject,
        currency: Currency,
    ) -> Result<Self, Vec<FieldError>> {
        let mut reader = Reader { faults: Vec::new(), subject, currency, comparisons: 0 };
        match reader.condition(condition, pointer, 0) {
            Some(test) if reader.faults.is_empty() => Ok(test),
            _ => Err(reader.faults),
        }
    }
}

/// Parses one condition.
struct Reader {
    faults: Vec<FieldError>,
    subject: Subject,
    currency: Currency,
    comparisons: usize,
}

impl Reader {
    fn fault(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.faults.push(FieldError::new(pointer, detail));
    }

    fn condition<I: Lines>(&mut self, condition: &Condition, pointer: &str, depth: usize) -> Option<Test<I>> {
        let comparison = condition.field.is_some()
            || condition.op.is_some()
            || condition.value.is_some()
            || condition.items.is_some();
        let forms = [condition.all.is_some(), condition.any.is_some(), condition.not.is_some(), comparison];
        if forms.iter().filter(|form| **form).count() != 1 {
            self.fault(pointer, "must be one of all, any, not, or a comparison of field, op and value");
            return None;
        }
        if comparison {
            return self.leaf(condition, pointer).map(|leaf| Test::Leaf(Box::new(leaf)));
        }
        if depth == MAX_DEPTH {
            self.fault(pointer, format!("must nest at most {MAX_DEPTH} levels deep"));
            return None;
        }
        if let Some(inner) = &condition.not {
            return Some(Test::Not(Box::new(self.condition(inner, &format!("{pointer}/not"), depth + 1)?)));
        }
        if let Some(all) = &condition.all {
            return self.condition_list(all, &format!("{pointer}/all"), depth).map(Test::All);
        }
        let any = condition.any.as_deref().unwrap_or_default();
        let pointer = format!("{pointer}/any");
        if any.is_empty() {
            self.fault(&pointer, "must not be empty: an empty any never holds");
        }
        self.condition_list(any, &pointer, depth).map(Test::Any)
    }

    fn condition_list<I: Lines>(
        &mut self,
        conditions: &[Condition],
        pointer: &str,
        depth: usize,
    ) -> Option<Vec<Test<I>>> {
        let mut tests = Vec::with_capacity(conditions.len());
        for (i, condition) in conditions.iter().enumerate() {
            tests.push(self.condition(condition, &format!("{pointer}/{i}"), depth + 1));
        }
        tests.into_iter().collect()
    }

    fn leaf<I: Lines>(&mut self, condition: &Condition, pointer: &str) -> Option<Leaf<I>> {
        self.count(condition, pointer);
        let (name, op, value) = (condition.field.clone()?, condition.op?, condition.value.clone()?);
        let field = self.field(&name, &format!("{pointer}/field"))?;
        let at = format!("{pointer}/items");
        if condition.items.is_some() && !field.is_of_items() {
            self.fault(&at, "only items.… fields accept an items filter");
        }
        let items = I::read_filter(condition.items.as_deref(), &at, self.currency, &mut self.faults);
        if !field.value_type().compares(op) {
            self.fault(format!("{pointer}/op"), format!("{op} cannot be used with {name}"));
            return None;
        }
        let wanted = self.wanted(&field, op, &value, (&name, &format!("{pointer}/value")))?;
        Some(Leaf { field, name, op, wanted, value, items })
    }

    /// Counts a comparison and reports its missing members.
    fn count(&mut self, condition: &Condition, pointer: &str) {
        self.comparisons += 1;
        if self.comparisons == MAX_COMPARISONS + 1 {
            self.fault(pointer, format!("must have at most {MAX_COMPARISONS} comparisons"));
        }
        for (name, absent) in
            [("field", condition.field.is_none()), ("op", condition.op.is_none()), ("value", condition.value.is_none())]
        {
            if absent {
                let (pointer, detail) =
                    (format!("{pointer}/{name}"), "a comparison must have field, op and value".to_owned());
                self.faults.push(FieldError::coded(pointer, codes::MISSING, detail));
            }
        }
    }

    fn field(&mut self, name: &str, pointer: &str) -> Option<Field> {
        let found =
            Field::parse(name).ok_or_else(|| format!("unknown field \"{name}\": use one of {}", Field::names()));
        let checked = found.and_then(|field| self.subject.check(&field, name).map(|()| field));
        checked.map_err(|detail| self.fault(pointer, detail)).ok()
    }

    /// Parses the value as the field's type and the operator require it.
    fn wanted(&mut self, field: &Field, op: Operator, value: &Value, (name, at): (&str, &str)) -> Option<Wanted> {
        if op.is_membership() {
            return self.list(field, value, (name, at));
        }
        let parsed = match field.value_type() {
            ValueType::Attribute if op.is_order() => decimal(value).map(Wanted::Decimal).ok_or("a number"),
            ValueType::Flag => value.as_bool().map(Wanted::Flag).ok_or("true or false"),
            _ => single(field, value, self.currency),
        };
        parsed.map_err(|required| self.fault(at, format!("{name} must be compared with {required}"))).ok()
    }

    fn list(&mut self, field: &Field, value: &Value, (name, at): (&str, &str)) -> Option<Wanted> {
        let members = value.as_array().filter(|list| (1..=MAX_MEMBERS).contains(&list.len()));
        let Some(members) = members else {
            self.fault(at, format!("IN and NOT_IN require a list of 1 to {MAX_MEMBERS} values"));
            return None;
        };
        let (mut numbers, mut texts) = (Vec::new(), Vec::new());
        for (i, member) in members.iter().enumerate() {
            match single(field, member, self.currency) {
                Ok(Wanted::Number(number)) => numbers.push(number),
                Ok(Wanted::Text(text)) => texts.push(text),
                Ok(_) => {}
                Err(required) => self.fault(format!("{at}/{i}"), format!("{name} must be compared with {required}")),
            }
        }
        Some(if field.value_type().is_number() { Wanted::Numbers(numbers) } else { Wanted::Texts(texts) })
    }
}

/// Parses a single value. The error says what kind of value the field requires.
fn single(field: &Field, value: &Value, currency: Currency) -> Result<Wanted, &'static str> {
    let number = |wanted: Option<i64>| wanted.map(Wanted::Number);
    match field.value_type() {
        ValueType::Money => {
            let minor = decimal(value).and_then(|amount| currency.minor_units(Amount(amount)));
            number(minor).ok_or("an amount in the currency's digits")
        }
        ValueType::Count => number(whole(value)).ok_or("a whole number"),
        ValueType::Hour => number(whole(value).filter(|hour| (0..24).contains(hour))).ok_or("an hour, 0 to 23"),
        ValueType::Weekday => {
            let day = value.as_str().filter(|day| DAYS.contains(day));
            day.map(|day| Wanted::Text(day.to_owned())).ok_or("a day, MON to SUN")
        }
        ValueType::Attribute => match value {
            Value::String(text) => Ok(Wanted::Text(text.clone())),
            Value::Number(number) => Ok(Wanted::Text(number.to_string())),
            Value::Bool(flag) => Ok(Wanted::Text(flag.to_string())),
            _ => Err("a string"),
        },
        ValueType::Text | ValueType::List => {
            value.as_str().map(|text| Wanted::Text(field.fold(text).into_owned())).ok_or("a string")
        }
        ValueType::Flag => Err("true or false"),
    }
}

/// The value of a number, or of a text that contains one.
fn decimal(value: &Value) -> Option<Decimal> {
    let amount: Amount = match value {
        Value::String(text) => text.parse().ok()?,
        Value::Number(number) => number.to_string().parse().ok()?,
        _ => return None,
    };
    Some(amount.0)
}

/// The value of a whole number, or of a text that contains one.
fn whole(value: &Value) -> Option<i64> {
    let decimal = decimal(value)?;
    decimal.is_integer().then(|| i64::try_from(decimal).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn faults(rule: Value) -> Vec<String> {
        let rule: Condition = serde_json::from_value(rule).unwrap();
        let read = Test::<()>::read(&rule, "/rule", Subject::Customer, Currency::GBP);
        read.err().unwrap_or_default().into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn type_errors_have_pointers() {
        let leaf = |field: &str, op: &str, value: Value| json!({"field": field, "op": op, "value": value});
        for (rule, pointers) in [
            (json!({}), vec!["/rule"]),
            (json!({"all": [], "any": []}), vec!["/rule"]),
            (json!({"any": []}), vec!["/rule/any"]),
            (leaf("cart.subtotal", "GT", json!(1)), vec!["/rule/field"]),
            (leaf("items.quantity", "GT", json!(1)), vec!["/rule/field"]),
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
                json!({"field": "customer.tier", "op": "EQ", "value": "GOLD", "items": {"skus": ["A"]}}),
                vec!["/rule/items"],
            ),
            (
                json!({"all": [leaf("x", "EQ", json!(1)), {"not": leaf("customer.isGuest", "EQ", json!("yes"))}]}),
                vec!["/rule/all/0/field", "/rule/all/1/not/value"],
            ),
        ] {
            assert_eq!(faults(rule.clone()), pointers, "{rule}");
        }
    }

    #[test]
    fn conditions_nest_at_most_eight_levels() {
        let mut rule = json!({"field": "customer.isGuest", "op": "EQ", "value": true});
        for _ in 0..8 {
            rule = json!({ "not": rule });
        }
        assert!(faults(rule.clone()).is_empty());
        assert_eq!(faults(json!({ "not": rule })), ["/rule/not/not/not/not/not/not/not/not"]);
    }

    #[test]
    fn each_subject_has_its_own_fields() {
        let accepts =
            |subject: Subject, name: &str| Field::parse(name).is_some_and(|field| subject.check(&field, name).is_ok());
        for (name, for_cart, for_catalog_price, for_customer) in [
            ("cart.subtotal", true, false, false),
            ("items.quantity", true, false, false),
            ("customer.tier", true, true, true),
            ("customer.segments", true, true, false),
            ("customer.attributes.club", true, true, true),
            ("channel", true, true, false),
            ("time.hour", true, true, false),
            ("payment.method", true, false, false),
            ("customer.name", false, false, false),
        ] {
            let accepted = [Subject::Cart, Subject::Shelf, Subject::Customer].map(|subject| accepts(subject, name));
            assert_eq!(accepted, [for_cart, for_catalog_price, for_customer], "{name}");
        }
    }
}
