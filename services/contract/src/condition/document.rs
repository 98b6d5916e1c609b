//! Condition documents: their form in JSON and in tables.
//!
//! They are flat structs with only optional members, so that every fault is found and reported with a pointer when a
//! document is parsed, and unknown members are not ignored.

use std::collections::BTreeMap;

use promox_kernel::{Amount, Sku, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    /// Whether it is an ordering comparison.
    pub fn is_order(self) -> bool {
        matches!(self, Self::Lt | Self::Lte | Self::Gt | Self::Gte)
    }

    /// Whether it tests membership in a list.
    pub fn is_membership(self) -> bool {
        matches!(self, Self::In | Self::NotIn)
    }
}

/// A condition: one of `all`, `any`, `not`, or a comparison of `field`, `op` and `value`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// All of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<Vec<Condition>>,
    /// At least one of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub any: Option<Vec<Condition>>,
    /// The negation of this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not: Option<Box<Condition>>,
    /// The field, `"cart.subtotal"`; a segment uses `customer.…` only.
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

impl Condition {
    /// Whether it compares a field with a text anywhere.
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

    /// Whether it refers to a category anywhere.
    pub fn names_category(&self, id: i64) -> bool {
        let here = self.items.as_ref().is_some_and(|items| items.names_category(id));
        let mut within = self.all.iter().flatten().chain(self.any.iter().flatten()).chain(self.not.as_deref());
        here || within.any(|condition| condition.names_category(id))
    }

    /// Replaces a category wherever it refers to it.
    pub fn replace_category(&mut self, id: i64, by: i64) {
        if let Some(items) = &mut self.items {
            items.replace_category(id, by);
        }
        let parts = self.all.iter_mut().flatten().chain(self.any.iter_mut().flatten()).chain(self.not.as_deref_mut());
        parts.for_each(|condition| condition.replace_category(id, by));
    }
}

/// A filter of lines: members of a list are alternatives, keys must all match. An empty filter matches every line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemFilter {
    /// Any of these SKUs.
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
    /// Excludes lines with a price rule applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_discounted: Option<bool>,
    /// Excludes lines that match this filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Box<ItemFilter>>,
}

impl ItemFilter {
    /// Whether it names this category itself, not an ancestor or descendant, also in what it excludes.
    pub fn names_category(&self, id: i64) -> bool {
        self.categories.as_ref().is_some_and(|categories| categories.contains(&id))
            || self.exclude.as_ref().is_some_and(|exclude| exclude.names_category(id))
    }

    /// Replaces a category, in what is excluded too; one that is named already is not named twice.
    pub fn replace_category(&mut self, id: i64, by: i64) {
        if let Some(categories) = &mut self.categories
            && let Some(place) = categories.iter().position(|named| *named == id)
        {
            if categories.contains(&by) {
                categories.remove(place);
            } else if let Some(named) = categories.get_mut(place) {
                *named = by;
            }
            categories.retain(|named| *named != id);
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
