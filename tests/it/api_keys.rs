//! API keys: what they permit, how they are sent, and how they end.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::client::Client;
use crate::shop::{PASSWORD, Shop, log_in, order_of};

/// Creates a key with these permissions and returns it with what is stored about it.
pub(crate) async fn create(creator: &Client, permissions: &[&str]) -> (String, Value) {
    let body = json!({"name": "A machine", "permissions": permissions});
    let created = creator.post("/api/api-keys", &body).await.expect(201);
    (created["key"].as_str().unwrap().to_owned(), created["apiKey"].clone())
}

fn basic(client: &Client, password: &str) -> Client {
    client.with("authorization", format!("Basic {}", STANDARD.encode(format!("machine:{password}"))))
}

/// A user with a new role that has these permissions.
async fn user_with(shop: &Shop, permissions: &[&str]) -> (Client, Value) {
    let role = json!({"name": "BUILDER", "permissions": permissions});
    shop.admin.post("/api/roles", &role).await.expect(201);
    let body = json!({"email": "builder@example.com", "password": PASSWORD});
    let user = shop.anyone.post("/api/auth/register", &body).await.expect(201)["user"]["id"].clone();
    shop.admin.patch(&format!("/api/users/{user}"), &json!({"roles": ["BUILDER"]})).await.expect(200);
    (log_in(&shop.anyone, "builder@example.com").await, user)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_permits_what_it_and_its_creator_may_do_at_that_moment() {
    let shop = Shop::start().await;
    let (builder, user) = user_with(&shop, &["apikey:write", "product:write", "inventory:read"]).await;
    let beyond = json!({"name": "x", "permissions": ["product:write", "user:read"]});
    builder.post("/api/api-keys", &beyond).await.refused(403, "BEYOND_YOUR_PERMISSIONS");
    let (text, stored) = create(&builder, &["product:write", "inventory:read"]).await;
    let key = shop.anyone.bearer(&text);
    let product = json!({"sku": "A", "name": "A", "price": "1.00"});
    key.post("/api/products", &product).await.expect(201);
    key.get("/api/inventory").await.expect(200);
    key.get("/api/users").await.refused(403, "FORBIDDEN");
    // Nothing that belongs to a user, and no other key.
    for path in ["/api/users/me", "/api/users/me/addresses", "/api/orders", "/api/carts/current"] {
        key.get(path).await.refused(403, "FORBIDDEN");
    }
    let (maker, _) = create(&builder, &["apikey:write"]).await;
    let maker = shop.anyone.bearer(&maker);
    maker.post("/api/api-keys", &json!({"name": "x", "permissions": ["apikey:write"]})).await.refused(403, "FORBIDDEN");
    // A key that does more than its holder is not the holder's to revoke.
    let (_, admins) = create(&shop.admin, &["user:read"]).await;
    let admins = format!("/api/api-keys/{}", admins["id"]);
    for client in [&builder, &maker] {
        client.delete(&admins).await.refused(403, "BEYOND_YOUR_PERMISSIONS");
    }
    let (_, lesser) = create(&shop.admin, &["product:write"]).await;
    builder.delete(&format!("/api/api-keys/{}", lesser["id"])).await.expect(204);
    shop.admin.delete(&admins).await.expect(204);
    // Its actions are its own in the audit trail.
    let name = format!("key:{}", stored["id"]);
    let actors = || async { shop.all(&format!("/api/audit?actor={name}&action=product.create")).await };
    while actors().await.is_empty() {
        tokio::task::yield_now().await;
    }
    // What its creator loses, it loses; a blocked creator ends it.
    shop.admin.patch("/api/roles/BUILDER", &json!({"permissions": ["product:write"]})).await.expect(200);
    key.get("/api/inventory").await.refused(403, "FORBIDDEN");
    shop.admin.patch(&format!("/api/users/{user}"), &json!({"status": "BLOCKED"})).await.expect(200);
    key.post("/api/products", &json!({"sku": "B", "name": "B", "price": "1.00"})).await.refused(401, "KEY_INVALID");
    shop.admin.patch(&format!("/api/users/{user}"), &json!({"status": "ACTIVE"})).await.expect(200);
    key.post("/api/products", &json!({"sku": "B", "name": "B", "price": "1.00"})).await.expect(201);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_the_permission_reads_what_belongs_to_users() {
    let shop = Shop::start().await;
    shop.product("A", "1.00", 10).await;
    let customer = shop.customer("me@example.com").await;
    let order = customer.post("/api/orders", &order_of(&[("A", 1)], "tok_visa")).await.expect(201);
    let me = customer.get("/api/users/me").await.expect(200)["id"].clone();
    let (reader, _) = create(&shop.admin, &["order:read", "reward:read"]).await;
    let reader = shop.anyone.bearer(&reader);
    let listed = reader.get("/api/orders").await.expect(200);
    assert_eq!(listed["items"][0]["id"], order["id"]);
    let account = format!("/api/rewards/account/{me}");
    for path in ["", "/transactions", "/achievements", "/redemptions"] {
        reader.get(&format!("{account}{path}")).await.expect(200);
    }
    let (other, _) = create(&shop.admin, &["product:read"]).await;
    let other = shop.anyone.bearer(&other);
    for path in ["/api/orders", &account] {
        other.get(path).await.refused(403, "FORBIDDEN");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_grants_nobody_what_it_lacks() {
    let shop = Shop::start().await;
    let (text, _) = create(&shop.admin, &["role:write", "user:read", "user:write"]).await;
    let key = shop.anyone.bearer(&text);
    let customer = shop.customer("me@example.com").await;
    let me = customer.get("/api/users/me").await.expect(200)["id"].clone();
    let own = key.get("/api/roles/CUSTOMER").await.expect(200)["permissions"].clone();
    for role in ["CUSTOMER", "SUPPORT"] {
        let more = json!({"permissions": ["role:write", "payment:refund"]});
        key.patch(&format!("/api/roles/{role}"), &more).await.refused(403, "BEYOND_YOUR_PERMISSIONS");
    }
    key.patch("/api/roles/SUPPORT", &json!({"permissions": []})).await.refused(403, "BEYOND_YOUR_PERMISSIONS");
    let role = json!({"name": "REFUNDER", "permissions": ["payment:refund"]});
    key.post("/api/roles", &role).await.refused(403, "BEYOND_YOUR_PERMISSIONS");
    let roles = json!({"roles": ["CUSTOMER", "SUPPORT"]});
    key.patch(&format!("/api/users/{me}"), &roles).await.refused(403, "BEYOND_YOUR_PERMISSIONS");
    assert_eq!(key.get("/api/roles/CUSTOMER").await.expect(200)["permissions"], own);
    customer.get("/api/users").await.refused(403, "FORBIDDEN");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_shown_once_and_revoking_it_acts_at_once() {
    let shop = Shop::start().await;
    let (text, stored) = create(&shop.admin, &["inventory:read"]).await;
    assert!(text.starts_with("pmx_") && text.starts_with(stored["hint"].as_str().unwrap()));
    assert_eq!((&stored["lastUsedAt"], &stored["expiresAt"]), (&Value::Null, &Value::Null));
    let list = || async { shop.all("/api/api-keys").await };
    assert_eq!(list().await, std::slice::from_ref(&stored));
    // As a token and as the password of Basic credentials.
    shop.anyone.bearer(&text).get("/api/inventory").await.expect(200);
    basic(&shop.anyone, &text).get("/api/inventory").await.expect(200);
    basic(&shop.anyone, PASSWORD).get("/api/inventory").await.refused(401, "MALFORMED_AUTHORIZATION");
    let foreign = basic(&shop.anyone, &text).with("sec-fetch-site", "cross-site");
    foreign.get("/api/inventory").await.refused(401, "MALFORMED_AUTHORIZATION");
    assert!(list().await[0]["lastUsedAt"].is_string());
    for wrong in ["pmx_", &format!("{text}x"), "pmx_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        shop.anyone.bearer(wrong).get("/api/inventory").await.refused(401, "KEY_INVALID");
    }
    // A restart changes nothing.
    let shop = shop.restart().await;
    let key = shop.anyone.bearer(&text);
    key.get("/api/inventory").await.expect(200);
    let path = format!("/api/api-keys/{}", stored["id"]);
    assert_eq!(shop.admin.delete(&path).await.status, 204);
    key.get("/api/inventory").await.refused(401, "KEY_INVALID");
    shop.admin.delete(&path).await.refused(404, "NOT_FOUND");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_new_key_is_reported() {
    let shop = Shop::start().await;
    let body = json!({
        "name": "", "permissions": ["inventory:read", "rule:everything"], "expiresAt": "2020-01-01T00:00:00Z",
        "applications": ["ok", "not ok"],
    });
    let refused = shop.admin.post("/api/api-keys", &body).await.refused(422, "VALIDATION_FAILED");
    let pointers: Vec<&str> =
        refused["errors"].as_array().unwrap().iter().map(|it| it["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/name", "/permissions/1", "/applications/1", "/expiresAt"]);
    let none = json!({"name": "x", "permissions": []});
    shop.admin.post("/api/api-keys", &none).await.refused(422, "VALIDATION_FAILED");
    let bound = json!({"name": "x", "permissions": ["inventory:read"], "applications": ["Reviews"]});
    let created = shop.admin.post("/api/api-keys", &bound).await.expect(201);
    assert_eq!(created["apiKey"]["applications"], json!(["REVIEWS"]));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_works_with_a_key() {
    let shop = Shop::start().await;
    let (text, _) = create(&shop.admin, &["ops:read", "ops:write"]).await;
    let file = shop.dir().join("shop.backup");
    for arguments in [vec!["verify"], vec!["backup", file.to_str().unwrap()]] {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_promox"));
        command.args(&arguments).args(["--url", &shop.url(), "--token", &text]);
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{arguments:?} {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(file.metadata().unwrap().len() > 1_000);
    std::fs::remove_file(&file).unwrap();
    shop.close().await;
}
