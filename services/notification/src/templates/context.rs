//! The data of templates: the store and the order of a message, and the conversion from JSON.

use std::collections::BTreeMap;

use minijinja::Value;
use promox_contract::order::OrderDescription;
use promox_contract::store::StoreProfile;
use serde_json::{Map, Value as Json, json};

/// The store's data, which every template has.
pub(crate) fn store(facts: &StoreProfile, public_url: &str) -> Json {
    json!({"name": facts.name, "url": public_url, "locale": facts.locale, "currency": facts.currency})
}

/// The data of an order, added to the data of the event.
pub(crate) fn order(order: &OrderDescription, facts: &Map<String, Json>) -> Map<String, Json> {
    let mut members = facts.clone();
    let tracking = order.tracking.as_ref().map(|(carrier, number)| json!({"carrier": carrier, "number": number}));
    members.insert("name".to_owned(), json!(order.name));
    members.insert("tracking".to_owned(), json!(tracking));
    members.insert(
        "order".to_owned(),
        json!({
            "number": order.number,
            "status": order.status,
            "currency": order.currency,
            "lines": order.lines,
            "totals": order.totals,
            "hasDiscount": !order.totals.discount.is_zero(),
            "createdAt": order.created_at,
        }),
    );
    members
}

/// Converts JSON for templates. A number that is not an integer is passed as its digits, because `serde_json` is built
/// with arbitrary precision.
pub(crate) fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => number.as_i64().map_or_else(|| Value::from(number.to_string()), Value::from),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::from(items.iter().map(value).collect::<Vec<_>>()),
        Json::Object(members) => {
            Value::from(members.iter().map(|(name, member)| (name.clone(), value(member))).collect::<BTreeMap<_, _>>())
        }
    }
}
