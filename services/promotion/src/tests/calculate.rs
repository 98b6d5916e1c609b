//! Prices carts for any caller, and evaluates drafts against past orders.

use promox_contract::ids::OrderId;
use promox_contract::order::{FigureLine, OrderFigure, OrderStatus, Totals};
use promox_contract::order_line::OrderLine;
use promox_kernel::{Amount, Currency, Kind, Timestamp};
use promox_testkit::sample::amount;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::neighbours::Shop;
use crate::api::{BacktestPromotion, CalculateCart, CalculatedCart};

async fn calculate(shop: &Shop, body: Value) -> Result<CalculatedCart, promox_kernel::Error> {
    shop.call(Shop::read::<CalculateCart>(&body)?).await
}

fn line(calculated: &CalculatedCart, i: usize) -> [String; 5] {
    let line = &calculated.lines[i];
    [line.unit_price, line.subtotal, line.discount, line.tax, line.total].map(|item| item.to_string())
}

#[tokio::test]
async fn an_anonymous_caller_can_price_a_cart() {
    let shop = Shop::open();
    shop.active(json!({"name": "Ten"})).await;
    shop.active(json!({"name": "Big", "when": {"field": "cart.subtotal", "op": "GTE", "value": "60.00"}})).await;
    shop.active(json!({"when": {"field": "customer.tier", "op": "EQ", "value": "GOLD"}})).await;
    shop.active(json!({"stage": "CATALOG", "actions": [{"type": "FIXED_PRICE", "value": "9.00"}]})).await;
    let cx = shop.cx_of(None, &[]);
    let body =
        json!({"items": [{"sku": "A", "quantity": 2}, {"sku": "a", "quantity": 1}], "shipping": {"country": "FR"}});
    let answer = cx.call(Shop::read::<CalculateCart>(&body).unwrap()).await.unwrap();
    assert_eq!(line(&answer, 0), ["9.00", "27.00", "2.70", "4.05", "24.30"]);
    assert_eq!(answer.lines[0].list_price.to_string(), "10.00");
    let names: Vec<(&str, String)> = answer
        .applied_promotions
        .iter()
        .map(|promotion| (promotion.name.as_str(), promotion.amount.to_string()))
        .collect();
    assert_eq!(names, [("Promo", "3.00".to_owned()), ("Ten", "2.70".to_owned())]);
    let rejected: Vec<String> = answer
        .rejected_promotions
        .iter()
        .map(|promotion| format!("{} {:?}", promotion.reason, promotion.details[0].missing.unwrap()))
        .collect();
    assert_eq!(rejected.len(), 1, "promotions for other customers are hidden: {rejected:?}");
    assert_eq!(answer.offers[0].message, "35.70 more for Big");
    let totals = &answer.totals;
    let sums =
        [totals.subtotal, totals.discount, totals.shipping, totals.tax, totals.total].map(|item| item.to_string());
    assert_eq!(sums, ["27.00", "2.70", "9.00", "5.55", "33.30"]);
    let unknown = json!({"items": [{"sku": "NONE", "quantity": 1}]});
    assert_eq!(calculate(&shop, unknown).await.unwrap_err().errors()[0].pointer, "/items/0/sku");
}

#[tokio::test]
async fn shipping_depends_on_catalog_prices() {
    let shop = Shop::open();
    let rule =
        json!({"id": 1, "name": "Shelf", "stage": "CATALOG", "actions": [{"type": "FIXED_PRICE", "value": "9.00"}]});
    let mut stored = rule.clone();
    stored.as_object_mut().unwrap().remove("id");
    shop.active(stored).await;
    for (quantity, shipping, total) in [(6, "4.99", "58.99"), (7, "0.00", "63.00")] {
        let body = json!({"items": [{"sku": "A", "quantity": quantity}], "shipping": {"country": "DE"}});
        let mut inline = body.clone();
        inline["promotions"] = json!([rule]);
        for body in [body, inline] {
            let totals = calculate(&shop, body.clone()).await.unwrap().totals;
            assert_eq!([totals.shipping.to_string(), totals.total.to_string()], [shipping, total], "{body}");
        }
    }
}

#[tokio::test]
async fn tax_rates_must_be_percentages() {
    let shop = Shop::open();
    for (member, pointer) in [("items", "/items/0/taxRate"), ("shipping", "/shipping/taxRate")] {
        for rate in ["-5", "100.01"] {
            let mut body = json!({"items": [{"sku": "X", "quantity": 1, "unitPrice": "1"}], "shipping": {}});
            let place = if member == "items" { &mut body["items"][0] } else { &mut body["shipping"] };
            place["taxRate"] = json!(rate);
            assert_eq!(calculate(&shop, body).await.unwrap_err().errors()[0].pointer, pointer, "{rate}");
        }
    }
}

#[tokio::test]
async fn supplied_data_requires_the_permission() {
    let shop = Shop::open();
    let cx = shop.cx_of(Some(7), &["promotion:read"]);
    for member in [json!({"at": "2026-01-01T00:00:00Z"}), json!({"promotions": []}), json!({"customer": {}})] {
        let mut body = json!({"items": [{"sku": "A", "quantity": 1}]});
        body.as_object_mut().unwrap().extend(member.as_object().unwrap().clone());
        let op = Shop::read::<CalculateCart>(&body).unwrap();
        assert_eq!(cx.call(op).await.unwrap_err().kind(), Kind::Forbidden, "{member}");
    }
    let body = json!({"items": [{"sku": "A", "quantity": 1, "unitPrice": "1.00"}, {"sku": "a", "quantity": 1, "unitPrice": "2.00"}]});
    assert_eq!(calculate(&shop, body).await.unwrap_err().errors()[0].pointer, "/items/1/unitPrice");
    let body = json!({"items": [{"sku": "A", "quantity": 1, "unitPrice": "1.005"}]});
    assert_eq!(calculate(&shop, body).await.unwrap_err().errors()[0].pointer, "/items/0/unitPrice");
    let body = json!({"items": []});
    assert_eq!(calculate(&shop, body).await.unwrap_err().errors()[0].pointer, "/items");
}

#[tokio::test]
async fn inline_promotions_apply_to_supplied_items() {
    let shop = Shop::open();
    shop.active(json!({"name": "Stored"})).await;
    let body = json!({
        "items": [
            {"sku": "X", "quantity": 3, "unitPrice": "100", "categoryIds": [5], "taxRate": "10"},
            {"sku": "Y", "quantity": 1, "unitPrice": "50", "discountable": false, "taxRate": "8"},
        ],
        "currency": "JPY", "pricesIncludeTax": false, "at": "2030-01-01T00:00:00Z",
        "customer": {"tier": "GOLD", "orderCount": 3}, "shipping": {"amount": "500", "taxRate": "10", "country": "jp"},
        "codes": ["mine"],
        "promotions": [
            {"id": 40, "name": "Shelf", "stage": "CATALOG", "actions": [{"type": "PERCENT_OFF", "value": "15", "items": {"categories": [5]}}]},
            {"id": 41, "name": "Mine", "code": "MINE", "actions": [{"type": "BUY_X_GET_Y", "buy": {"items": {}, "quantity": 2},
                "get": {"items": {}, "quantity": 1, "percentOff": "100"}}]},
            {"id": 42, "name": "Gold", "when": {"field": "customer.tier", "op": "EQ", "value": "GOLD"}, "actions": [{"type": "FREE_SHIPPING"}]},
            {"id": 43, "name": "Gift", "campaignId": 9, "actions": [{"type": "GIFT", "sku": "Z", "quantity": 2}]},
            {"id": 44, "name": "Old", "endsAt": "2029-01-01T00:00:00Z", "actions": [{"type": "FREE_SHIPPING"}]},
        ],
    });
    let answer = calculate(&shop, body.clone()).await.unwrap();
    assert_eq!(line(&answer, 0), ["85", "255", "85", "17", "187"]);
    assert_eq!(line(&answer, 1), ["50", "50", "0", "4", "54"]);
    assert_eq!((answer.lines[2].sku.as_str(), answer.lines[2].quantity), ("Z", 2));
    let ids: Vec<i64> = answer.applied_promotions.iter().map(|promotion| promotion.promotion_id.0).collect();
    assert_eq!(ids, [40, 41, 42, 43]);
    assert_eq!(answer.rejected_promotions[0].reason.as_str(), "EXPIRED");
    assert_eq!(
        (answer.totals.shipping_discount.to_string(), answer.totals.total.to_string()),
        ("500".into(), "241".into())
    );
    let mut wrong = body;
    wrong["promotions"][1]["actions"][0]["get"]["percentOff"] = json!("150");
    wrong["promotions"][2]["id"] = json!(41);
    let faults = calculate(&shop, wrong).await.unwrap_err();
    let pointers: Vec<&str> = faults.errors().iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(pointers, ["/promotions/1/actions/0/get/percentOff", "/promotions/2/id"]);
}

fn order(id: i64, status: OrderStatus, lines: &[(&str, u32, &str)]) -> OrderFigure {
    let placed_at: Timestamp = "2010-12-01T08:00:00Z".parse().unwrap();
    let zero = Currency::GBP.zero();
    let line = |(sku, quantity, price): &(&str, u32, &str)| {
        let subtotal = amount(price).times(i64::from(*quantity)).unwrap();
        let line = OrderLine {
            sku: sku.parse().unwrap(),
            variant_id: None,
            product_id: None,
            name: (*sku).to_owned(),
            quantity: *quantity,
            unit_price: amount(price),
            list_price: amount(price),
            flash_sale_id: None,
            subtotal,
            discount: zero,
            discounts: Vec::new(),
            tax: zero,
            total: subtotal,
        };
        FigureLine { line, campaign_id: None }
    };
    let lines: Vec<FigureLine> = lines.iter().map(line).collect();
    let subtotal: Amount = lines.iter().map(|line| line.line.subtotal).sum();
    OrderFigure {
        id: OrderId(id),
        status,
        user_id: None,
        customer: format!("customer:{}", id % 3),
        currency: Currency::GBP,
        prices_include_tax: true,
        lines,
        totals: Totals {
            subtotal,
            discount: zero,
            shipping: zero,
            shipping_discount: zero,
            tax: zero,
            points_redeemed: 0,
            points_value: zero,
            total: subtotal,
        },
        uses: Vec::new(),
        refunds: Vec::new(),
        returned: Amount::ZERO,
        imported: true,
        placed_at: placed_at + std::time::Duration::from_secs(id.unsigned_abs() * 60),
    }
}

fn backtest(promotion: Value) -> BacktestPromotion {
    let body = json!({"promotion": promotion, "from": "2010-12-01T00:00:00Z", "to": "2011-01-01T00:00:00Z"});
    Shop::read(&body).unwrap()
}

#[tokio::test]
async fn a_backtest_is_exact_to_the_penny() {
    let shop = Shop::open();
    let orders: Vec<OrderFigure> = (1..=2_500)
        .map(|id| {
            let price = format!("{}.{:02}", id % 7, id % 97);
            let status = if id % 50 == 0 { OrderStatus::Cancelled } else { OrderStatus::Confirmed };
            order(id, status, &[("A", 1 + u32::try_from(id % 5).unwrap(), &price), ("B", 3, "2.55")])
        })
        .collect();
    let counted = || orders.iter().filter(|order| order.status == OrderStatus::Confirmed);
    let goods: Decimal = counted().map(|item| item.totals.subtotal.0).sum();
    let ten: Decimal =
        counted().map(|item| promox_kernel::round_half_up(item.totals.subtotal.0 * Decimal::new(1, 1), 2)).sum();
    let count = i64::try_from(counted().count()).unwrap();
    *shop.neighbours.orders.lock() = orders.clone();
    let ended = json!({"name": "Ten", "code": "TEN", "endsAt": "2009-01-01T00:00:00Z", "actions": [{"type": "PERCENT_OFF", "value": "10"}]});
    let result = shop.call(backtest(ended)).await.unwrap();
    assert_eq!((result.orders, result.orders_touched), (count, count));
    assert_eq!(result.discount_given.0, ten);
    assert_eq!((result.revenue_before.0, result.revenue_after.0), (goods, goods - ten));
    assert_eq!(result.average_order_before, Currency::GBP.round(goods / Decimal::from(count)));

    let limited = json!({"name": "Ten", "actions": [{"type": "PERCENT_OFF", "value": "10"}], "limits": {"perUser": 2, "budget": "5.00"}});
    let result = shop.call(backtest(limited)).await.unwrap();
    assert!(result.orders_touched <= 6 && result.discount_given <= amount("5.00"));
    let first = json!({"name": "First", "when": {"field": "customer.orderCount", "op": "EQ", "value": 0}, "actions": [{"type": "AMOUNT_OFF", "value": "1.00"}]});
    assert_eq!(shop.call(backtest(first)).await.unwrap().discount_given, amount("3.00"));
    let wrong = json!({"name": "X", "actions": [{"type": "PERCENT_OFF", "value": "0"}]});
    let error = shop.call(backtest(wrong)).await.unwrap_err();
    assert_eq!(error.errors()[0].pointer, "/promotion/actions/0/value");
}
