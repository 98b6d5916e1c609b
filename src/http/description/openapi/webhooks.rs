//! The messages that services send to the merchant's systems, as the description's `webhooks`.

#![allow(clippy::indexing_slicing, reason = "assigning to an index of a JSON object creates the member")]

use promox_kernel::Outgoing;
use serde_json::{Map, Value, json};

use super::schemas::Schemas;

/// The path item of a message.
pub(super) fn describe(message: &Outgoing, schemas: &mut Schemas) -> Value {
    let summary = message.summary_of(&mut schemas.responses);
    let summary = Schemas::resolve(&summary, &schemas.responses)["description"].clone();
    // What is sent is described by what serde writes, and what is read by what it reads.
    let body = message.body(&mut schemas.responses);
    let mut body = Schemas::resolve(&body, &schemas.responses).clone();
    let described = body["properties"]["type"]["description"].clone();
    body["properties"]["type"] = json!({"type": "string", "const": message.kind, "description": described});
    body["description"] = summary.clone();
    let body = schemas.add_body(format!("{}Message", name_of(message.kind)), body);
    let answer = message.answer(&mut schemas.requests);
    json!({
        "post": {
            "operationId": format!("{}.{}", message.service, message.kind),
            "tags": [message.service],
            "summary": summary,
            "security": [],
            "parameters": message.headers.iter().map(header).collect::<Vec<_>>(),
            "requestBody": {"required": true, "content": {"application/json": {"schema": body}}},
            "responses": message
                .statuses
                .iter()
                .map(|(status, text)| ((*status).to_owned(), response(status, text, answer.as_ref())))
                .collect::<Map<_, _>>(),
        },
    })
}

fn header((name, description): &(&str, &str)) -> Value {
    let schema = json!({"type": "string"});
    // Only the trace is not always there.
    let required = *name != "traceparent";
    json!({"name": name, "in": "header", "required": required, "schema": schema, "description": description})
}

fn response(status: &str, text: &str, answer: Option<&schemars::Schema>) -> Value {
    match answer.filter(|_| status.starts_with('2')) {
        Some(answer) => json!({"description": text, "content": {"application/json": {"schema": answer}}}),
        None => json!({"description": text}),
    }
}

/// The name of a type: `OrderConfirmed` of `ORDER_CONFIRMED`.
fn name_of(kind: &str) -> String {
    let words = kind.split('_').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_owned() + &rest.to_lowercase()
    });
    words.collect()
}
