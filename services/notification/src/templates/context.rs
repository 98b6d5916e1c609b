//! The data of templates: the store and the order of a message, and the conversion from JSON.

use std::collections::BTreeMap;

use minijinja::Value;
use minijinja::value::Serde;
use promox_contract::order::{OrderDescription, OrderStatus, Totals};
use promox_contract::order_line::OrderLine;
use promox_contract::store::StoreProfile;
use promox_kernel::{Currency, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value as Json};

/// The data of a template, by name.
pub(crate) type Members = BTreeMap<String, Value>;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Store<'a> {
    name: &'a str,
    url: &'a str,
    locale: &'a str,
    currency: Currency,
    bank_transfer: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Order<'a> {
    number: &'a str,
    status: OrderStatus,
    currency: Currency,
    lines: &'a [OrderLine],
    totals: &'a Totals,
    prices_include_tax: bool,
    has_discount: bool,
    created_at: Timestamp,
    payment_method: Option<&'a str>,
}

#[derive(Serialize)]
struct Tracking<'a> {
    carrier: &'a str,
    number: &'a str,
}

/// The store's data, which every template has.
pub(crate) fn store(profile: &StoreProfile, public_url: &str) -> Value {
    let StoreProfile { name, locale, currency, .. } = profile;
    let bank_transfer = profile.bank_transfer.as_deref();
    Value::from(Serde(Store { name, url: public_url, locale, currency: *currency, bank_transfer }))
}

/// The data of an order, added to the data of the event.
pub(crate) fn order(order: &OrderDescription, facts: &Map<String, Json>) -> Members {
    let tracking = order.tracking.as_ref().map(|(carrier, number)| Tracking { carrier, number });
    let details = Order {
        number: &order.number,
        status: order.status,
        currency: order.currency,
        lines: &order.lines,
        totals: &order.totals,
        prices_include_tax: order.prices_include_tax,
        has_discount: !order.totals.discount.is_zero(),
        created_at: order.created_at,
        payment_method: order.payment_method.as_deref(),
    };
    let mut members = self::members(facts);
    members.insert("name".to_owned(), Value::from(Serde(&order.name)));
    members.insert("tracking".to_owned(), Value::from(Serde(tracking)));
    members.insert("order".to_owned(), Value::from(Serde(details)));
    members
}

/// The members of a JSON object.
pub(crate) fn members(object: &Map<String, Json>) -> Members {
    object.iter().map(|(name, member)| (name.clone(), value(member))).collect()
}

/// The members of a JSON document.
pub(crate) fn json_members(document: &Json) -> Members {
    document.as_object().map(members).unwrap_or_default()
}

/// Converts JSON for templates. A number that is not an integer is passed as its digits, because `serde_json` is built
/// with arbitrary precision.
fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => number.as_i64().map_or_else(|| Value::from(number.to_string()), Value::from),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::from(items.iter().map(value).collect::<Vec<_>>()),
        Json::Object(object) => Value::from(members(object)),
    }
}
