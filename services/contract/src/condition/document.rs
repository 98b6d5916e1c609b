//! Conditions as documents: what they look like in JSON and in tables.
//!
//! They are flat structs with every member optional, so that whatever is wrong with one is found when it is read and pointed
//! at, and no unknown member passes unseen.

use std::collections::BTreeMap;

use promox_kernel::{Amount, Sku, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
        EndsWith = "ENDS_WITH",
    }
}

impl Operator {
    /// Whether it asks for an order.
    pub fn is_order(self) -> bool {
        matches!(self, Self::Lt | Self::Lte | Self::Gt | Self::Gte)
    }

    /// Whether it asks for membership in a list.
    pub fn is_membership(self) -> bool {
        matches!(self, Self::In | Self::NotIn)
    }
}

/// A condition: one of `all`, `any`, `not`, or a comparison of `field`, `op` and `value`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
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
    /// What is compared, `"cart.subtotal"`; a segment asks for `customer.…` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// How.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<Operator>,
    /// With what: a text, a number, a truth value, or a list for `IN` and `NOT_IN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Which lines an `items.…` field is about; all unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Box<ItemFilter>>,
}

impl Condition {
    /// Whether it compares a field with a text somewhere.
    pub fn names(&self, field: &str, text: &str) -> bool {
        let says = |value: &Value| match value {
            Value::String(one) => one == text,
            Value::Array(many) => many.iter().any(|one| one.as_str() == Some(text)),
            _ => false,
        };
        let here = self.field.as_deref() == Some(field) && self.value.as_ref().is_some_and(says);
        let mut within = self.all.iter().flatten().chain(self.any.iter().flatten()).chain(self.not.as_deref());
        here || within.any(|condition| condition.names(field, text))
    }

    /// Whether it is about the goods of a category somewhere.
    pub fn names_category(&self, id: i64) -> bool {
        let here = self.items.as_ref().is_some_and(|items| items.names_category(id));
        let mut within = self.all.iter().flatten().chain(self.any.iter().flatten()).chain(self.not.as_deref());
        here || within.any(|condition| condition.names_category(id))
    }
}

/// Which lines: members of a list are alternatives, keys must all match. An empty filter is every line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemFilter {
    /// These SKUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skus: Option<Vec<Sku>>,
    /// Variants of these products.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_ids: Option<Vec<i64>>,
    /// Products of these categories and all below them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<Vec<i64>>,
    /// Products whose attributes have these values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<BTreeMap<String, OneOrMany>>,
    /// Units that cost at least this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_price: Option<Amount>,
    /// Units that cost at most this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_price: Option<Amount>,
    /// Not what the catalogue's price rules have lowered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_discounted: Option<bool>,
    /// Not what this filter matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Box<ItemFilter>>,
}

impl ItemFilter {
    /// Whether it names this category itself, whatever stands above or below it.
    pub fn names_category(&self, id: i64) -> bool {
        self.categories.as_ref().is_some_and(|categories| categories.contains(&id))
    }
}

/// A text, or several of which one is enough.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// This one.
    One(String),
    /// Any of these.
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
