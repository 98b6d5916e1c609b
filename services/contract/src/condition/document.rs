//! Condition documents: the form of conditions in JSON and in tables.
//!
//! Documents are flat structs of optional members, so that parsing can report every fault with a pointer. Unknown
//! members are faults too.

use std::collections::BTreeMap;

use promox_kernel::{Amount, Sku, text_enum};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

text_enum! {
    /// Comparison operators.
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
        EndsWith = "ENDS_WITH",
    }
}

impl Operator {
    /// Whether the operator compares the order of two values.
    pub fn is_order(self) -> bool {
        matches!(self, Self::Lt | Self::Lte | Self::Gt | Self::Gte)
    }

    /// Whether the operator tests membership in a list.
    pub fn is_membership(self) -> bool {
        matches!(self, Self::In | Self::NotIn)
    }
}

/// A condition: one of `all`, `any`, `not`, or a comparison of `field`, `op` and `value`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = one_of_its_forms)]
pub struct Condition {
    /// Conditions that must all hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<Vec<Condition>>,
    /// Conditions of which at least one must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub any: Option<Vec<Condition>>,
    /// A condition that must not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not: Option<Box<Condition>>,
    /// The field: `cart.subtotal`, `cart.quantity`, `cart.lines`, `cart.currency` or `cart.attributes.NAME`; `items.subtotal`,
    /// `items.quantity` or `items.maxLineQuantity`; `customer.id`, `customer.tier`, `customer.segments`, `customer.orderCount`,
    /// `customer.totalSpent`, `customer.registeredDays`, `customer.isGuest`, `customer.email` or `customer.attributes.NAME`;
    /// `shipping.country`, `shipping.method`, `payment.method`, `channel`, `time.weekday` or `time.hour`. A segment may use
    /// `customer.…` fields only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<Operator>,
    /// The value: a text, a number, a boolean, or a list for `IN` and `NOT_IN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// The lines that an `items.…` field covers; all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Box<ItemFilter>>,
}

/// Describes a condition as one of its four forms, for clients that are generated from the description.
fn one_of_its_forms(schema: &mut Schema) {
    let Some(Value::Object(members)) = schema.remove("properties") else { return };
    let form = |title: &str, required: &[&str], optional: &[&str]| {
        let of = |names: &[&str], strip: bool| -> Vec<(String, Value)> {
            let member = |name: &&str| {
                let known = members.get(*name).cloned().unwrap_or_default();
                ((*name).to_owned(), if strip { never_null(known) } else { known })
            };
            names.iter().map(member).collect()
        };
        let properties: Map<String, Value> = of(required, true).into_iter().chain(of(optional, false)).collect();
        json!({
            "title": title,
            "type": "object",
            "required": required,
            "additionalProperties": false,
            "properties": properties,
        })
    };
    let forms = json!([
        form("AllCondition", &["all"], &[]),
        form("AnyCondition", &["any"], &[]),
        form("NotCondition", &["not"], &[]),
        form("Comparison", &["field", "op", "value"], &["items"]),
    ]);
    schema.insert("oneOf".to_owned(), forms);
    schema.remove("type");
}

/// The schema of an optional member where it is required.
fn never_null(mut schema: Value) -> Value {
    let Some(members) = schema.as_object_mut() else { return schema };
    if let Some(Value::Array(types)) = members.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            members.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(variants)) = members.get_mut("anyOf") {
        variants.retain(|variant| variant.get("type").is_none_or(|name| name != "null"));
    }
    schema
}

impl Condition {
    /// Whether the condition, or one nested in it, compares a field with a text.
    pub fn names(&self, field: &str, text: &str) -> bool {
        let contains = |value: &Value| match value {
            Value::String(one) => one == text,
            Value::Array(many) => many.iter().any(|one| one.as_str() == Some(text)),
            _ => false,
        };
        let here = self.field.as_deref() == Some(field) && self.value.as_ref().is_some_and(contains);
        let mut nested = self.all.iter().flatten().chain(self.any.iter().flatten()).chain(self.not.as_deref());
        here || nested.any(|condition| condition.names(field, text))
    }

    /// Whether the condition, or one nested in it, refers to a category.
    pub fn names_category(&self, id: i64) -> bool {
        let here = self.items.as_ref().is_some_and(|items| items.names_category(id));
        let mut nested = self.all.iter().flatten().chain(self.any.iter().flatten()).chain(self.not.as_deref());
        here || nested.any(|condition| condition.names_category(id))
    }

    /// Replaces a category in the condition and in those nested in it.
    pub fn replace_category(&mut self, id: i64, by: i64) {
        if let Some(items) = &mut self.items {
            items.replace_category(id, by);
        }
        let nested = self.all.iter_mut().flatten().chain(self.any.iter_mut().flatten()).chain(self.not.as_deref_mut());
        nested.for_each(|condition| condition.replace_category(id, by));
    }
}

/// A filter of lines. The elements of a list are alternatives, while all members must match. An empty filter matches
/// every line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemFilter {
    /// Lines of any of these SKUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skus: Option<Vec<Sku>>,
    /// Variants of any of these products.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_ids: Option<Vec<i64>>,
    /// Products in any of these categories or below them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<Vec<i64>>,
    /// Products whose attributes have these values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<BTreeMap<String, OneOrMany>>,
    /// Units with at least this price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_price: Option<Amount>,
    /// Units with at most this price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_price: Option<Amount>,
    /// Whether lines to which a price rule applies are excluded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_discounted: Option<bool>,
    /// A filter for lines that are excluded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Box<ItemFilter>>,
}

impl ItemFilter {
    /// Whether the filter or its `exclude` filter names this very category, not an ancestor or descendant of it.
    pub fn names_category(&self, id: i64) -> bool {
        self.categories.as_ref().is_some_and(|categories| categories.contains(&id))
            || self.exclude.as_ref().is_some_and(|exclude| exclude.names_category(id))
    }

    /// Replaces a category in the filter and its `exclude` filter, without duplicates.
    pub fn replace_category(&mut self, id: i64, by: i64) {
        if let Some(categories) = &mut self.categories
            && let Some(place) = categories.iter().position(|category| *category == id)
        {
            if categories.contains(&by) {
                categories.remove(place);
            } else if let Some(category) = categories.get_mut(place) {
                *category = by;
            }
            categories.retain(|category| *category != id);
        }
        if let Some(exclude) = &mut self.exclude {
            exclude.replace_category(id, by);
        }
    }
}

/// A text, or several alternatives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// This text.
    One(String),
    /// Any of these texts.
    Many(Vec<String>),
}

impl OneOrMany {
    /// The texts.
    pub fn texts(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}
