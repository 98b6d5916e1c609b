//! Accounts: registration, logins, roles and permissions, erasure, the audit trail.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::client::Client;
use crate::shop::{EMAIL, PASSWORD, Shop, log_in, order_of};

const OTHER: &str = "another long and quiet harbour";

fn credentials(email: &str, password: &str) -> Value {
    json!({"email": email, "password": password})
}

async fn register(shop: &Shop, email: &str) -> Value {
    shop.anyone.post("/api/auth/register", &credentials(email, PASSWORD)).await.expect(201)
}

fn bearer(shop: &Shop, login: &Value) -> Client {
    shop.anyone.bearer(login["accessToken"].as_str().unwrap())
}

/// Waits for a message to an address that contains a word, and returns its text.
async fn wait_for_mail(dir: &Path, to: &str, word: &str) -> String {
    loop {
        if let Some(text) = find_mail(&dir.join("mail"), to, word) {
            return text;
        }
        tokio::task::yield_now().await;
    }
}

/// The text of a message to an address that contains a word, if there is one below `dir`.
fn find_mail(dir: &Path, to: &str, word: &str) -> Option<String> {
    for entry in std::fs::read_dir(dir).ok()? {
        let path = entry.ok()?.path();
        let text = if path.is_dir() { find_mail(&path, to, word) } else { std::fs::read_to_string(&path).ok() };
        let matches =
            |text: &String| path.extension().is_none_or(|end| end == "eml") && text.contains(to) && text.contains(word);
        if let Some(text) = text.filter(matches) {
            return Some(text);
        }
    }
    None
}

/// The token in a message's link to `page`. Undoes the line folding of quoted-printable text first.
fn token(mail: &str, page: &str) -> String {
    let text = mail.replace("=\r\n", "").replace("=\n", "").replace("=3D", "=");
    let after = text.split(&format!("{page}?token=")).nth(1).unwrap_or_else(|| panic!("no {page} link: {text}"));
    after.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_registered_once_and_can_log_in() {
    let shop = Shop::start().await;
    let ada = register(&shop, "Ada@Example.com").await;
    assert!(ada["expiresIn"].as_u64().is_some_and(|seconds| seconds == 900));
    let taken = shop.anyone.post("/api/auth/register", &credentials("ada@example.COM", PASSWORD)).await;
    taken.refused(409, "EMAIL_TAKEN");
    for (password, why) in
        [("short", "short"), ("password", "common"), ("12345678", "common"), (&"x".repeat(129), "long")]
    {
        let answer = shop.anyone.post("/api/auth/register", &credentials("eve@example.com", password)).await;
        assert_eq!(answer.expect(422)["errors"][0]["pointer"], "/password", "{why}");
    }
    let wrong = shop.anyone.post("/api/auth/login", &credentials("ada@example.com", OTHER)).await;
    let unknown = shop.anyone.post("/api/auth/login", &credentials("nobody@example.com", OTHER)).await;
    let (wrong, unknown) = (wrong.refused(401, "INVALID_CREDENTIALS"), unknown.refused(401, "INVALID_CREDENTIALS"));
    assert_eq!(wrong["detail"], unknown["detail"], "the response does not reveal whether the account exists");
    let me = log_in(&shop.anyone, "ADA@example.com").await.get("/api/users/me").await.expect(200);
    assert_eq!((me["id"].clone(), &me["roles"]), (ada["user"]["id"].clone(), &json!(["CUSTOMER"])));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_used_twice_at_once_gives_one_successor() {
    let shop = Shop::start().await;
    let first = register(&shop, "ada@example.com").await;
    let refresh = |token: &Value| {
        let (client, body) = (shop.anyone.clone(), json!({"refreshToken": token}));
        async move { client.post("/api/auth/refresh", &body).await }
    };
    let second = refresh(&first["refreshToken"]).await.expect(200);
    assert_ne!(first["refreshToken"], second["refreshToken"]);
    bearer(&shop, &second).get("/api/users/me").await.expect(200);
    let again = refresh(&first["refreshToken"]).await.expect(200);
    assert_eq!(again["refreshToken"], second["refreshToken"]);
    bearer(&shop, &again).get("/api/users/me").await.expect(200);
    let third = refresh(&second["refreshToken"]).await.expect(200);
    let again = refresh(&first["refreshToken"]).await.expect(200);
    assert_eq!(again["refreshToken"], second["refreshToken"], "also after the successor was used");
    let again = refresh(&second["refreshToken"]).await.expect(200);
    assert_eq!(again["refreshToken"], third["refreshToken"]);
    bearer(&shop, &third).get("/api/users/me").await.expect(200);
    log_in(&shop.anyone, "ada@example.com").await.get("/api/users/me").await.expect(200);
    for bad in [json!("x"), json!(""), json!(first["accessToken"]), json!("x".repeat(86))] {
        let refused = refresh(&bad).await.refused(401, "TOKEN_INVALID");
        assert!(refused["detail"].as_str().unwrap().contains("refresh token"), "{refused}");
    }
    let third = shop.anyone.post("/api/auth/login", &credentials("ada@example.com", PASSWORD)).await.expect(200);
    let racers = futures_util::future::join_all((0..8).map(|_| refresh(&third["refreshToken"]))).await;
    let successors: Vec<Value> = racers.into_iter().map(|answer| answer.expect(200)["refreshToken"].clone()).collect();
    assert!(successors.iter().all(|successor| *successor == successors[0]), "one successor: {successors:?}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_out_everywhere_and_changing_the_password_end_other_logins() {
    let shop = Shop::start().await;
    let first = bearer(&shop, &register(&shop, "ada@example.com").await);
    let second = log_in(&shop.anyone, "ada@example.com").await;
    assert_eq!(second.post("/api/auth/logout-all", &json!({})).await.status, 204);
    for ended in [&first, &second] {
        assert_eq!(ended.get("/api/users/me").await.status, 401);
    }
    let third = log_in(&shop.anyone, "ada@example.com").await;
    let change = json!({"currentPassword": PASSWORD, "newPassword": OTHER});
    let wrong = json!({"currentPassword": OTHER, "newPassword": OTHER});
    assert_eq!(
        third.put("/api/users/me/password", &wrong).await.expect(422)["errors"][0]["pointer"],
        "/currentPassword"
    );
    let fourth = log_in(&shop.anyone, "ada@example.com").await;
    assert_eq!(third.put("/api/users/me/password", &change).await.status, 204);
    assert_eq!(fourth.get("/api/users/me").await.status, 401, "other logins end");
    third.get("/api/users/me").await.expect(200);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_reset_by_mail() {
    let shop = Shop::start().await;
    let ada = bearer(&shop, &register(&shop, "ada@example.com").await);
    for email in ["ada@example.com", "nobody@example.com"] {
        let answer = shop.anyone.post("/api/auth/password/forgot", &json!({"email": email})).await.expect(202);
        assert!(answer["message"].is_string());
    }
    let token = token(&wait_for_mail(shop.dir(), "ada@example.com", "reset-password").await, "reset-password");
    let page = shop.anyone.get(&format!("/reset-password?token={token}")).await;
    assert!(page.status == 200 && String::from_utf8_lossy(&page.bytes).contains("/api/auth/password/reset"));
    let reset = |token: &str, password: &str| {
        let (client, body) = (shop.anyone.clone(), json!({"token": token, "password": password}));
        async move { client.post("/api/auth/password/reset", &body).await }
    };
    reset("nonsense", OTHER).await.refused(422, "TOKEN_INVALID");
    assert_eq!(reset(&token, "short").await.status, 422);
    assert_eq!(reset(&token, OTHER).await.status, 204);
    reset(&token, PASSWORD).await.refused(422, "TOKEN_INVALID");
    assert_eq!(ada.get("/api/users/me").await.status, 401, "all logins end");
    shop.anyone.post("/api/auth/login", &credentials("ada@example.com", PASSWORD)).await.expect(401);
    let login = shop.anyone.post("/api/auth/login", &credentials("ada@example.com", OTHER)).await.expect(200);
    assert_eq!(login["user"]["emailVerified"], true, "reading the message proves the address");
    assert_eq!(find_mail(&shop.dir().join("mail"), "nobody@example.com", "reset"), None);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_email_address_is_verified_by_mail() {
    let shop = Shop::start().await;
    let login = register(&shop, "ada@example.com").await;
    assert_eq!(login["user"]["emailVerified"], false);
    let token = token(&wait_for_mail(shop.dir(), "ada@example.com", "verify-email").await, "verify-email");
    let page = shop.anyone.get(&format!("/verify-email?token={token}")).await;
    assert_eq!((page.status, page.headers["cache-control"].to_str().unwrap()), (200, "no-store"));
    assert!(
        String::from_utf8_lossy(&shop.anyone.get("/account/page.js").await.bytes).contains("replaceState"),
        "the token leaves the address"
    );
    let verify = json!({"token": token});
    assert_eq!(shop.anyone.post("/api/auth/email/verify", &verify).await.status, 204);
    shop.anyone.post("/api/auth/email/verify", &verify).await.refused(422, "TOKEN_INVALID");
    assert_eq!(bearer(&shop, &login).get("/api/users/me").await.expect(200)["emailVerified"], true);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_book_has_exactly_one_default() {
    let shop = Shop::start().await;
    let ada = bearer(&shop, &register(&shop, "ada@example.com").await);
    let bob = bearer(&shop, &register(&shop, "bob@example.com").await);
    let book = "/api/users/me/addresses";
    let address = |line: &str| json!({"name": "Ada", "line1": line, "city": "London", "country": "GB"});
    let first = ada.post(book, &address("1 Road")).await.expect(201);
    let second = ada.post(book, &address("2 Road")).await.expect(201);
    assert_eq!((&first["isDefault"], &second["isDefault"]), (&json!(true), &json!(false)));
    let path = format!("{book}/{}", second["id"]);
    let work = json!({"isDefault": true, "line2": "Flat 2", "company": "Engines Ltd", "vatId": "GB123456789"});
    let changed = ada.patch(&path, &work).await.expect(200);
    assert_eq!((&changed["company"], &changed["vatId"]), (&work["company"], &work["vatId"]));
    let defaults: Vec<Value> =
        crate::shop::all(&ada, book).await.into_iter().filter(|item| item["isDefault"] == true).collect();
    assert_eq!((defaults.len(), &defaults[0]["id"]), (1, &second["id"]));
    assert_eq!(bob.patch(&path, &json!({"city": "Paris"})).await.status, 404);
    assert_eq!(bob.delete(&path).await.status, 404);
    let wrong =
        ada.post(book, &json!({"name": "Ada", "line1": "", "city": "London", "country": "XX1"})).await.expect(422);
    assert_eq!(wrong["errors"].as_array().unwrap().len(), 2, "{wrong}");
    assert_eq!(ada.delete(&path).await.status, 204);
    assert_eq!(crate::shop::all(&ada, book).await[0]["isDefault"], true, "the remaining address becomes the default");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn role_changes_apply_at_once_and_the_last_admin_is_kept() {
    let shop = Shop::start().await;
    let login = register(&shop, "ada@example.com").await;
    let (ada, path) = (bearer(&shop, &login), format!("/api/users/{}", login["user"]["id"]));
    assert_eq!(ada.get("/api/users").await.status, 403);
    let role = json!({"name": "CLERK", "description": "Looks", "permissions": ["user:read"]});
    shop.admin.post("/api/roles", &role).await.expect(201);
    shop.admin.post("/api/roles", &role).await.refused(409, "ROLE_TAKEN");
    shop.admin.patch(&path, &json!({"roles": ["CUSTOMER", "CLERK"]})).await.expect(200);
    ada.get("/api/users").await.expect(200);
    shop.admin.patch("/api/roles/CLERK", &json!({"permissions": ["order:read"]})).await.expect(200);
    assert_eq!(ada.get("/api/users").await.status, 403, "a change of a role applies at once");
    shop.admin.delete("/api/roles/CLERK").await.refused(409, "ROLE_IN_USE");
    shop.admin.delete("/api/roles/ADMIN").await.refused(409, "ROLE_BUILT_IN");
    shop.admin.patch(&path, &json!({"roles": ["NOPE"]})).await.expect(422);
    shop.admin.patch(&path, &json!({"roles": []})).await.expect(200);
    assert_eq!(shop.admin.delete("/api/roles/CLERK").await.status, 204);
    let me = shop.admin.get("/api/users/me").await.expect(200);
    let own = format!("/api/users/{}", me["id"]);
    shop.admin.patch(&own, &json!({"roles": ["CUSTOMER"]})).await.refused(409, "LAST_ADMIN");
    shop.admin.patch(&own, &json!({"status": "BLOCKED"})).await.refused(409, "LAST_ADMIN");
    shop.admin.patch(&path, &json!({"status": "BLOCKED"})).await.expect(200);
    assert_eq!(ada.get("/api/users/me").await.status, 401, "blocking ends logins");
    let blocked = shop.anyone.post("/api/auth/login", &credentials("ada@example.com", PASSWORD)).await;
    blocked.refused(403, "ACCOUNT_BLOCKED");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_beyond_ones_own_cannot_be_granted() {
    let shop = Shop::start().await;
    let login = register(&shop, "clerk@example.com").await;
    let (clerk, own) = (bearer(&shop, &login), format!("/api/users/{}", login["user"]["id"]));
    let role = json!({"name": "CLERK", "permissions": ["user:read", "user:write", "role:write"]});
    shop.admin.post("/api/roles", &role).await.expect(201);
    shop.admin.patch(&own, &json!({"roles": ["CLERK"]})).await.expect(200);
    clerk.patch(&own, &json!({"roles": ["CLERK", "ADMIN"]})).await.refused(403, "BEYOND_YOUR_PERMISSIONS");
    let more = json!({"permissions": ["user:read", "user:write", "role:write", "payment:refund"]});
    clerk.patch("/api/roles/CLERK", &more).await.refused(403, "BEYOND_YOUR_PERMISSIONS");
    let admin = shop.admin.get("/api/users/me").await.expect(200);
    let above = clerk.patch(&format!("/api/users/{}", admin["id"]), &json!({"status": "BLOCKED"})).await;
    assert!(matches!(above.status, 403 | 409), "{above:?}");
    shop.close().await;
}

/// The number of places visible to staff in which a word of a person's name or address still occurs.
async fn traces(shop: &Shop, order: &Value, word: &str) -> usize {
    let everywhere = [
        shop.admin.get(&format!("/api/orders/{}", order["id"])).await.expect(200),
        json!(shop.all("/api/users").await),
        json!(shop.all("/api/audit").await),
        json!(shop.all("/api/notifications/deliveries").await),
    ];
    everywhere.iter().filter(|place| place.to_string().to_lowercase().contains(word)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn erasure_waits_for_open_orders_and_keeps_the_books() {
    let shop = Shop::start().await;
    shop.admin.patch("/api/settings/store", &json!({"returnDays": 0})).await.expect(200);
    shop.product("A", "10.00", 10).await;
    let login = register(&shop, "ada.lovelace@example.com").await;
    let (ada, other) = (bearer(&shop, &login), log_in(&shop.anyone, "ada.lovelace@example.com").await);
    ada.patch("/api/users/me", &json!({"name": "Ada Lovelace", "phone": "+44 20 7946 0000"})).await.expect(200);
    let mut body = order_of(&[("A", 1)], "tok_visa");
    body["email"] = json!("ada.lovelace@example.com");
    body["shippingAddress"] =
        json!({"name": "Ada Lovelace", "line1": "12 St James Sq", "city": "London", "country": "GB"});
    let order = ada.post("/api/orders", &body).await.expect(201);
    let export = ada.get("/api/users/me/export").await.expect(200);
    let text = export.to_string();
    for part in ["ada.lovelace@example.com", "Ada Lovelace", "12 St James Sq", order["number"].as_str().unwrap()] {
        assert!(text.contains(part), "the export lacks {part}: {text}");
    }
    let first = ada.delete("/api/users/me").await.expect(202);
    assert_eq!((&first["status"], &first["openOrders"]), (&json!("ERASING"), &json!(1)));
    let again = ada.delete("/api/users/me").await.expect(202);
    assert_eq!((&again["status"], &again["requestedAt"]), (&json!("ERASING"), &first["requestedAt"]));
    for client in [&ada, &other] {
        assert_eq!(client.get("/api/users/me").await.status, 401);
        assert_eq!(client.post("/api/orders", &body).await.status, 401);
    }
    let credentials = credentials("ada.lovelace@example.com", PASSWORD);
    shop.anyone.post("/api/auth/login", &credentials).await.refused(409, "ERASURE_REQUESTED");
    let path = format!("/api/users/{}", login["user"]["id"]);
    let seen = shop.admin.get(&path).await.expect(200);
    assert_eq!((&seen["status"], &seen["erasure"]["openOrders"]), (&json!("ERASING"), &json!(1)));
    // The order keeps its delivery address until it is fulfilled, also after a restart.
    let shop = shop.restart().await;
    let during_erasure = shop.admin.get(&format!("/api/orders/{}", order["id"])).await.expect(200);
    assert_eq!(during_erasure["shippingAddress"]["line1"], "12 St James Sq");
    let parcel = json!({"carrier": "Post", "trackingNumber": "1"});
    shop.admin.post(&format!("/api/orders/{}/fulfilments", order["id"]), &parcel).await.expect(201);
    while traces(&shop, &order, "lovelace").await > 0 {
        tokio::task::yield_now().await;
    }
    let erased = shop.admin.get(&format!("/api/orders/{}", order["id"])).await.expect(200);
    assert_eq!(erased["totals"]["total"], "10.00", "the totals of the order are kept");
    assert_eq!(shop.admin.get(&path).await.expect(200)["status"], "ERASED");
    register(&shop, "ada.lovelace@example.com").await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_no_pending_orders_is_erased_immediately() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 10).await;
    let login = register(&shop, "ada.lovelace@example.com").await;
    let ada = bearer(&shop, &login);
    let mut body = order_of(&[("A", 1)], "tok_visa");
    body["email"] = json!("ada.lovelace@example.com");
    let order = ada.post("/api/orders", &body).await.expect(201);
    let cancel = format!("/api/orders/{}/cancel", order["id"]);
    ada.post(&cancel, &json!({"reason": "changed my mind"})).await.expect(200);
    let done = ada.delete("/api/users/me").await.expect(202);
    assert_eq!((&done["status"], &done["openOrders"]), (&json!("ERASED"), &json!(0)));
    assert_eq!(ada.delete("/api/users/me").await.status, 401);
    while traces(&shop, &order, "lovelace").await > 0 {
        tokio::task::yield_now().await;
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_trail_records_who_changed_what() {
    let shop = Shop::start().await;
    let product = shop.product("A", "10.00", 1).await;
    shop.admin.patch(&format!("/api/products/{}", product["id"]), &json!({"price": "12.00"})).await.expect(200);
    let admin = format!("user:{}", shop.admin.get("/api/users/me").await.expect(200)["id"]);
    let entry = loop {
        let entries = shop.all("/api/audit?action=product.update").await;
        if let Some(entry) = entries.first() {
            break entry.clone();
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(
        (entry["actor"].as_str(), &entry["subject"]),
        (Some(admin.as_str()), &json!(format!("product:{}", product["id"])))
    );
    assert!(entry["before"].to_string().contains("10.00") && entry["after"].to_string().contains("12.00"), "{entry}");
    assert_eq!(shop.all("/api/audit?actor=user:999").await, Vec::<Value>::new());
    let text = json!(shop.all("/api/audit").await).to_string();
    assert!(
        !text.contains(PASSWORD) && !text.contains(EMAIL),
        "the audit trail contains no password and no email address"
    );
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_and_altered_tokens_are_refused() {
    let shop = Shop::start().await;
    let login = register(&shop, "ada@example.com").await;
    let token = login["accessToken"].as_str().unwrap();
    let [header, claims, signature]: [&str; 3] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let keys = shop.anyone.get("/.well-known/jwks.json").await.expect(200);
    let head: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    assert!(keys["keys"].as_array().unwrap().iter().any(|key| key["kid"] == head["kid"] && key["alg"] == "EdDSA"));
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let mut admin: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    admin["sub"] = json!("1");
    let none = json!({"alg": "none", "typ": "JWT", "kid": head["kid"]});
    let symmetric = json!({"alg": "HS256", "typ": "JWT", "kid": head["kid"]});
    let mut flipped = signature.to_owned().into_bytes();
    flipped[10] = if flipped[10] == b'A' { b'B' } else { b'A' };
    for forged in [
        format!("{header}.{}.{signature}", encode(&admin)),
        format!("{}.{}.", encode(&none), encode(&admin)),
        format!("{}.{claims}.{signature}", encode(&symmetric)),
        format!("{header}.{claims}.{}", String::from_utf8(flipped).unwrap()),
        format!("{header}.{claims}"),
        format!("{header}.{claims}.{signature}.x"),
        login["refreshToken"].as_str().unwrap().to_owned(),
        String::from("x"),
    ] {
        let answer = shop.anyone.bearer(&forged).get("/api/users/me").await;
        assert_eq!(answer.status, 401, "{forged} → {answer:?}");
    }
    shop.anyone.bearer(token).get("/api/users/me").await.expect(200);
    let shop = shop.restart().await;
    shop.anyone.bearer(token).get("/api/users/me").await.expect(200);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_passwords_locks_only_the_guessed_account() {
    let shop = Shop::start_with(&[("PROMOX_LIMITS__ENABLED", "true")]).await;
    register(&shop, "ada@example.com").await;
    let guess = || async { shop.anyone.post("/api/auth/login", &credentials("ada@example.com", OTHER)).await };
    let mut answers = Vec::new();
    for _ in 0..12 {
        answers.push(guess().await);
    }
    let locked = answers.iter().find(|answer| answer.status == 429).expect("a lock");
    locked.refused(429, "ACCOUNT_LOCKED");
    assert!(locked.headers["retry-after"].to_str().unwrap().parse::<u32>().unwrap() > 0);
    assert!(answers.iter().all(|answer| matches!(answer.status, 401 | 429)), "{answers:?}");
    let correct = shop.anyone.post("/api/auth/login", &credentials("ada@example.com", PASSWORD)).await;
    correct.refused(429, "ACCOUNT_LOCKED");
    log_in(&shop.anyone, EMAIL).await.get("/api/users/me").await.expect(200);
    shop.close().await;
}
