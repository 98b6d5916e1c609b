//! Calls every operation of the API description as every kind of caller and checks that each is admitted exactly where
//! the description says.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::shop::{PASSWORD, Shop, log_in, order_of};

/// Permissions that the contract grants MANAGER. ADMIN has all of them, CUSTOMER has none and reaches own data only.
const MANAGER: &[&str] = &[
    "product:read",
    "product:write",
    "inventory:read",
    "inventory:write",
    "order:read",
    "order:cancel",
    "order:fulfil",
    "order:return",
    "order:import",
    "campaign:write",
    "promotion:read",
    "promotion:write",
    "flashsale:write",
    "coupon:read",
    "coupon:write",
    "coupon:redeem",
    "reward:read",
    "reward:write",
    "analytics:read",
    "analytics:write",
    "settings:write",
    "payment:read",
    "user:read",
];
/// Permissions that the contract grants SUPPORT.
const SUPPORT: &[&str] =
    &["order:read", "payment:read", "user:read", "order:cancel", "order:fulfil", "order:return", "payment:refund"];

/// A kind of caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Caller {
    Anonymous,
    Cart,
    OrderToken,
    /// An API key with the permissions of MANAGER.
    Key,
    Owner,
    Stranger,
    Support,
    Manager,
    Admin,
}

impl Caller {
    const ALL: [Self; 9] = [
        Self::Anonymous,
        Self::Cart,
        Self::OrderToken,
        Self::Key,
        Self::Owner,
        Self::Stranger,
        Self::Support,
        Self::Manager,
        Self::Admin,
    ];

    fn is_user(self) -> bool {
        self >= Self::Owner
    }

    fn has(self, permission: &str) -> bool {
        match self {
            Self::Admin => true,
            Self::Manager | Self::Key => MANAGER.contains(&permission),
            Self::Support => SUPPORT.contains(&permission),
            _ => false,
        }
    }
}

/// An operation of the API description.
struct Operation {
    id: String,
    method: String,
    path: String,
    security: Vec<String>,
    permission: Option<String>,
    /// Whether a user without the permission gets what is their own.
    is_own: bool,
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, described) in methods.as_object().unwrap() {
            let schemes = described["security"].as_array().unwrap();
            // A caller without credentials is one of those that are admitted.
            let is_open = schemes.iter().any(|scheme| scheme == &json!({}));
            let schemes = schemes.iter().filter(|_| !is_open);
            operations.push(Operation {
                id: described["operationId"].as_str().unwrap().to_owned(),
                method: method.to_uppercase(),
                path: path.clone(),
                security: schemes.map(|scheme| scheme.as_object().unwrap().keys().next().unwrap().clone()).collect(),
                permission: described["x-permission"].as_str().map(str::to_owned),
                is_own: described["x-own"] == true,
            });
        }
    }
    operations
}

/// The outcome of the access check for a caller.
#[derive(Debug, PartialEq, Eq)]
enum Access {
    /// Neither 401 nor 403, nor the 404 that hides another caller's data.
    Open,
    Unauthenticated,
    Forbidden,
    /// Answered with 404, as if it did not exist.
    Absent,
}

impl Operation {
    fn accepts(&self, scheme: &str) -> bool {
        self.security.iter().any(|accepted| accepted == scheme)
    }

    /// The outcome that the description declares for this caller.
    fn expected_access(&self, caller: Caller) -> Access {
        let granted = self.permission.as_ref().is_some_and(|permission| caller.has(permission));
        let by_token = match caller {
            Caller::Cart => self.accepts("cartToken"),
            Caller::OrderToken | Caller::Owner => self.accepts("orderToken"),
            _ => false,
        };
        match (caller.is_user(), &self.permission) {
            _ if self.security.is_empty() || granted || by_token => Access::Open,
            _ if caller == Caller::Key => Access::Forbidden,
            (false, _) => Access::Unauthenticated,
            (true, None) => Access::Open,
            (true, Some(_)) if self.is_own => Access::Open,
            (true, Some(_)) if self.accepts("orderToken") => Access::Absent,
            (true, Some(_)) => Access::Forbidden,
        }
    }

    /// A path to a resource of the shop, and a body that would be accepted.
    fn request(&self, resources: &Resources) -> (String, Value) {
        let mut path = self.path.clone();
        for (name, value) in resources.parameters(&self.path) {
            path = path.replace(&format!("{{{name}}}"), &value);
        }
        if self.id == "payment.list" {
            path = format!("{path}?orderId={}", resources.order);
        }
        if self.id == "discovery.override_status" {
            path = format!("{path}?value=UP");
        }
        let body = match self.id.as_str() {
            "order.cancel" => json!({"reason": "x"}),
            "order.request_return" => json!({"items": [{"sku": "A", "quantity": 1}], "reason": "x"}),
            _ => json!({}),
        };
        (path, body)
    }
}

/// Resources of the shop that requests refer to.
struct Resources {
    order: Value,
    payment: Value,
    product: Value,
}

impl Resources {
    /// Values of the path parameters; those that no resource of the shop fits are unknown ids and names.
    fn parameters(&self, path: &str) -> Vec<(&'static str, String)> {
        let id = match path {
            _ if path.starts_with("/api/orders/") => self.order.to_string(),
            _ if path.starts_with("/api/payments/") => self.payment.to_string(),
            _ if path.starts_with("/api/products/") => self.product.to_string(),
            _ => "999999".to_owned(),
        };
        let mut all = vec![("id", id), ("sku", "A".to_owned())];
        all.extend(["fid", "rid"].map(|name| (name, "999999".to_owned())));
        all.extend(
            ["slug", "key", "name", "provider", "app", "vip", "component"].map(|name| (name, "none".to_owned())),
        );
        all
    }
}

async fn register(shop: &Shop, email: &str, role: Option<&str>) -> Client {
    let body = json!({"email": email, "password": PASSWORD});
    let user = shop.anyone.post("/api/auth/register", &body).await.expect(201)["user"]["id"].clone();
    if let Some(role) = role {
        let roles = json!({"roles": [role]});
        shop.admin.patch(&format!("/api/users/{user}"), &roles).await.expect(200);
    }
    log_in(&shop.anyone, email).await
}

/// A shop with a customer's order, and a client of each kind except `OrderToken`, whose test places an order of its
/// own.
async fn shop_with_callers() -> (Shop, Resources, BTreeMap<Caller, Client>) {
    let shop = Shop::start().await;
    let product = shop.product("A", "1.00", 100).await;
    let owner = register(&shop, "owner@example.com", None).await;
    let order = owner.post("/api/orders", &order_of(&[("A", 1)], "tok_visa")).await.expect(201);
    let cart = shop.anyone.post("/api/carts", &json!({})).await.expect(201);
    let resources = Resources {
        order: order["id"].clone(),
        payment: order["payment"]["id"].clone(),
        product: product["id"].clone(),
    };
    let (key, _) = crate::api_keys::create(&shop.admin, MANAGER).await;
    let clients = BTreeMap::from([
        (Caller::Key, shop.anyone.bearer(&key)),
        (Caller::Anonymous, shop.anyone.clone()),
        (Caller::Cart, shop.anyone.with("x-cart-token", cart["token"].as_str().unwrap())),
        (Caller::Owner, owner),
        (Caller::Stranger, register(&shop, "stranger@example.com", None).await),
        (Caller::Support, register(&shop, "support@example.com", Some("SUPPORT")).await),
        (Caller::Manager, register(&shop, "manager@example.com", Some("MANAGER")).await),
        (Caller::Admin, shop.admin.clone()),
    ]);
    (shop, resources, clients)
}

/// Whether the operation ends the access of its caller.
fn ends_callers_access(id: &str) -> bool {
    matches!(id, "user.logout" | "user.logout_all" | "user.erase_me" | "cart.delete")
}

fn media_type(operation: &Operation) -> &'static str {
    match operation.id.as_str() {
        "product.import" | "order.import" => "application/x-ndjson",
        _ if operation.method == "PATCH" => "application/merge-patch+json",
        _ => "application/json",
    }
}

async fn send(client: &Client, operation: &Operation, resources: &Resources) -> Answer {
    let (path, body) = operation.request(resources);
    let body = if operation.method == "GET" { String::new() } else { body.to_string() };
    client.send(&operation.method, &path, media_type(operation), body.into()).await.unwrap()
}

fn check(operation: &Operation, caller: Caller, answer: &Answer) {
    let context = format!("{caller:?}: {} {} → {answer:?}", operation.method, operation.path);
    assert!(answer.status < 500, "{context}");
    let expected = operation.expected_access(caller);
    // A webhook is authenticated by the signature of its body.
    if operation.security.is_empty() && answer.status == 401 {
        assert!(matches!(operation.id.as_str(), "payment.webhook"), "{context}");
        return;
    }
    let actual = match answer.status {
        401 => Access::Unauthenticated,
        403 => Access::Forbidden,
        404 if expected == Access::Absent => Access::Absent,
        _ => Access::Open,
    };
    assert_eq!(actual, expected, "{context}");
    if operation.accepts("orderToken") && expected == Access::Open && !operation.path.contains("{rid}") {
        assert_ne!(answer.status, 404, "{context}");
    }
    if answer.status >= 400 {
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{context}");
        assert_eq!(answer.json()["status"], answer.status, "{context}");
    }
    assert!(answer.headers.contains_key("x-request-id"), "{context}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_admits_only_its_declared_callers() {
    let (shop, resources, clients) = shop_with_callers().await;
    let document = shop.anyone.get("/openapi.json").await.expect(200);
    let operations = operations(&document);
    assert!(operations.len() > 90, "{}", operations.len());
    for caller in Caller::ALL {
        let Some(client) = clients.get(&caller) else { continue };
        // Callers with more access come later; cancelled orders and refunded payments can still be read.
        for operation in operations.iter().filter(|operation| !(caller.is_user() && ends_callers_access(&operation.id)))
        {
            let answer = send(client, operation, &resources).await;
            check(operation, caller, &answer);
        }
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_token_opens_its_own_order_and_nothing_else() {
    let (shop, resources, _) = shop_with_callers().await;
    let mine = shop.anyone.post("/api/orders", &order_of(&[("A", 1)], "tok_visa")).await.expect(201);
    let own = Resources { order: mine["id"].clone(), payment: mine["payment"]["id"].clone(), product: json!(1) };
    let guest = shop.anyone.with("x-order-token", mine["orderToken"].as_str().unwrap());
    let document = shop.anyone.get("/openapi.json").await.expect(200);
    for operation in operations(&document).iter().filter(|operation| !operation.security.is_empty()) {
        check(operation, Caller::OrderToken, &send(&guest, operation, &own).await);
        let foreign = send(&guest, operation, &resources).await;
        let expected = if operation.accepts("orderToken") { 404 } else { 401 };
        assert_eq!(foreign.status, expected, "{} {} → {foreign:?}", operation.method, operation.path);
    }
    let wrong = shop.anyone.with("x-order-token", "not-a-token");
    assert_eq!(wrong.get(&format!("/api/orders/{}", mine["id"])).await.status, 404);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logout_and_erasure_end_only_the_callers_access() {
    let shop = Shop::start().await;
    let first = register(&shop, "a@example.com", None).await;
    let second = log_in(&shop.anyone, "a@example.com").await;
    let other = register(&shop, "b@example.com", None).await;
    assert_eq!(first.post("/api/auth/logout", &json!({})).await.status, 204);
    first.get("/api/users/me").await.refused(401, "SESSION_ENDED");
    second.get("/api/users/me").await.expect(200);
    assert_eq!(second.delete("/api/users/me").await.expect(202)["status"], "ERASED");
    assert_eq!(second.get("/api/users/me").await.status, 401);
    other.get("/api/users/me").await.expect(200);
    shop.admin.delete("/api/users/me").await.refused(409, "LAST_ADMIN");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn built_in_roles_have_the_documented_permissions() {
    let shop = Shop::start().await;
    let document = shop.anyone.get("/openapi.json").await.expect(200);
    let permissions: Vec<String> =
        operations(&document).into_iter().filter_map(|operation| operation.permission).collect();
    for (role, declared) in [("MANAGER", MANAGER), ("SUPPORT", SUPPORT), ("CUSTOMER", &[])] {
        let role = shop.admin.get(&format!("/api/roles/{role}")).await.expect(200);
        let granted: Vec<&str> =
            role["permissions"].as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect();
        for permission in &permissions {
            assert_eq!(
                granted.contains(&permission.as_str()),
                declared.contains(&permission.as_str()),
                "{role} {permission}"
            );
        }
        let undeclared: Vec<&&str> = granted.iter().filter(|permission| !declared.contains(permission)).collect();
        assert!(undeclared.is_empty(), "{role}: {undeclared:?}");
    }
    shop.close().await;
}
