//! Rules for every request: `Accept`, queries, media types, idempotency keys of guests, rate limits, patches, cursors
//! and text normalization.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::process::{promox, promox_with};
use crate::shop::{Shop, order_of};

fn pointer(answer: &Answer) -> Value {
    answer.json()["errors"][0]["pointer"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unacceptable_media_type_is_refused_before_any_effect() {
    let shop = Shop::start().await;
    shop.product("A", "1.00", 5).await;
    let order = order_of(&[("A", 1)], "tok_visa");
    for accept in ["text/html", "image/png, text/*", "application/json;q=0, */*"] {
        let client = shop.anyone.with("accept", accept);
        client.get("/api/products/sku/A").await.refused(406, "NOT_ACCEPTABLE");
        let refused = client.post("/api/orders", &order).await;
        refused.refused(406, "NOT_ACCEPTABLE");
        assert_eq!(refused.headers["content-type"], "application/problem+json", "refusals ignore Accept");
        client.get("/api/products/sku/B").await.refused(404, "NOT_FOUND");
    }
    assert_eq!(shop.stock_of("A").await, (5, 0), "the refused order has no effect");
    for accept in ["application/json", "text/html, */*;q=0.1", "application/*", "*", ""] {
        shop.anyone.with("accept", accept).get("/api/products/sku/A").await.expect(200);
    }
    let browser = shop.admin.with("accept", "text/html");
    let placed = browser.with("accept", "*/*").post("/api/orders", &order).await.expect(201);
    assert_eq!(browser.get(&format!("/api/orders/{}/invoice", placed["id"])).await.status, 200);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_or_non_utf8_query_parameters_are_refused() {
    let shop = Shop::start().await;
    for (path, at) in [
        ("/api/products?limit=1&limit=2", "?limit"),
        ("/api/products?sort=name&sort=price", "?sort"),
        ("/api/products?attr.colour=red&attr.colour=blue", "?attr.colour"),
        ("/api/orders/lookup?number=A", "?email"),
    ] {
        let answer = shop.anyone.get(path).await;
        answer.refused(422, "VALIDATION_FAILED");
        assert_eq!(pointer(&answer), at, "{path}");
    }
    shop.anyone.get("/api/products?q=%ff").await.refused(400, "MALFORMED_QUERY");
    shop.anyone.get("/api/products?q=%C3%A9+x").await.expect(200);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_patch_is_refused() {
    let shop = Shop::start().await;
    let product = shop.product("A", "1.00", 0).await;
    let path = format!("/api/products/{}", product["id"]);
    let changes = Bytes::from_static(br#"[{"op":"replace","path":"/name","value":"B"}]"#);
    let answer = shop.admin.send("PATCH", &path, "application/json-patch+json", changes).await.unwrap();
    answer.refused(415, "UNSUPPORTED_MEDIA_TYPE");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_requires_the_same_order_token() {
    let shop = Shop::start().await;
    shop.product("A", "1.00", 5).await;
    let order = shop.anyone.post("/api/orders", &order_of(&[("A", 1)], "tok_visa")).await.expect(201);
    let path = format!("/api/orders/{}/cancel", order["id"]);
    let (body, keyed) = (json!({"reason": "changed my mind"}), shop.anyone.key("cancel-1"));
    let holder = keyed.with("x-order-token", order["orderToken"].as_str().unwrap());
    let first = holder.post(&path, &body).await;
    first.expect(200);
    let again = holder.post(&path, &body).await;
    assert_eq!((again.bytes, &again.headers["idempotent-replayed"]), (first.bytes, &"true".parse().unwrap()));
    keyed.with("x-order-token", "guessed").post(&path, &body).await.refused(404, "NOT_FOUND");
    keyed.post(&path, &body).await.refused(401, "UNAUTHENTICATED");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn monitoring_requests_bypass_the_rate_limit() {
    let limits = [
        ("PROMOX_LIMITS__ENABLED", "true"),
        ("PROMOX_LIMITS__BURST", "20"),
        ("PROMOX_LIMITS__REQUESTS_PER_MINUTE", "1"),
    ];
    let shop = Shop::start_with(&limits).await;
    let first = shop.anyone.get("/api/categories").await;
    first.expect(200);
    assert_eq!(first.headers["ratelimit-limit"], "20");
    let send_until_limited = async |client: &Client| {
        for _ in 0..30 {
            let answer = client.get("/api/categories").await;
            if answer.status == 429 {
                return answer;
            }
        }
        panic!("there is no limit");
    };
    let refused = send_until_limited(&shop.anyone).await;
    refused.refused(429, "TOO_MANY_REQUESTS");
    assert_eq!(refused.headers["ratelimit-remaining"], "0");
    assert!(refused.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 0);
    for path in ["/actuator/health", "/actuator/health/liveness", "/actuator/health/readiness", "/actuator/prometheus"]
    {
        let answer = shop.anyone.get(path).await;
        assert_eq!((answer.status, answer.headers.get("ratelimit-limit")), (200, None), "{path}");
    }
    shop.close().await;
}

#[test]
fn read_only_commands_do_not_create_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let (mistyped, file) = (dir.path().join("shpo"), dir.path().join("out"));
    for verb in [&["verify"][..], &["backup", file.to_str().unwrap()], &["export", "catalog", file.to_str().unwrap()]] {
        let output = promox(&mistyped, verb);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(65), "{verb:?} {message}");
        assert!(message.contains("there is no store in") && message.contains("shpo"), "{verb:?} {message}");
        assert!(!mistyped.exists() && !file.exists(), "{verb:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn null_clears_optional_members_and_is_refused_for_others() {
    let shop = Shop::start().await;
    let product = shop.product("A", "1.00", 5).await;
    let create = async |path: &str, body: Value| shop.admin.post(path, &body).await.expect(201)["id"].clone();
    let category = create("/api/categories", json!({"name": "C"})).await;
    let campaign = create("/api/campaigns", json!({"name": "C", "endsAt": "2100-01-01T00:00:00Z"})).await;
    let lines = json!({"name": "N", "line1": "1", "city": "C", "region": "R", "country": "GB"});
    let address = create("/api/users/me/addresses", lines).await;
    let item = json!({"sku": "A", "salePrice": "0.50", "stock": 1});
    let (from, to) = ("2100-01-01T00:00:00Z", "2100-01-02T00:00:00Z");
    let sale = json!({"name": "F", "campaignId": campaign, "startsAt": from, "endsAt": to, "items": [item]});
    let sale = create("/api/flash-sales", sale).await;
    shop.admin.post("/api/roles", &json!({"name": "PACKER", "permissions": ["order:read"]})).await.expect(201);
    for (path, fixed, clearable) in [
        (format!("/api/flash-sales/{sale}"), &["name", "startsAt", "items"][..], &["campaignId"][..]),
        (format!("/api/products/{}", product["id"]), &["name", "price", "sku"], &["description"]),
        (format!("/api/categories/{category}"), &["name"], &["parentId"]),
        (format!("/api/campaigns/{campaign}"), &["name", "timezone"], &["endsAt", "budget"]),
        (format!("/api/users/me/addresses/{address}"), &["name", "line1", "city", "country", "isDefault"], &["region"]),
        ("/api/users/me".to_owned(), &[], &["name", "birthDate"]),
        ("/api/users/1".to_owned(), &["status", "roles"], &[]),
        ("/api/roles/PACKER".to_owned(), &["permissions"], &[]),
    ] {
        for member in fixed {
            let answer = shop.admin.patch(&path, &json!({ *member: null })).await;
            answer.refused(422, "VALIDATION_FAILED");
            assert_eq!(pointer(&answer), format!("/{member}"), "{path}");
        }
        for member in clearable {
            let cleared = shop.admin.patch(&path, &json!({ *member: null })).await.expect(200);
            assert!(matches!(&cleared[*member], Value::Null | Value::String(_)), "{path} {member}: {cleared}");
            assert_ne!(cleared[*member], "R");
        }
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_that_changes_nothing_keeps_the_version() {
    let shop = Shop::start().await;
    let product = shop.product("A", "1.00", 5).await;
    let create = async |path: &str, body: Value| shop.admin.post(path, &body).await.expect(201)["id"].clone();
    let category = create("/api/categories", json!({"name": "C"})).await;
    let campaign = create("/api/campaigns", json!({"name": "C"})).await;
    let segment = create("/api/segments", json!({"name": "S", "userIds": [1]})).await;
    let off = json!([{"type": "PERCENT_OFF", "value": "10"}]);
    let promotion = create("/api/promotions", json!({"name": "P", "couponOnly": true, "actions": off})).await;
    create("/api/coupons", json!({"code": "TEN", "promotionId": promotion})).await;
    let item = json!({"sku": "A", "salePrice": "0.50", "stock": 1});
    let (from, to) = ("2100-01-01T00:00:00Z", "2100-01-02T00:00:00Z");
    let sale = create("/api/flash-sales", json!({"name": "F", "startsAt": from, "endsAt": to, "items": [item]})).await;
    let rule = json!({"event": "ORDER_CONFIRMED", "count": 3});
    let achievement =
        create("/api/rewards/achievements", json!({"code": "THREE", "name": "T", "rule": rule, "points": 5})).await;
    let offer = create("/api/rewards/catalogue", json!({"name": "O", "points": 5, "promotionId": promotion})).await;
    let lines = json!({"name": "N", "line1": "1", "city": "C", "country": "GB"});
    let address = create("/api/users/me/addresses", lines).await;
    shop.admin.post("/api/roles", &json!({"name": "PACKER", "permissions": ["order:read"]})).await.expect(201);
    for (path, same) in [
        (format!("/api/products/{}", product["id"]), "name"),
        (format!("/api/categories/{category}"), "name"),
        (format!("/api/campaigns/{campaign}"), "timezone"),
        (format!("/api/segments/{segment}"), "userIds"),
        (format!("/api/promotions/{promotion}"), "actions"),
        ("/api/coupons/TEN".to_owned(), "maxRedemptions"),
        (format!("/api/flash-sales/{sale}"), "name"),
        (format!("/api/rewards/achievements/{achievement}"), "rule"),
        (format!("/api/rewards/catalogue/{offer}"), "points"),
        (format!("/api/users/me/addresses/{address}"), "isDefault"),
        ("/api/users/me".to_owned(), "name"),
        ("/api/users/1".to_owned(), "roles"),
        ("/api/roles/PACKER".to_owned(), "permissions"),
    ] {
        let first = shop.admin.patch(&path, &json!({})).await.expect(200);
        let again = shop.admin.patch(&path, &json!({})).await.expect(200);
        let version = |answer: &Value| answer["version"].as_i64().unwrap_or_else(|| panic!("{path} has no version"));
        assert_eq!((version(&first), &first), (version(&again), &again), "{path}");
        let sent = shop.admin.patch(&path, &json!({ same: first[same] })).await.expect(200);
        assert_eq!(sent, first, "{path} {same}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_is_valid_only_for_the_list_that_returned_it() {
    let shop = Shop::start().await;
    for sku in ["A", "B", "C"] {
        shop.product(sku, "1.00", 5).await;
        shop.anyone.post("/api/orders", &order_of(&[(sku, 1)], "tok_visa")).await.expect(201);
        shop.customer(&format!("{}@example.com", sku.to_lowercase())).await;
    }
    let lists = ["/api/orders", "/api/orders?status=CONFIRMED", "/api/users", "/api/inventory", "/api/payments"];
    let page = async |path: &str, more: &str| {
        let separator = if path.contains('?') { '&' } else { '?' };
        shop.admin.get(&format!("{path}{separator}limit=1{more}")).await
    };
    for list in lists {
        let first = page(list, "").await.expect(200);
        let after = format!("&cursor={}", first["nextCursor"].as_str().unwrap());
        let second = page(list, &after).await.expect(200);
        assert_ne!(first["items"], second["items"], "{list}");
        for other in lists.iter().filter(|other| **other != list) {
            let answer = page(other, &after).await;
            answer.refused(422, "VALIDATION_FAILED");
            assert_eq!(pointer(&answer), "?cursor", "{list} in {other}");
        }
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_stored_in_composed_form_with_unix_line_ends() {
    let shop = Shop::start().await;
    let body = json!({"sku": "CAFE\u{301}", "name": "Cafe\u{301}", "description": "one\r\ntwo\n", "price": "1.00",
        "status": "ACTIVE", "attributes": {"origine\u{301}": "Bre\u{301}sil"}});
    let product = shop.admin.post("/api/products", &body).await.expect(201);
    assert_eq!((&product["sku"], &product["name"]), (&json!("CAF\u{c9}"), &json!("Caf\u{e9}")));
    assert_eq!(product["description"], "one\ntwo");
    assert_eq!(product["attributes"], json!({"origin\u{e9}": "Br\u{e9}sil"}));
    shop.anyone.get("/api/products/sku/cafe%CC%81").await.expect(200);
    shop.set_stock("Cafe\u{301}", 5).await;
    let ada = shop.customer("ada@example.com").await;
    for line in ["a\nb", "a\r\nb", "a\rb", "a\u{2028}b"] {
        let renamed = ada.patch("/api/users/me", &json!({"name": line})).await;
        renamed.refused(422, "VALIDATION_FAILED");
        let street = json!({"name": "Ada", "line1": line, "city": "Paris", "country": "FR"});
        let saved = ada.post("/api/users/me/addresses", &street).await;
        assert_eq!((saved.status, pointer(&saved)), (422, json!("/line1")), "{line:?}");
        let mut order = order_of(&[("CAF\u{c9}", 1)], "tok_visa");
        order["shippingAddress"] = street;
        let placed = shop.anyone.post("/api/orders", &order).await;
        assert_eq!((placed.status, pointer(&placed)), (422, json!("/shippingAddress/line1")), "{line:?}");
    }
    let mut order = order_of(&[("cafe\u{301}", 1)], "tok_visa");
    order["note"] = json!("first\r\nse\u{301}cond");
    let order = shop.anyone.post("/api/orders", &order).await.expect(201);
    assert_eq!(order["note"], "first\ns\u{e9}cond");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn email_addresses_are_validated_and_compared_in_ascii_form() {
    let shop = Shop::start().await;
    shop.product("A", "1.00", 5).await;
    let long = format!("a@{}.com", "x".repeat(64));
    for address in
        ["a..b@example.com", ".a@example.com", "a\u{200b}@example.com", "a@b\u{200b}.com", &long, "a@xn--a.com"]
    {
        let mut order = order_of(&[("A", 1)], "tok_visa");
        order["email"] = json!(address);
        let answer = shop.anyone.post("/api/orders", &order).await;
        assert_eq!((answer.status, pointer(&answer)), (422, json!("/email")), "{address}");
    }
    shop.customer("Ada@M\u{fc}nchen.example").await;
    for same in ["ada@mu\u{308}nchen.example", "ada@XN--MNCHEN-3YA.example"] {
        let body = json!({"email": same, "password": crate::shop::PASSWORD});
        shop.anyone.post("/api/auth/register", &body).await.refused(409, "EMAIL_TAKEN");
        let login = shop.anyone.post("/api/auth/login", &body).await.expect(200);
        assert_eq!(login["user"]["email"], "Ada@xn--mnchen-3ya.example");
    }
    let mut order = order_of(&[("A", 1)], "tok_visa");
    order["email"] = json!("guest@m\u{fc}nchen.example");
    let order = shop.anyone.post("/api/orders", &order).await.expect(201);
    let number = order["number"].as_str().unwrap();
    let found = format!("/api/orders/lookup?number={number}&email=Guest@xn--mnchen-3ya.example");
    shop.anyone.get(&found).await.expect(200);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_array_is_refused_where_an_object_is_expected() {
    let shop = Shop::start().await;
    shop.product("A", "1.00", 5).await;
    let mut order = order_of(&[("A", 1)], "tok_visa");
    for (member, invalid, at) in [
        ("items", json!([["A", 1]]), "/items/0"),
        ("payment", json!(["CARD", "sandbox", "tok_visa"]), "/payment"),
        ("shippingAddress", json!(["N", "1", "", "C", "", "", "GB", ""]), "/shippingAddress"),
    ] {
        let valid = order[member].take();
        order[member] = invalid;
        let answer = shop.anyone.post("/api/orders", &order).await;
        answer.refused(422, "VALIDATION_FAILED");
        assert_eq!(pointer(&answer), at);
        order[member] = valid;
    }
    shop.anyone.post("/api/orders", &order).await.expect(201);
    shop.close().await;
}

/// The operations whose description has an example of the body: method, path, name and example.
fn examples(document: &Value) -> Vec<(String, String, String, Bytes)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations =
        paths.flat_map(|(path, methods)| methods.as_object().unwrap().iter().map(move |item| (path, item)));
    let example = |(path, (method, operation)): (&String, (&String, &Value))| {
        let example = operation.pointer("/requestBody/content/application~1json/example")?;
        let path = path.replace("{sku}", "TEA-1-S").replace("{id}", "1");
        let name = operation["operationId"].as_str().unwrap().to_owned();
        Some((method.to_uppercase(), path, name, example.to_string().into()))
    };
    operations.filter_map(example).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_the_api_description_are_valid_requests() {
    let shop = Shop::start().await;
    let mut examples = examples(&shop.anyone.get("/openapi.json").await.expect(200));
    assert!(examples.len() > 25, "{examples:?}");
    // Resources that other examples refer to are created first.
    let first = ["product.create", "inventory.count", "promotion.create", "campaign.create", "coupon.create"];
    examples.sort_by_key(|(_, _, name, _)| first.iter().position(|item| item == name).unwrap_or(first.len()));
    for (method, path, name, body) in examples {
        let media_type = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let answer = shop.admin.send(&method, &path, media_type, body).await.unwrap();
        // An example may name an order that does not exist, but the request itself is well-formed.
        assert!(![400, 415, 500].contains(&answer.status), "{name}: {answer:?}");
        assert_ne!(answer.json()["code"], "VALIDATION_FAILED", "{name}: {answer:?}");
        assert!(!first.contains(&name.as_str()) || matches!(answer.status, 200 | 201), "{name}: {answer:?}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_check_refuses_what_the_start_would() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let data = dir.path().join("data");
    let check = |settings: &[(&str, &str)]| promox_with(&data, &["config", "check"], settings);
    let valid = check(&[]);
    assert_eq!(valid.status.code(), Some(0), "{}", String::from_utf8_lossy(&valid.stderr));
    assert_eq!(String::from_utf8_lossy(&valid.stdout), "The configuration is valid.\n");
    assert!(!data.exists(), "the check leaves the data directory as it is");
    let (absent, garbage, file) = (path("absent.pem"), path("garbage.pem"), path("file"));
    std::fs::write(&garbage, "no certificate").unwrap();
    std::fs::write(&file, "").unwrap();
    let (inside, other) = (format!("{file}/data"), path(""));
    for (settings, named) in [
        (&[("PROMOX_TLS__CERTIFICATE", absent.as_str()), ("PROMOX_TLS__KEY", absent.as_str())][..], "absent.pem"),
        (&[("PROMOX_TLS__CERTIFICATE", &garbage), ("PROMOX_TLS__KEY", &garbage)], "garbage.pem"),
        (
            &[("PROMOX_MAIL__MODE", "smtp"), ("PROMOX_MAIL__HOST", "mail"), ("PROMOX_MAIL__ROOTS", &absent)],
            "mail.roots",
        ),
        (&[("PROMOX_MAIL__FROM", "nobody")], "mail.from"),
        (&[("PROMOX_LIMITS__RATES", "no.such_operation=1/60")], "no.such_operation"),
        (&[("PROMOX_ADMIN_PASSWORD", "short")], "admin.password"),
        (&[("PROMOX_SERVER__LISTEN", "192.0.2.1:8080")], "server.listen"),
        (&[("PROMOX_DATA__DIR", &inside)], "data.dir"),
        (&[("PROMOX_DATA__DIR", &other)], "garbage.pem"),
    ] {
        let refused = check(settings);
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(78), "{settings:?}: {text}");
        assert!(text.contains(named), "{settings:?}: {text}");
        let started = promox_with(&data, &["serve"], settings);
        assert!(!started.status.success(), "{settings:?}: the server started");
        let _ = std::fs::remove_dir_all(&data);
    }
}
