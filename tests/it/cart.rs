//! Carts of guests and users: their contents and prices, merging, and ordering.

use serde_json::{Value, json};

use crate::client::Client;
use crate::shop::{PASSWORD, Shop, log_in};

const CURRENT: &str = "/api/carts/current";
const ITEMS: &str = "/api/carts/current/items";
const MERGE: &str = "/api/carts/current/merge";

async fn shop() -> Shop {
    let shop = Shop::start().await;
    shop.product("A", "2.50", 10).await;
    shop.product("B-2", "0.99", 100).await;
    shop.product("C", "7.00", 5).await;
    shop
}

/// A guest with a cart, and the cart's token.
async fn guest(shop: &Shop) -> (Client, String) {
    let cart = shop.anyone.post("/api/carts", &json!({})).await.expect(201);
    let token = cart["token"].as_str().unwrap().to_owned();
    (shop.anyone.with("x-cart-token", token.as_str()), token)
}

async fn add(client: &Client, sku: &str, quantity: u32) -> Value {
    client.post(ITEMS, &json!({"sku": sku, "quantity": quantity})).await.expect(200)
}

/// SKUs and quantities of the client's cart.
async fn contents(client: &Client) -> Vec<(String, u64)> {
    let cart = client.get(CURRENT).await.expect(200);
    let line = |line: &Value| (line["sku"].as_str().unwrap().to_owned(), line["quantity"].as_u64().unwrap());
    cart["items"].as_array().unwrap().iter().map(line).collect()
}

fn lines(lines: &[(&str, u64)]) -> Vec<(String, u64)> {
    lines.iter().map(|(sku, quantity)| ((*sku).to_owned(), *quantity)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_fills_changes_and_empties_a_cart() {
    let shop = shop().await;
    let (guest, _) = guest(&shop).await;
    add(&guest, "a", 2).await;
    let cart = add(&guest, "A", 1).await;
    assert_eq!(cart.get("token"), None, "the token is shown once");
    assert_eq!((&cart["items"][0]["sku"], &cart["items"][0]["quantity"]), (&json!("A"), &json!(3)), "one line per SKU");
    assert_eq!((&cart["items"][0]["lineTotal"], &cart["items"][0]["available"]), (&json!("7.50"), &json!(10)));
    add(&guest, "B-2", 10).await;
    let cart = guest.patch(&format!("{ITEMS}/b-2"), &json!({"quantity": 4})).await.expect(200);
    assert_eq!(cart["totals"]["total"], "11.46");
    let short = guest.post(ITEMS, &json!({"sku": "A", "quantity": 8})).await.refused(409, "INSUFFICIENT_STOCK");
    assert_eq!((&short["available"], &short["asked"]), (&json!(10), &json!(11)));
    for (quantity, status) in [(0, 422), (-1, 422), (10_000, 422), (9_999, 409)] {
        let answer = guest.post(ITEMS, &json!({"sku": "C", "quantity": quantity})).await;
        assert_eq!(answer.status, status, "{quantity}: {answer:?}");
    }
    let unknown = guest.post(ITEMS, &json!({"sku": "NOPE", "quantity": 1})).await.expect(422);
    assert_eq!(unknown["errors"][0]["pointer"], "/sku");
    assert_eq!(guest.patch(&format!("{ITEMS}/C"), &json!({"quantity": 1})).await.status, 404);
    assert_eq!(guest.delete(&format!("{ITEMS}/A")).await.status, 204);
    assert_eq!(contents(&guest).await, lines(&[("B-2", 4)]));
    assert_eq!(guest.delete(CURRENT).await.status, 204);
    assert_eq!(guest.get(CURRENT).await.status, 404);
    assert_eq!(shop.anyone.get(CURRENT).await.status, 401);
    assert_eq!(shop.anyone.with("x-cart-token", "nonsense").get(CURRENT).await.status, 404);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_its_quote_and_its_order_have_the_same_totals() {
    let shop = shop().await;
    let taxes =
        json!({"pricesIncludeTax": false, "rates": [{"country": "GB", "taxClass": "STANDARD", "percent": "20"}]});
    let ada = shop.customer("ada@example.com").await;
    add(&ada, "A", 3).await;
    add(&ada, "B-2", 7).await;
    let body = json!({"payment": {"method": "CARD", "token": "tok_visa"}});
    let cart = ada.get(CURRENT).await.expect(200);
    let quote = ada.post("/api/orders/quote", &body).await.expect(200);
    assert_eq!(cart["totals"], quote["totals"]);
    assert_eq!(cart["totals"]["total"], "14.43");
    let order = ada.post("/api/orders", &body).await.expect(201);
    assert_eq!(order["totals"], quote["totals"]);
    assert_eq!(contents(&ada).await, lines(&[]), "the checkout empties the cart");
    ada.post("/api/orders", &body).await.refused(422, "CART_EMPTY");
    shop.admin.patch("/api/settings/taxes", &taxes).await.expect(200);
    add(&ada, "A", 1).await;
    let mut body = body;
    body["shippingAddress"] = json!({"name": "A", "line1": "1", "city": "C", "postalCode": "P", "country": "GB"});
    let (cart, quote) = (ada.get(CURRENT).await.expect(200), ada.post("/api/orders/quote", &body).await.expect(200));
    let order = ada.post("/api/orders", &body).await.expect(201);
    assert_eq!(order["totals"], quote["totals"]);
    assert_ne!(order["totals"]["tax"], "0.00", "{order}");
    assert_eq!(cart["totals"]["subtotal"], quote["totals"]["subtotal"]);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn carts_merge_once_at_login_and_on_request_within_stock() {
    let shop = shop().await;
    let ada = shop.customer("ada@example.com").await;
    add(&ada, "A", 4).await;
    let (visitor, token) = guest(&shop).await;
    add(&visitor, "A", 8).await;
    add(&visitor, "C", 2).await;
    let merged = ada.post(MERGE, &json!({"cartToken": token})).await.expect(200);
    assert_eq!(contents(&ada).await, lines(&[("A", 10), ("C", 2)]));
    assert_eq!(merged["warnings"][0]["code"], "QUANTITY_CAPPED", "{merged}");
    for _ in 0..2 {
        ada.post(MERGE, &json!({"cartToken": token})).await.expect(200);
        assert_eq!(contents(&ada).await, lines(&[("A", 10), ("C", 2)]), "merging twice changes nothing");
    }
    assert_eq!(visitor.get(CURRENT).await.status, 404, "the guest's cart no longer exists");
    let bob = shop.customer("bob@example.com").await;
    assert_eq!(
        bob.post(MERGE, &json!({"cartToken": token})).await.status,
        404,
        "the cart was merged into another user's"
    );
    assert_eq!(ada.post(MERGE, &json!({"cartToken": "nonsense"})).await.status, 404);
    let (visitor, token) = guest(&shop).await;
    add(&visitor, "B-2", 5).await;
    let login = json!({"email": "ada@example.com", "password": PASSWORD});
    for _ in 0..2 {
        shop.anyone.with("x-cart-token", token.as_str()).post("/api/auth/login", &login).await.expect(200);
    }
    let again = log_in(&shop.anyone, "ada@example.com").await;
    assert_eq!(contents(&again).await, lines(&[("A", 10), ("C", 2), ("B-2", 5)]));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_merges_conserve_quantities() {
    let shop = shop().await;
    let ada = shop.customer("ada@example.com").await;
    let mut tokens = Vec::new();
    for _ in 0..4 {
        let (visitor, token) = guest(&shop).await;
        add(&visitor, "B-2", 3).await;
        tokens.push(token);
    }
    let merges = tokens.iter().cycle().take(16).map(|token| {
        let (ada, body) = (ada.clone(), json!({"cartToken": token}));
        tokio::spawn(async move { ada.post(MERGE, &body).await.expect(200) })
    });
    for merge in merges.collect::<Vec<_>>() {
        merge.await.unwrap();
    }
    assert_eq!(contents(&ada).await, lines(&[("B-2", 12)]));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_checkouts_of_a_cart_place_one_order() {
    let shop = shop().await;
    for round in 0..5 {
        let ada = shop.customer(&format!("ada{round}@example.com")).await;
        add(&ada, "B-2", 2).await;
        let body = json!({"payment": {"method": "CARD", "token": "tok_visa"}});
        let buyers = (0..4).map(|_| {
            let (ada, body) = (ada.clone(), body.clone());
            tokio::spawn(async move { ada.post("/api/orders", &body).await })
        });
        let mut placed = 0;
        for buyer in buyers.collect::<Vec<_>>() {
            let answer = buyer.await.unwrap();
            assert!(matches!(answer.status, 201 | 409 | 422), "{answer:?}");
            placed += u32::from(answer.status == 201);
        }
        assert_eq!(placed, 1);
        assert_eq!(contents(&ada).await, lines(&[]));
    }
    assert_eq!(shop.settled_stock("B-2").await, 90);
    assert_eq!(shop.all("/api/orders").await.len(), 5);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_card_leaves_the_cart_unchanged() {
    let shop = shop().await;
    let (visitor, _) = guest(&shop).await;
    add(&visitor, "A", 2).await;
    let body = |token: &str| json!({"email": "guest@example.com", "payment": {"method": "CARD", "token": token}});
    visitor.post("/api/orders", &body("tok_declined")).await.refused(402, "PAYMENT_DECLINED");
    assert_eq!(contents(&visitor).await, lines(&[("A", 2)]));
    visitor.post("/api/orders", &body("tok_visa")).await.expect(201);
    assert_eq!(contents(&visitor).await, lines(&[]));
    let without_cart = json!({"payment": {"method": "CARD", "token": "tok_visa"}, "email": "guest@example.com"});
    let answer = shop.anyone.post("/api/orders", &without_cart).await;
    assert!(matches!(answer.status, 401 | 404 | 422), "{answer:?}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn warnings_name_what_prevents_the_order() {
    let shop = shop().await;
    let ada = shop.customer("ada@example.com").await;
    add(&ada, "A", 4).await;
    add(&ada, "C", 1).await;
    let codes = json!({"promotionCode": "NOPE", "couponCodes": ["GONE"]});
    let cart = ada.put("/api/carts/current/codes", &codes).await.expect(200);
    assert_eq!(cart["codes"]["couponCodes"], json!(["GONE"]), "codes are kept while they do not apply");
    shop.set_stock("A", 3).await;
    let deleted = shop.anyone.get("/api/products/sku/C").await.expect(200);
    assert_eq!(shop.admin.delete(&format!("/api/products/{}", deleted["id"])).await.status, 204);
    let cart = ada.get(CURRENT).await.expect(200);
    let mut warnings: Vec<&str> =
        cart["warnings"].as_array().unwrap().iter().map(|warning| warning["code"].as_str().unwrap()).collect();
    warnings.sort_unstable();
    assert_eq!(warnings, ["CODE_NOT_APPLIED", "CODE_NOT_APPLIED", "INSUFFICIENT_STOCK", "PRODUCT_UNAVAILABLE"]);
    assert_eq!(cart["totals"]["total"], "10.00", "an unavailable product does not count towards the total");
    let body = json!({"payment": {"method": "CARD", "token": "tok_visa"}});
    let answer = ada.post("/api/orders", &body).await;
    assert!(matches!(answer.status, 409 | 422), "{answer:?}");
    ada.put("/api/carts/current/codes", &json!({})).await.expect(200);
    ada.delete(&format!("{ITEMS}/C")).await;
    ada.post("/api/orders", &body).await.refused(409, "INSUFFICIENT_STOCK");
    ada.patch(&format!("{ITEMS}/A"), &json!({"quantity": 3})).await.expect(200);
    ada.post("/api/orders", &body).await.expect(201);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_stale_version_is_refused() {
    let shop = shop().await;
    let ada = shop.customer("ada@example.com").await;
    let version = add(&ada, "A", 1).await["version"].clone();
    let stale = ada.with("if-match", format!("\"{}\"", version.as_i64().unwrap() - 1));
    stale.patch(&format!("{ITEMS}/A"), &json!({"quantity": 2})).await.refused(412, "VERSION_MISMATCH");
    let fresh = ada.with("if-match", format!("\"{version}\""));
    fresh.patch(&format!("{ITEMS}/A"), &json!({"quantity": 2})).await.expect(200);
    fresh.patch(&format!("{ITEMS}/A"), &json!({"quantity": 3})).await.refused(412, "VERSION_MISMATCH");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gift_of_an_ordered_sku_does_not_change_its_price() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 9).await;
    let gift = json!({"name": "one more", "actions": [{"type": "GIFT", "sku": "A", "quantity": 1}]});
    crate::promotions::activate(&shop, gift).await;
    let (guest, _) = guest(&shop).await;
    let cart = guest.post(ITEMS, &json!({"sku": "A", "quantity": 2})).await.expect(200);
    let items = cart["items"].as_array().unwrap();
    let line = |line: &Value| [&line["quantity"], &line["unitPrice"], &line["lineTotal"]].map(Clone::clone);
    assert_eq!(items.iter().map(line).collect::<Vec<_>>(), [[json!(2), json!("10.00"), json!("20.00")]]);
    assert_eq!(cart["totals"]["total"], "20.00");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_overflows_the_total_is_refused_and_changes_nothing() {
    let shop = Shop::start().await;
    shop.product("A", "1.00", 10).await;
    let expensive = shop.product("B", "2000000000000.00", 20_000).await;
    let (visitor, token) = guest(&shop).await;
    add(&visitor, "A", 1).await;
    add(&visitor, "B", 4_000).await;
    let before = visitor.get(CURRENT).await.expect(200);
    let one_b = format!("{ITEMS}/B");
    visitor.post(ITEMS, &json!({"sku": "B", "quantity": 5_999})).await.refused(422, "AMOUNT_TOO_LARGE");
    visitor.patch(&one_b, &json!({"quantity": 9_999})).await.refused(422, "AMOUNT_TOO_LARGE");
    assert_eq!(visitor.get(CURRENT).await.expect(200), before);
    let ada = shop.customer("ada@example.com").await;
    ada.post(ITEMS, &json!({"sku": "B", "quantity": 9_999})).await.refused(422, "AMOUNT_TOO_LARGE");
    assert_eq!(contents(&ada).await, lines(&[]));
    add(&ada, "B", 4_000).await;
    let own = ada.get(CURRENT).await.expect(200);
    ada.post(MERGE, &json!({"cartToken": token})).await.refused(422, "AMOUNT_TOO_LARGE");
    let login = json!({"email": "ada@example.com", "password": PASSWORD});
    shop.anyone.with("x-cart-token", token.as_str()).post("/api/auth/login", &login).await.expect(200);
    assert_eq!((visitor.get(CURRENT).await.expect(200), ada.get(CURRENT).await.expect(200)), (before, own));

    let raised = json!({"price": "9000000000000.00"});
    shop.admin.patch(&format!("/api/products/{}", expensive["id"]), &raised).await.expect(200);
    let cart = visitor.get(CURRENT).await.expect(200);
    assert_eq!((&cart["warnings"][0]["code"], &cart["warnings"][1]), (&json!("AMOUNT_TOO_LARGE"), &json!(null)));
    assert_eq!((&cart["totals"]["total"], &cart["items"][1]["lineTotal"]), (&json!("0.00"), &json!(null)));
    let codes = json!({"promotionCode": "LATER"});
    visitor.put("/api/carts/current/codes", &codes).await.refused(422, "AMOUNT_TOO_LARGE");
    assert_eq!(visitor.get(CURRENT).await.expect(200), cart);
    visitor.patch(&one_b, &json!({"quantity": 1_000})).await.expect(200);
    assert_eq!(visitor.delete(&one_b).await.status, 204);
    assert_eq!(visitor.get(CURRENT).await.expect(200)["totals"]["total"], "1.00");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_additions_are_all_applied() {
    let shop = shop().await;
    let (visitor, _) = guest(&shop).await;
    let additions = (0..12).map(|_| {
        let visitor = visitor.clone();
        tokio::spawn(async move { add(&visitor, "B-2", 2).await })
    });
    for addition in additions.collect::<Vec<_>>() {
        addition.await.unwrap();
    }
    assert_eq!(contents(&visitor).await, lines(&[("B-2", 24)]));
    shop.close().await;
}
