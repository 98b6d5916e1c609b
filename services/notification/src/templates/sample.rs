//! Sample data with which templates are tested when they are saved, and rendered in a preview.

use serde_json::{Value, json};

use crate::kinds::{MessageKind, Subject};

/// Sample data with every optional value.
pub(crate) fn full(kind: MessageKind) -> Value {
    let mut data = json!({
        "store": {"name": "Sample Shop", "url": "https://shop.example", "locale": "en", "currency": "GBP",
                  "bankTransfer": "Sample Shop Ltd\nIBAN GB33 BUKB 2020 1555 5555 55"},
        "name": "Ada Lovelace",
        "timezone": "Europe/London",
    });
    if let Some(members) = data.as_object_mut() {
        members.extend(subject_data(kind));
    }
    data
}

/// Sample data with as few values as possible.
pub(crate) fn sparse(kind: MessageKind) -> Value {
    let mut data = full(kind);
    if let Some(members) = data.as_object_mut() {
        for name in ["name", "tracking", "link", "unsubscribe"] {
            members.entry(name).and_modify(|member| *member = Value::Null);
        }
        if let Some(cart) = members.get_mut("cart").and_then(Value::as_object_mut) {
            cart.insert("lines".to_owned(), json!([]));
        }
        if let Some(store) = members.get_mut("store").and_then(Value::as_object_mut) {
            store.insert("bankTransfer".to_owned(), Value::Null);
        }
        if let Some(order) = members.get_mut("order").and_then(Value::as_object_mut) {
            order.insert("paymentMethod".to_owned(), Value::Null);
            order.insert("lines".to_owned(), json!([]));
            order.insert("hasDiscount".to_owned(), json!(false));
            order.insert("pricesIncludeTax".to_owned(), json!(false));
        }
    }
    data
}

/// The full and the sparse data; a template must render with either.
pub(crate) fn all(kind: MessageKind) -> [Value; 2] {
    [full(kind), sparse(kind)]
}

/// The data of what a kind of message is about.
fn subject_data(kind: MessageKind) -> serde_json::Map<String, Value> {
    let data = match kind.subject() {
        Subject::User => json!({}),
        Subject::Link => {
            json!({"link": "https://shop.example/confirm?token=sample", "token": "sample", "expiresAt": "2026-11-23T06:33:00.000Z"})
        }
        Subject::Cart => json!({
            "cart": {
                "link": "https://shop.example/cart?token=sample",
                "lines": [{"sku": "85123A", "name": "White hanging heart T-light holder", "quantity": 6}],
            },
            "unsubscribe": "https://shop.example/unsubscribe?token=sample",
        }),
        Subject::Merchant if kind == MessageKind::WebhookDisabled => {
            json!({"webhook": {"url": "https://erp.example/hooks", "reason": "It answered 410 Gone.", "gone": true, "error": null}})
        }
        Subject::Merchant => json!({"stock": {"sku": "85123A", "available": 3, "threshold": 5}}),
        Subject::Order => json!({
            "order": order(),
            "tracking": {"carrier": "Royal Mail", "number": "RM123456789GB"},
            "refund": {"amount": "7.65", "currency": "GBP", "some": true},
            "voided": {"amount": "2.55", "currency": "GBP", "some": true},
            "points": 120,
        }),
    };
    let mut members = if let Value::Object(members) = data { members } else { serde_json::Map::new() };
    if !matches!(kind, MessageKind::OrderReturned | MessageKind::PaymentRefunded) {
        members.remove("refund");
    }
    if kind != MessageKind::OrderReturned {
        members.remove("voided");
        members.remove("points");
    }
    members
}

fn order() -> Value {
    json!({
        "number": "K7QX-2M9R",
        "status": "CONFIRMED",
        "currency": "GBP",
        "lines": [{
            "sku": "85123A", "productId": 1, "name": "White hanging heart T-light holder", "quantity": 6,
            "unitPrice": "2.55", "listPrice": "2.55", "subtotal": "15.30", "discount": "1.53", "tax": "0.00", "total": "13.77",
        }],
        "totals": {
            "subtotal": "15.30", "discount": "1.53", "shipping": "3.95", "shippingDiscount": "0.00", "tax": "0.00",
            "pointsRedeemed": 0, "pointsValue": "0.00", "total": "17.72",
        },
        "pricesIncludeTax": true,
        "hasDiscount": true,
        "createdAt": "2026-11-23T05:33:00.000Z",
        "paymentMethod": "BANK_TRANSFER",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of all members of a document at any depth.
    fn names(document: &Value, found: &mut Vec<String>) {
        match document {
            Value::Object(members) => {
                for (name, member) in members {
                    found.push(name.clone());
                    names(member, found);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| names(item, found)),
            _ => {}
        }
    }

    #[test]
    fn the_reference_lists_every_variable() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference.md");
        let text = std::fs::read_to_string(path).unwrap();
        let table = text.split("## Variables of templates").nth(1).unwrap();
        let mut found = Vec::new();
        MessageKind::ALL.iter().for_each(|kind| names(&full(*kind), &mut found));
        for name in found {
            let is_listed = [("`", "`"), (".", "`"), ("`", "."), (".", "."), (".", "[]`")]
                .iter()
                .any(|(before, after)| table.contains(&format!("{before}{name}{after}")));
            assert!(is_listed, "{name} is missing in docs/reference.md");
        }
    }
}
