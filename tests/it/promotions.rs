//! Promotions over HTTP: actions, conditions, stacking, validation, offers and gifts, calculation of carts, and
//! editing.

use serde_json::{Value, json};

use crate::client::Client;
use crate::shop::{Shop, order_of};

/// Creates and activates a promotion and returns its id.
pub(crate) async fn activate(shop: &Shop, promotion: Value) -> i64 {
    let created = shop.admin.post("/api/promotions", &promotion).await.expect(201);
    let path = format!("/api/promotions/{}/activate", created["id"]);
    shop.admin.post(&path, &json!({})).await.expect(200);
    created["id"].as_i64().unwrap()
}

pub(crate) async fn pause(shop: &Shop, id: i64) {
    shop.admin.post(&format!("/api/promotions/{id}/pause"), &json!({})).await.expect(200);
}

/// An object with additional members.
pub(crate) fn with(mut value: Value, more: Value) -> Value {
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    value
}

/// A promotion of `off` percent of the order, with additional members.
pub(crate) fn percent(off: &str, more: Value) -> Value {
    with(json!({"name": format!("{off} off"), "actions": [{"type": "PERCENT_OFF", "value": off}]}), more)
}

/// Calculates a cart with the promotions of the request.
async fn calculate(client: &Client, items: Value, promotions: Value, more: Value) -> Value {
    let body = with(json!({"items": items, "promotions": promotions}), more);
    client.post("/api/promotions/calculate", &body).await.expect(200)
}

fn lines(answer: &Value) -> Vec<&str> {
    answer["lines"].as_array().unwrap().iter().map(|line| line["total"].as_str().unwrap()).collect()
}

/// The first rejected promotion and its reason, `none` when there is none.
pub(crate) fn reason(answer: &Value) -> (&str, &Value) {
    let rejected = &answer["rejectedPromotions"][0];
    (rejected["reason"].as_str().unwrap_or("none"), rejected)
}

pub(crate) async fn order(client: &Client, sku: &str, quantity: u32, more: Value) -> crate::client::Answer {
    client.post("/api/orders", &with(order_of(&[(sku, quantity)], "tok_visa"), more)).await
}

/// An action, the totals of three A at 10.00 and of two B at 7.50 with it, and its discount on shipping.
type Case = (Value, [&'static str; 2], &'static str);

/// Actions that discount by percentage, amount or fixed price.
fn amount_cases() -> Vec<Case> {
    let a = json!({"skus": ["a"]});
    vec![
        (json!({"type": "PERCENT_OFF", "value": "10"}), ["27.00", "13.50"], "0.00"),
        (json!({"type": "PERCENT_OFF", "value": "33.3333", "scope": "ITEMS", "items": a}), ["20.00", "15.00"], "0.00"),
        (json!({"type": "PERCENT_OFF", "value": 50, "maxDiscount": "9.00"}), ["24.00", "12.00"], "0.00"),
        (
            json!({"type": "PERCENT_OFF", "value": "50", "scope": "ITEMS", "maxUnitsPerLine": 1}),
            ["25.00", "11.25"],
            "0.00",
        ),
        (json!({"type": "PERCENT_OFF", "value": "50", "scope": "SHIPPING"}), ["30.00", "15.00"], "2.50"),
        (json!({"type": "AMOUNT_OFF", "value": "4.50"}), ["27.00", "13.50"], "0.00"),
        (json!({"type": "AMOUNT_OFF", "value": "2.00", "scope": "ITEMS"}), ["24.00", "11.00"], "0.00"),
        (json!({"type": "AMOUNT_OFF", "value": "2.00", "scope": "ITEMS", "per": "LINE"}), ["28.00", "13.00"], "0.00"),
        (
            json!({"type": "AMOUNT_OFF", "value": "12.00", "scope": "ITEMS", "per": "LINE", "maxUnitsPerLine": 1}),
            ["20.00", "7.50"],
            "0.00",
        ),
        (json!({"type": "AMOUNT_OFF", "value": "9.00", "scope": "SHIPPING"}), ["30.00", "15.00"], "5.00"),
        (json!({"type": "FIXED_PRICE", "value": "9.00", "scope": "ITEMS"}), ["27.00", "15.00"], "0.00"),
        (json!({"type": "FIXED_PRICE", "value": "0.00", "scope": "ITEMS", "items": a}), ["0.00", "15.00"], "0.00"),
        (json!({"type": "FIXED_PRICE", "value": "30.00", "scope": "ORDER"}), ["20.00", "10.00"], "0.00"),
    ]
}

/// Actions that depend on units, packs, tiers or filters.
fn unit_cases() -> Vec<Case> {
    let a = json!({"skus": ["a"]});
    vec![
        (
            json!({"type": "BUY_X_GET_Y", "buy": {"items": a, "quantity": 2}, "get": {"items": {"skus": ["B"]},
            "quantity": 1, "percentOff": "100"}}),
            ["30.00", "7.50"],
            "0.00",
        ),
        (json!({"type": "EVERY_NTH", "items": a, "every": 3, "percentOff": "50"}), ["25.00", "15.00"], "0.00"),
        (json!({"type": "PACK", "items": a, "size": 2, "price": "15.00"}), ["25.00", "15.00"], "0.00"),
        (json!({"type": "PACK", "items": {}, "size": 5, "percentOff": "10"}), ["27.00", "13.50"], "0.00"),
        (
            json!({"type": "BUNDLE_PRICE", "parts": [{"items": a, "quantity": 1}, {"items": {"skus": ["B"]}, "quantity": 1}],
            "price": "14.00"}),
            ["26.00", "12.00"],
            "0.00",
        ),
        (
            json!({"type": "TIERED", "basis": "QUANTITY", "scope": "ORDER", "tiers": [{"from": "2", "percentOff": "10"},
            {"from": "5", "percentOff": "20"}]}),
            ["24.00", "12.00"],
            "0.00",
        ),
        (
            json!({"type": "TIERED", "basis": "LINE_QUANTITY", "scope": "ITEMS", "tiers": [{"from": "3", "unitPrice": "8.00"}]}),
            ["24.00", "15.00"],
            "0.00",
        ),
        (json!({"type": "CHEAPEST", "items": {}, "percentOff": "100"}), ["30.00", "7.50"], "0.00"),
        (json!({"type": "FREE_SHIPPING", "maxDiscount": "4.00"}), ["30.00", "15.00"], "4.00"),
        (
            json!({"type": "AMOUNT_OFF", "value": "1", "scope": "ITEMS", "items": {"categories": [3]}}),
            ["27.00", "15.00"],
            "0.00",
        ),
        (
            json!({"type": "AMOUNT_OFF", "value": "1", "scope": "ITEMS", "items": {"attributes": {"color": "red"}}}),
            ["30.00", "13.00"],
            "0.00",
        ),
        (
            json!({"type": "AMOUNT_OFF", "value": "1", "scope": "ITEMS", "items": {"minPrice": "8", "exclude": {"skus": ["Z"]}}}),
            ["27.00", "15.00"],
            "0.00",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_action_discounts_as_documented() {
    let shop = Shop::start().await;
    let items = json!([
        {"sku": "A", "quantity": 3, "unitPrice": "10.00", "categoryIds": [3]},
        {"sku": "B", "quantity": 2, "unitPrice": "7.50", "attributes": {"color": "red"}},
    ]);
    for (action, expected, shipping) in amount_cases().into_iter().chain(unit_cases()) {
        let promotion = json!([{"name": "P", "actions": [action]}]);
        let answer = calculate(&shop.admin, items.clone(), promotion, json!({"shipping": {"amount": "5.00"}})).await;
        assert_eq!(lines(&answer), expected, "{action}: {answer}");
        assert_eq!(answer["totals"]["shippingDiscount"], shipping, "{action}");
        let sum: i64 = answer["lines"].as_array().unwrap().iter().map(|line| pence(&line["total"])).sum();
        let shipping = 500 - pence(&answer["totals"]["shippingDiscount"]);
        assert_eq!(pence(&answer["totals"]["total"]), sum + shipping, "{answer}");
    }
    shop.close().await;
}

/// An amount in hundredths.
pub(crate) fn pence(amount: &Value) -> i64 {
    amount.as_str().unwrap().replace('.', "").parse().unwrap()
}

/// Invalid members of a promotion, and the pointer of their fault.
type Fault = (Value, &'static str);

fn invalid_members() -> Vec<Fault> {
    let action = json!({"type": "PERCENT_OFF", "value": "10"});
    let mut deep = json!({"field": "cart.lines", "op": "GT", "value": 1});
    for _ in 0..9 {
        deep = json!({"not": deep});
    }
    let leaf = |field: &str, op: &str, value: Value| json!({"when": {"field": field, "op": op, "value": value}});
    vec![
        (json!({"actions": []}), "/actions"),
        (json!({"actions": vec![action.clone(); 9]}), "/actions"),
        (json!({"name": ""}), "/name"),
        (json!({"code": "--"}), "/code"),
        (json!({"timezone": "Mars/Olympus"}), "/timezone"),
        (json!({"startsAt": "2026-01-02T00:00:00Z", "endsAt": "2026-01-02T00:00:00Z"}), "/endsAt"),
        (json!({"schedule": {"days": []}}), "/schedule/days"),
        (json!({"schedule": {"days": ["FREITAG"]}}), "/schedule/days/0"),
        (json!({"schedule": {"from": "25:00"}}), "/schedule/from"),
        (
            json!({"schedule": {"days": ["SUN"], "from": "10:00", "to": "11:00"},
            "startsAt": "2026-11-23T00:00:00Z", "endsAt": "2026-11-25T00:00:00Z"}),
            "/schedule",
        ),
        (json!({"campaignId": 999}), "/campaignId"),
        (json!({"stage": "CATALOG", "code": "X1"}), "/code"),
        (json!({"stage": "CATALOG", "when": {"field": "cart.subtotal", "op": "GT", "value": "1"}}), "/when/field"),
        (json!({"limits": {"total": 0}}), "/limits/total"),
        (json!({"limits": {"budget": "1.001"}}), "/limits/budget"),
        (json!({"limits": {"periods": [{"per": "USER", "period": "YEAR", "count": 1}]}}), "/limits/periods/0/period"),
        (json!({"stacking": {"mode": "EXCLUSIVE", "group": "g"}}), "/stacking/group"),
        (json!({"when": deep}), "/when/not/not/not/not/not/not/not/not"),
        (leaf("cart.weight", "GT", json!(1)), "/when/field"),
        (leaf("cart.subtotal", "CONTAINS", json!("1")), "/when/op"),
        (leaf("cart.subtotal", "GT", json!("1.001")), "/when/value"),
        (leaf("cart.quantity", "GT", json!("many")), "/when/value"),
        (leaf("customer.tier", "IN", json!("GOLD")), "/when/value"),
        (leaf("time.weekday", "EQ", json!("FREITAG")), "/when/value"),
        (leaf("time.hour", "EQ", json!(24)), "/when/value"),
        (json!({"when": {"all": [{"any": [{"field": "channel", "op": "EQ"}]}]}}), "/when/all/0/any/0/value"),
    ]
}

fn invalid_actions() -> Vec<Fault> {
    let act = |action: Value| json!({"actions": [action]});
    vec![
        (act(json!({"type": "PERCENT_OFF", "value": "100.0001"})), "/actions/0/value"),
        (act(json!({"type": "PERCENT_OFF", "value": "0"})), "/actions/0/value"),
        (act(json!({"type": "PERCENT_OFF", "value": "1.00001"})), "/actions/0/value"),
        (act(json!({"type": "PERCENT_OFF"})), "/actions/0/value"),
        (act(json!({"type": "PERCENT_OFF", "value": "5", "every": 2})), "/actions/0/every"),
        (act(json!({"type": "PERCENT_OFF", "value": "5", "worth": 2})), "/actions/0/worth"),
        (act(json!({"type": "NOTHING_OFF"})), "/actions/0/type"),
        (act(json!({"type": "AMOUNT_OFF", "value": "-1"})), "/actions/0/value"),
        (
            act(
                json!({"type": "TIERED", "basis": "QUANTITY", "scope": "ORDER", "tiers": [{"from": "5", "percentOff": "10"},
            {"from": "2", "percentOff": "20"}]}),
            ),
            "/actions/0/tiers/1/from",
        ),
        (act(json!({"type": "GIFT", "sku": "NOPE!", "quantity": 0})), "/actions/0/quantity"),
        (
            act(json!({"type": "BUY_X_GET_Y", "buy": {"quantity": 1}, "get": {"quantity": 0, "percentOff": "100"}})),
            "/actions/0/get/quantity",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_promotions_are_refused_with_a_pointer() {
    let shop = Shop::start().await;
    for (members, pointer) in invalid_members().into_iter().chain(invalid_actions()) {
        let body = with(percent("10", json!({})), members);
        let refused = shop.admin.post("/api/promotions", &body).await;
        let problem = refused.expect(422);
        let pointers: Vec<_> =
            problem["errors"].as_array().unwrap().iter().map(|item| item["pointer"].as_str().unwrap()).collect();
        assert!(pointers.contains(&pointer), "{body}: {pointers:?}, not {pointer}");
        let inline = json!({"items": [{"sku": "A", "quantity": 1, "unitPrice": "1"}], "promotions": [body]});
        if pointer != "/campaignId" {
            let problem = shop.admin.post("/api/promotions/calculate", &inline).await.expect(422);
            let expected = format!("/promotions/0{pointer}");
            let found = problem["errors"].as_array().unwrap().iter().any(|item| item["pointer"] == expected.as_str());
            assert!(found, "{problem} without {expected}");
        }
    }
    let missing = shop.admin.post("/api/promotions", &json!({})).await.expect(422);
    let pointers: Vec<_> = missing["errors"].as_array().unwrap().iter().map(|item| &item["pointer"]).collect();
    assert_eq!(pointers, ["/name", "/actions"]);
    assert_eq!(
        shop.admin.get("/api/promotions").await.expect(200)["items"],
        json!([]),
        "no invalid promotion is stored"
    );
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stackable_promotions_combine_groups_apply_one_and_exclusive_ones_apply_alone() {
    let shop = Shop::start().await;
    let items = json!([{"sku": "A", "quantity": 1, "unitPrice": "100.00"}]);
    let p = |id: i64, off: &str, more: Value| with(percent(off, more), json!({"id": id}));
    let amount = |id: i64, off: &str, more: Value| {
        let action = json!([{"type": "AMOUNT_OFF", "value": off}]);
        with(json!({"id": id, "name": format!("{off} off"), "actions": action}), more)
    };
    let exclusive = json!({"stacking": {"mode": "EXCLUSIVE"}});
    let group = |name: &str, priority: i64| json!({"stacking": {"group": name}, "priority": priority});
    for (promotions, applied, total) in [
        (json!([p(1, "10", json!({})), amount(2, "10.00", json!({}))]), json!([1, 2]), "80.00"),
        (json!([p(1, "10", json!({})), amount(2, "10.00", json!({"priority": 1}))]), json!([2, 1]), "81.00"),
        (json!([p(1, "10", json!({})), p(2, "19", exclusive.clone()), p(3, "10", json!({}))]), json!([1, 3]), "81.00"),
        (json!([p(1, "10", json!({})), p(2, "19.01", exclusive.clone()), p(3, "10", json!({}))]), json!([2]), "80.99"),
        (json!([p(1, "10", exclusive.clone()), p(2, "10", exclusive.clone())]), json!([1]), "90.00"),
        (
            json!([p(1, "10", group("g", 5)), amount(2, "12.00", group("g", 0)), p(3, "50", json!({"priority": 1}))]),
            json!([2, 3]),
            "44.00",
        ),
        (json!([p(2, "10", group("g", 0)), p(1, "10", group("g", 0))]), json!([1]), "90.00"),
        (json!([p(1, "10", group("g", 0)), p(2, "10", group("h", 0))]), json!([1, 2]), "81.00"),
    ] {
        let answer = calculate(&shop.admin, items.clone(), promotions.clone(), json!({})).await;
        let ids: Vec<&Value> =
            answer["appliedPromotions"].as_array().unwrap().iter().map(|item| &item["promotionId"]).collect();
        assert_eq!((json!(ids), &answer["totals"]["total"]), (applied, &json!(total)), "{promotions}");
        let all = promotions.as_array().unwrap().len();
        let reported = answer["rejectedPromotions"].as_array().unwrap().len() + ids.len();
        assert_eq!(reported, all, "every promotion is reported as applied or rejected: {answer}");
    }
    // A promotion with the buyer's code that loses to a better one is reported, and the order is placed without it.
    shop.product("A", "100.00", 10).await;
    let named = activate(&shop, with(percent("5", exclusive.clone()), json!({"code": "FIVE"}))).await;
    activate(&shop, percent("10", json!({}))).await;
    let placed = order(&shop.anyone, "A", 1, json!({"promotionCode": "FIVE"})).await.expect(201);
    assert_eq!((reason(&placed).0, &placed["totals"]["total"]), ("NOT_COMBINABLE", &json!("90.00")));
    assert_eq!(shop.admin.get(&format!("/api/promotions/{named}")).await.expect(200)["uses"], 0);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn offers_state_the_missing_amount_and_gifts_require_stock() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 100).await;
    shop.product("MUG", "4.00", 1).await;
    for (minimum, name) in [("13.20", "near"), ("20.00", "far"), ("30.00", "farther"), ("40.00", "out of sight")] {
        let when = json!({"field": "cart.subtotal", "op": "GTE", "value": minimum});
        activate(&shop, json!({"name": name, "when": when, "actions": [{"type": "FREE_SHIPPING"}]})).await;
    }
    let quote = shop.anyone.post("/api/orders/quote", &order_of(&[("A", 1)], "tok_visa")).await.expect(200);
    let offers: Vec<_> = quote["offers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["name"].clone(), item["missing"].clone()))
        .collect();
    assert_eq!(json!(offers), json!([["near", "3.20"], ["far", "10.00"], ["farther", "20.00"]]));
    assert_eq!(quote["offers"][0]["message"], "3.20 more for free shipping");
    assert_eq!(quote["offers"][0]["field"], "cart.subtotal");
    let gift = json!({"name": "a mug", "actions": [{"type": "GIFT", "sku": "mug", "quantity": 1}],
        "limits": {"budget": "6.00"}});
    let gift = activate(&shop, gift).await;
    let placed = order(&shop.anyone, "A", 1, json!({})).await.expect(201);
    let line = &placed["lines"][1];
    assert_eq!((&line["sku"], &line["total"], &line["listPrice"]), (&json!("MUG"), &json!("0.00"), &json!("4.00")));
    assert_eq!(shop.settled_stock("MUG").await, 0);
    let placed = order(&shop.anyone, "A", 1, json!({})).await.expect(201);
    assert_eq!(placed["lines"].as_array().unwrap().len(), 1, "a gift is given only while in stock");
    shop.set_stock("MUG", 5).await;
    let placed = order(&shop.anyone, "A", 1, json!({})).await.expect(201);
    assert_eq!(placed["lines"].as_array().unwrap().len(), 1, "the remaining budget of 2.00 does not cover a gift");
    let seen = shop.admin.get(&format!("/api/promotions/{gift}")).await.expect(200);
    assert_eq!((&seen["uses"], &seen["spent"]), (&json!(1), &json!("4.00")));
    let usage = shop.admin.get(&format!("/api/promotions/{gift}/usage")).await.expect(200);
    assert_eq!(usage["items"][0]["amount"], "4.00");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_calculated_cart_uses_the_terms_of_the_request() {
    let shop = Shop::start().await;
    let off = json!([percent("10", json!({}))]);
    for (currency, price, quantity, tax_included, total, tax) in [
        ("JPY", "105", 1, false, "95", "9"),
        ("KWD", "1.005", 1, false, "0.905", "0.090"),
        ("EUR", "10.05", 1, true, "9.04", "0.82"),
    ] {
        let items = json!([{"sku": "X", "quantity": quantity, "unitPrice": price, "taxRate": "10"}]);
        let more = json!({"currency": currency, "pricesIncludeTax": tax_included});
        let answer = calculate(&shop.admin, items, off.clone(), more).await;
        let line = &answer["lines"][0];
        let net = if tax_included { line["total"].clone() } else { json!(total) };
        assert_eq!((net.as_str().unwrap(), &line["tax"]), (total, &json!(tax)), "{answer}");
    }
    let twice = |price: &str| json!({"items": [{"sku": "X", "quantity": 1, "unitPrice": "1.00"}, {"sku": "x", "quantity": 2, "unitPrice": price}]});
    let merged = shop.admin.post("/api/promotions/calculate", &twice("1.00")).await.expect(200);
    assert_eq!((&merged["lines"][0]["quantity"], merged["lines"].as_array().unwrap().len()), (&json!(3), 1));
    let problem = shop.admin.post("/api/promotions/calculate", &twice("1.01")).await.expect(422);
    assert_eq!(problem["errors"][0]["pointer"], "/items/1/unitPrice");
    let happy = json!({"schedule": {"days": ["FRI"], "from": "17:00", "to": "19:00"}, "timezone": "Europe/London"});
    let items = json!([{"sku": "X", "quantity": 1, "unitPrice": "10.00"}]);
    for (at, total) in
        [("2026-07-03T16:30:00Z", "9.00"), ("2026-07-03T18:30:00Z", "10.00"), ("2026-12-04T18:30:00Z", "9.00")]
    {
        let answer =
            calculate(&shop.admin, items.clone(), json!([percent("10", happy.clone())]), json!({"at": at})).await;
        assert_eq!(answer["totals"]["total"], total, "{at}");
    }
    let gold = json!({"when": {"all": [{"field": "customer.tier", "op": "IN", "value": ["GOLD"]},
        {"field": "customer.orderCount", "op": "GTE", "value": 2}, {"field": "customer.attributes.city", "op": "EQ", "value": "Leeds"}]}});
    for (customer, total) in [
        (json!({"tier": "GOLD", "orderCount": 2, "attributes": {"city": "Leeds"}}), "9.00"),
        (json!({"tier": "GOLD", "orderCount": 1, "attributes": {"city": "Leeds"}}), "10.00"),
        (json!({"isGuest": true}), "10.00"),
    ] {
        let answer =
            calculate(&shop.admin, items.clone(), json!([percent("10", gold.clone())]), json!({"customer": customer}))
                .await;
        assert_eq!(answer["totals"]["total"], total, "{customer}");
    }
    let floor = json!([{"sku": "X", "quantity": 2, "unitPrice": "10.00", "floorPrice": "9.50"},
        {"sku": "Y", "quantity": 1, "unitPrice": "10.00"}, {"sku": "Z", "quantity": 1, "unitPrice": "5.00", "discountable": false}]);
    let answer = calculate(
        &shop.admin,
        floor,
        json!([{"name": "6 off", "actions": [{"type": "AMOUNT_OFF", "value": "6.00"}]}]),
        json!({}),
    )
    .await;
    assert_eq!(
        lines(&answer),
        ["19.00", "5.00", "5.00"],
        "a discount that a floor price limits moves to the other lines"
    );
    let anyone = json!({"items": [{"sku": "X", "quantity": 1, "unitPrice": "1"}]});
    shop.anyone.post("/api/promotions/calculate", &anyone).await.refused(403, "FORBIDDEN");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_is_versioned_and_follows_its_transitions() {
    let shop = Shop::start().await;
    let body = percent("10", json!({"code": "Summer 24", "limits": {"total": 5, "perUser": 2}, "priority": 7}));
    let answer = shop.admin.post("/api/promotions", &body).await;
    let created = answer.expect(201);
    let path = format!("/api/promotions/{}", created["id"]);
    let tag = answer.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!((created["status"].as_str(), created["stage"].as_str()), (Some("DRAFT"), Some("CART")));
    assert_eq!(
        (&created["stacking"]["mode"], &created["includeFlash"], &created["couponOnly"]),
        (&json!("STACKABLE"), &json!(false), &json!(false))
    );
    assert_eq!((&created["actions"][0]["scope"], &created["limits"]["whenShort"]), (&json!("ORDER"), &json!("REFUSE")));
    let fresh = shop.admin.with("if-match", &tag);
    let patched =
        fresh.patch(&path, &json!({"limits": {"perUser": null}, "name": "Autumn", "code": null})).await.expect(200);
    assert_eq!((&patched["limits"]["total"], &patched["limits"]["perUser"]), (&json!(5), &Value::Null));
    assert_eq!((&patched["code"], &patched["priority"], &patched["name"]), (&Value::Null, &json!(7), &json!("Autumn")));
    for method in ["PATCH", "DELETE"] {
        let body = if method == "PATCH" { "{\"name\":\"x\"}" } else { "" };
        let stale = fresh.send(method, &path, "application/merge-patch+json", body.into()).await.unwrap();
        stale.refused(412, "VERSION_MISMATCH");
    }
    fresh.post(&format!("{path}/activate"), &json!({})).await.refused(412, "VERSION_MISMATCH");
    shop.admin.patch(&path, &json!({"nmae": "x"})).await.expect(422);
    shop.admin.patch(&path, &json!({"actions": null})).await.expect(422);
    shop.admin.patch(&path, &json!({"status": "ACTIVE"})).await.expect(422);
    shop.admin.post(&format!("{path}/pause"), &json!({})).await.refused(409, "INVALID_TRANSITION");
    for (step, status) in [
        ("activate", "ACTIVE"),
        ("activate", "ACTIVE"),
        ("pause", "PAUSED"),
        ("activate", "ACTIVE"),
        ("archive", "ARCHIVED"),
    ] {
        assert_eq!(shop.admin.post(&format!("{path}/{step}"), &json!({})).await.expect(200)["status"], status);
    }
    shop.admin.post(&format!("{path}/activate"), &json!({})).await.refused(409, "INVALID_TRANSITION");
    shop.admin.patch(&path, &json!({"name": "x"})).await.refused(409, "INVALID_TRANSITION");
    let draft = shop.admin.post("/api/promotions", &percent("1", json!({"code": "summer24"}))).await.expect(201);
    assert_eq!(shop.admin.delete(&format!("/api/promotions/{}", draft["id"])).await.status, 204);
    shop.admin.get(&format!("/api/promotions/{}", draft["id"])).await.refused(404, "NOT_FOUND");
    shop.anyone.get("/api/promotions").await.refused(401, "UNAUTHENTICATED");
    shop.customer("c@example.com").await.post("/api/promotions", &body).await.refused(403, "FORBIDDEN");
    let one = json!({"name": "Once", "actions": [{"type": "FREE_SHIPPING"}]});
    let (first, again) = (
        shop.admin.key("k1").post("/api/promotions", &one).await,
        shop.admin.key("k1").post("/api/promotions", &one).await,
    );
    assert_eq!(
        (first.expect(201), again.headers["idempotent-replayed"].to_str().unwrap()),
        (again.expect(201), "true")
    );
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_condition_field_is_evaluated_on_an_order() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 500).await;
    shop.product("B", "5.00", 500).await;
    let member = shop.customer("member@example.com").await;
    shop.admin.patch("/api/users/me", &json!({"attributes": {"vip": "yes"}})).await.expect(200);
    let me = member.get("/api/users/me").await.expect(200)["id"].clone();
    let address = json!({"name": "N", "line1": "1 High St", "city": "Paris", "postalCode": "75001", "country": "FR"});
    let body = with(
        order_of(&[("A", 3), ("B", 1)], "tok_visa"),
        json!({"channel": "APP", "attributes": {"giftWrap": "yes"}, "shippingAddress": address,
            "email": "member@example.com"}),
    );
    let leaf = |field: &str, op: &str, value: Value| json!({"field": field, "op": op, "value": value});
    for (condition, holds) in [
        (leaf("cart.subtotal", "EQ", json!("35.00")), true),
        (leaf("cart.subtotal", "GT", json!("35.00")), false),
        (leaf("cart.quantity", "LTE", json!(4)), true),
        (leaf("cart.lines", "EQ", json!(2)), true),
        (leaf("cart.currency", "IN", json!(["GBP", "EUR"])), true),
        (with(leaf("items.subtotal", "GTE", json!("30.00")), json!({"items": {"skus": ["A"]}})), true),
        (with(leaf("items.quantity", "LT", json!(1)), json!({"items": {"skus": ["B"]}})), false),
        (leaf("items.maxLineQuantity", "EQ", json!(3)), true),
        (leaf("customer.id", "EQ", me.clone()), true),
        (leaf("customer.isGuest", "EQ", json!(true)), false),
        (leaf("customer.email", "STARTS_WITH", json!("Member@")), true),
        (leaf("customer.email", "CONTAINS", json!("@example.")), true),
        (leaf("customer.orderCount", "EQ", json!(0)), true),
        (leaf("customer.totalSpent", "GT", json!("0.00")), false),
        (leaf("customer.registeredDays", "EQ", json!(0)), true),
        (leaf("customer.attributes.vip", "EQ", json!("yes")), false),
        (leaf("cart.attributes.giftWrap", "EQ", json!("yes")), true),
        (leaf("cart.attributes.note", "NE", json!("x")), true),
        (leaf("shipping.country", "NOT_IN", json!(["fr"])), false),
        (leaf("shipping.method", "EQ", json!("STANDARD")), true),
        (leaf("payment.method", "EQ", json!("CARD")), true),
        (leaf("channel", "EQ", json!("APP")), true),
        (json!({"not": {"any": [leaf("channel", "EQ", json!("WEB")), leaf("cart.lines", "EQ", json!(1))]}}), true),
        (json!({"all": [leaf("channel", "EQ", json!("APP")), {"not": leaf("cart.lines", "EQ", json!(2))}]}), false),
    ] {
        let id = activate(&shop, percent("10", json!({"when": condition}))).await;
        let quote = member.post("/api/orders/quote", &body).await.expect(200);
        let discounted = quote["totals"]["discount"] == "3.50";
        assert_eq!(discounted, holds, "{condition}: {quote}");
        pause(&shop, id).await;
    }
    let first = json!({"when": leaf("customer.orderCount", "EQ", json!(0))});
    activate(&shop, percent("10", first)).await;
    let placed = member.post("/api/orders", &body).await.expect(201);
    assert_eq!(placed["totals"]["discount"], "3.50");
    assert_eq!(
        member.post("/api/orders", &body).await.expect(201)["totals"]["discount"],
        "0.00",
        "the second order is not discounted"
    );
    for order in shop.all("/api/orders").await {
        let cancel = format!("/api/orders/{}/cancel", order["id"]);
        shop.admin.post(&cancel, &json!({"reason": "x"})).await.expect(200);
    }
    let again = member.post("/api/orders", &body).await.expect(201);
    assert_eq!(again["totals"]["discount"], "3.50", "cancelled orders do not count");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn promotions_apply_to_free_discounted_and_flash_goods_as_configured() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 50).await;
    shop.product("B", "10.00", 50).await;
    let member = shop.customer("member@example.com").await;
    let only = |sku: &str, more: Value| with(json!({"skus": [sku]}), more);
    let shelf = json!({"name": "Shelf", "stage": "CATALOG",
        "actions": [{"type": "AMOUNT_OFF", "value": "2", "scope": "ITEMS", "items": only("A", json!({}))}]});
    let shelf = activate(&shop, shelf).await;
    let rest = json!([{"type": "PERCENT_OFF", "value": "50", "scope": "ITEMS", "items": {"excludeDiscounted": true}}]);
    let rest = activate(&shop, percent("50", json!({"actions": rest}))).await;
    let placed = shop.anyone.post("/api/orders", &order_of(&[("A", 1), ("B", 1)], "tok_visa")).await.expect(201);
    assert_eq!(lines(&placed), ["8.00", "5.00"], "lines discounted by a price rule are excluded");
    for id in [shelf, rest] {
        pause(&shop, id).await;
    }
    let all = activate(&shop, percent("100", json!({"limits": {"perUser": 1}}))).await;
    let mut free = order_of(&[("A", 2)], "tok_visa");
    free.as_object_mut().unwrap().remove("payment");
    let placed = shop.anyone.post("/api/orders", &free).await.expect(201);
    assert_eq!((&placed["status"], &placed["totals"]["total"]), (&json!("CONFIRMED"), &json!("0.00")));
    let used = shop.admin.get(&format!("/api/promotions/{all}")).await.expect(200);
    assert_eq!((&used["uses"], &used["spent"]), (&json!(1), &json!("20.00")));
    pause(&shop, all).await;
    let now = promox_kernel::Timestamp::from_seconds(shop.seconds());
    let end = promox_kernel::Timestamp::from_seconds(shop.seconds() + 600);
    let sale = json!({"name": "F", "startsAt": now.to_string(), "endsAt": end.to_string(),
        "items": [{"sku": "A", "salePrice": "6.00", "stock": 5}]});
    let sale = shop.admin.post("/api/flash-sales", &sale).await.expect(201);
    let ten = json!([{"type": "PERCENT_OFF", "value": "10", "scope": "ITEMS"}]);
    activate(&shop, percent("10", json!({"actions": ten, "includeFlash": true}))).await;
    let one = json!({"sku": "A", "quantity": 1});
    let held = member.post(&format!("/api/flash-sales/{}/reservations", sale["id"]), &one).await.expect(201);
    let body = with(order_of(&[("B", 1)], "tok_visa"), json!({"flashSaleReservationIds": [held["reservationId"]]}));
    let placed = member.post("/api/orders", &body).await.expect(201);
    assert_eq!(placed["totals"]["total"], "14.40", "9.00, and 5.40 as the promotion includes flash lines: {placed}");
    shop.close().await;
}
