//! The data of customers as facts for conditions.

use promox_kernel::{Currency, Email};

use super::field::{CustomerField, Field};
use super::holds::{Actual, Facts};
use super::test::Leaf;
use crate::promotion::Customer;

/// The facts about a customer, with amounts in a currency.
#[derive(Clone, Copy, Debug)]
pub struct CustomerFacts<'a> {
    /// The customer.
    pub customer: &'a Customer,
    /// The currency of the customer's spending and of the conditions' amounts.
    pub currency: Currency,
}

impl<'a> CustomerFacts<'a> {
    /// The value of a field of the customer.
    pub fn of(self, field: &CustomerField) -> Actual<'a> {
        let text = |text: Option<&'a str>| text.map_or(Actual::Unknown, Actual::Text);
        let Customer { id, email, tier, segments, order_count, total_spent, .. } = self.customer;
        match field {
            CustomerField::Id => id.map_or(Actual::Unknown, |id| Actual::Number(id.0)),
            CustomerField::Tier => text(tier.as_deref()),
            CustomerField::Segments => Actual::Texts(segments),
            CustomerField::OrderCount => Actual::Number(*order_count),
            CustomerField::TotalSpent => {
                let spent = self.currency.minor_units(self.currency.round(total_spent.0));
                Actual::Number(spent.unwrap_or(i64::MAX))
            }
            CustomerField::RegisteredDays => self.customer.registered_days.map_or(Actual::Unknown, Actual::Number),
            CustomerField::IsGuest => Actual::Flag(self.customer.is_guest),
            CustomerField::Email => text(email.as_ref().map(Email::as_str)),
            CustomerField::Attribute(name) => text(self.customer.attributes.get(name).map(String::as_str)),
        }
    }
}

/// Only fields of the customer have values.
impl Facts<()> for CustomerFacts<'_> {
    fn actual<'f>(&'f self, leaf: &'f Leaf<()>) -> Actual<'f> {
        match &leaf.field {
            Field::Customer(field) => self.of(field),
            _ => Actual::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use promox_kernel::UserId;
    use serde_json::json;

    use super::super::{Condition, Subject, Test};
    use super::*;

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
    fn conditions_are_evaluated_for_a_customer() {
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
            (json!({"field": "customer.email", "op": "ENDS_WITH", "value": ".COM"}), true, false),
            (json!({"field": "customer.email", "op": "ENDS_WITH", "value": "ada"}), false, false),
            (json!({"not": {"field": "customer.attributes.club", "op": "ENDS_WITH", "value": "s"}}), false, true),
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
            let condition: Condition = serde_json::from_value(rule.clone()).unwrap();
            let test = Test::read(&condition, "/rule", Subject::Customer, Currency::GBP).unwrap();
            let holds = |customer: &Customer| test.holds(&CustomerFacts { customer, currency: Currency::GBP });
            assert_eq!((holds(&ada()), holds(&guest)), (of_ada, of_guest), "{rule}");
        }
    }
}
