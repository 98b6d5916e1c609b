//! Values that cannot be read: what a refusal says, and that it neither hides nor invents other faults.

use serde_json::{Value, json};

use crate::input::{operations, pointers, problem};
use crate::shop::Shop;

/// Words that only a program in Rust would use for a value of JSON.
const RUST: [&str; 14] = [
    "untagged",
    "out of range integral",
    "did not match",
    "invalid type",
    "invalid value",
    "invalid length",
    "unknown variant",
    "struct ",
    "enum ",
    "tuple",
    " u8",
    " u32",
    " i64",
    "serde",
];

/// Resolves a reference of the description, and a nullable schema to that of its value.
fn resolved<'a>(document: &'a Value, mut schema: &'a Value) -> &'a Value {
    for _ in 0..8 {
        let reference = schema["$ref"].as_str().and_then(|it| document.pointer(it.trim_start_matches('#')));
        let not_null = || schema["anyOf"].as_array()?.iter().find(|one| one["type"] != "null");
        match reference.or_else(not_null) {
            Some(inner) => schema = inner,
            None => break,
        }
    }
    schema
}

/// The bodies in which every member of a schema, at any depth, has a value of each wrong kind.
fn wrong_bodies(document: &Value, schema: &Value, wrap: &dyn Fn(Value) -> Value, depth: usize, out: &mut Vec<Value>) {
    let schema = resolved(document, schema);
    let wrong = ["null", "1.5", "1e400", "\"x\"", "[[1]]", "{\"a\":{\"b\":1}}"];
    out.extend(wrong.iter().map(|text| wrap(serde_json::from_str(text).unwrap())));
    if depth == 2 {
        return;
    }
    for one in schema["oneOf"].as_array().into_iter().flatten() {
        let one = resolved(document, one);
        let tag = one["properties"]["type"]["const"].clone();
        for (name, inner) in one["properties"].as_object().into_iter().flatten() {
            let with_tag = |value: Value| {
                let mut body = json!({"type": tag});
                body[name] = value;
                wrap(body)
            };
            wrong_bodies(document, inner, &with_tag, depth + 1, out);
        }
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        wrong_bodies(document, inner, &|value| wrap(json!({ name: value })), depth + 1, out);
    }
    if schema["additionalProperties"].is_object() {
        let inner = &schema["additionalProperties"];
        wrong_bodies(document, inner, &|value| wrap(json!({ "k": value })), depth + 1, out);
    }
    if schema["items"].is_object() {
        wrong_bodies(document, &schema["items"], &|value| wrap(json!([value])), depth + 1, out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_refusal_uses_the_words_of_the_program() {
    let shop = Shop::start().await;
    let document = shop.anyone.get("/openapi.json").await.expect(200);
    let (mut found, mut sent) = (std::collections::BTreeMap::new(), 0);
    for operation in operations(&shop).await {
        // Every single wrong value below the members; `{}` and the like are valid for some operations and change little.
        let Some(members) = operation.body().and_then(|schema| schema["properties"].as_object()) else { continue };
        if operation.path.contains("logout") || operation.path.contains("/users/me") {
            continue;
        }
        let mut bodies = Vec::new();
        for (name, schema) in members {
            wrong_bodies(&document, schema, &|value| json!({ name: value }), 0, &mut bodies);
        }
        let mut details: Vec<(String, String)> = Vec::new();
        for chunk in bodies.chunks(32) {
            let answers = chunk.iter().map(|body| operation.send(&shop.admin, body.to_string()));
            for (answer, body) in futures_util::future::join_all(answers).await.into_iter().zip(chunk) {
                sent += 1;
                assert!(answer.status < 500 && answer.status != 400, "{} {body}: {answer:?}", operation.path);
                if answer.status == 422 {
                    let errors = answer.json()["errors"].as_array().cloned().unwrap_or_default();
                    let detail = |error: &Value| (error["detail"].as_str().unwrap().to_owned(), body.to_string());
                    details.extend(errors.iter().map(detail));
                }
            }
        }
        for (detail, body) in details {
            if RUST.iter().any(|word| detail.contains(word)) {
                found.entry(detail).or_insert_with(|| format!("{} {} {body}", operation.method, operation.path));
            }
        }
    }
    assert_eq!(found, std::collections::BTreeMap::new());
    assert!(sent > 500, "{sent}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_not_taken_from_the_query_and_null_is_no_default() {
    let shop = Shop::start().await;
    let in_url = "/api/auth/login?email=admin@example.com&password=a%20long%20and%20quiet%20harbour";
    let refused = shop.anyone.post(in_url, &json!({})).await;
    let refused = problem(&refused, &[422], in_url);
    assert_eq!(pointers(&refused), ["/email", "?email", "?password", "/password"]);
    let product = json!({"sku": "N", "name": "N", "price": "1.00", "status": "DRAFT", "discountable": false});
    let id = shop.admin.post("/api/products", &product).await.expect(201)["id"].clone();
    let promotion = json!({"name": "P", "priority": 5, "actions": [{"type": "PERCENT_OFF", "value": "10"}]});
    let promotion = shop.admin.post("/api/promotions", &promotion).await.expect(201)["id"].clone();
    let category =
        shop.admin.post("/api/categories", &json!({"name": "C", "position": 3})).await.expect(201)["id"].clone();
    let (product, promotion) = (format!("/api/products/{id}"), format!("/api/promotions/{promotion}"));
    let category = format!("/api/categories/{category}");
    for (path, patch, pointer) in [
        (&product, json!({"status": null}), "/status"),
        (&product, json!({"taxClass": null}), "/taxClass"),
        (&product, json!({"discountable": null}), "/discountable"),
        (&category, json!({"position": null}), "/position"),
        (&promotion, json!({"priority": null}), "/priority"),
        (&promotion, json!({"stage": null}), "/stage"),
        (&promotion, json!({"couponOnly": null}), "/couponOnly"),
        (&promotion, json!({"stacking": null}), "/stacking"),
        (&promotion, json!({"timezone": null}), "/timezone"),
        (&promotion, json!({"limits": {"nope": null}}), "/limits/nope"),
        (&promotion, json!({"stacking": {"nope": null}}), "/stacking/nope"),
        (&promotion, json!({"when": {"nope": null}}), "/when/nope"),
    ] {
        let answer = shop.admin.patch(path, &patch).await;
        let refused = problem(&answer, &[422], &patch.to_string());
        assert_eq!(pointers(&refused), [pointer], "{patch}: {refused}");
    }
    assert_eq!(shop.admin.get(&product).await.expect(200)["status"], "DRAFT");
    assert_eq!(shop.admin.get(&promotion).await.expect(200)["priority"], 5);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_value_causes_no_other_fault_and_hides_none() {
    let shop = Shop::start().await;
    let campaign = json!({"name": "C", "startsAt": "2100-01-01T00:00:00Z", "endsAt": "2100-02-01T00:00:00Z"});
    let campaign = shop.admin.post("/api/campaigns", &campaign).await.expect(201)["id"].clone();
    let campaign = format!("/api/campaigns/{campaign}");
    let item = json!({"sku": "A", "salePrice": "0.50", "stock": 1});
    shop.product("A", "1.00", 5).await;
    for (method, path, body, wanted) in [
        ("POST", "/api/products", json!({"name": "V", "variants": 5}), &["/variants"][..]),
        ("PATCH", &campaign, json!({"startsAt": "soon", "endsAt": "2099-01-01T00:00:00Z"}), &["/startsAt"]),
        (
            "POST",
            "/api/flash-sales",
            json!({"name": "F", "startsAt": 5, "endsAt": "1999-01-01T00:00:00Z", "items": [item]}),
            &["/startsAt"],
        ),
        ("PATCH", "/api/settings/taxes", json!({"classes": 5, "shippingTaxClass": "BOOKS"}), &["/classes"]),
        (
            "POST",
            "/api/promotions",
            json!({"name": "P", "actions": [{"value": "10"}], "limits": {"perUser": 0}}),
            &["/actions/0/type", "/limits/perUser"],
        ),
    ] {
        let media = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let answer = shop.admin.send(method, path, media, body.to_string().into()).await.unwrap();
        let refused = problem(&answer, &[422], path);
        assert_eq!(pointers(&refused), wanted, "{body}: {refused}");
    }
    shop.close().await;
}
