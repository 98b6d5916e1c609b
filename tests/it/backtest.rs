//! Backtests of draft promotions over a real month of trade, compared to the penny with plain decimal arithmetic.

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Value, json};

use crate::online_retail::Month;
use crate::shop::Shop;

fn round(amount: Decimal) -> Decimal {
    amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

async fn backtest(shop: &Shop, promotion: Value) -> Value {
    let body = json!({"promotion": promotion, "from": "2010-12-01T00:00:00Z", "to": "2011-01-01T00:00:00Z"});
    shop.admin.post("/api/promotions/backtest", &body).await.expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backtest_over_a_month_matches_plain_arithmetic() {
    let month = Month::read();
    let shop = Shop::start().await;
    let file = std::fs::read(&month.path).unwrap();
    shop.admin.send("POST", "/api/orders/import", "text/csv", file.into()).await.unwrap().expect(200);
    let tenth = Decimal::new(1, 1);
    // Summed over all orders: the goods, a tenth of each order, a tenth of each line, and a tenth of orders from 100.00
    // on.
    let (mut goods, mut on_order, mut on_items, mut on_large) =
        (Decimal::ZERO, Decimal::ZERO, Decimal::ZERO, Decimal::ZERO);
    let mut large = 0;
    for (_, rows) in &month.sales {
        let lines: Vec<Decimal> = rows.iter().map(|row| row.price * Decimal::from(row.quantity)).collect();
        let sum: Decimal = lines.iter().sum();
        goods += sum;
        on_order += round(sum * tenth);
        on_items += lines.iter().map(|line| round(line * tenth)).sum::<Decimal>();
        if sum >= Decimal::ONE_HUNDRED {
            on_large += round(sum * tenth);
            large += 1;
        }
    }
    let orders = month.sales.len();
    let scoped =
        |scope: &str| json!({"name": "Ten", "actions": [{"type": "PERCENT_OFF", "value": "10", "scope": scope}]});
    let when = json!({"field": "cart.subtotal", "op": "GTE", "value": "100.00"});
    let from_100 =
        json!({"name": "Ten", "code": "TEN", "when": when, "actions": [{"type": "PERCENT_OFF", "value": "10"}]});
    for (promotion, discount, touched) in
        [(scoped("ORDER"), on_order, orders), (scoped("ITEMS"), on_items, orders), (from_100, on_large, large)]
    {
        let result = backtest(&shop, promotion.clone()).await;
        let average = |sum: Decimal| format!("{:.2}", round(sum / Decimal::from(orders)));
        let expected = json!({
            "from": "2010-12-01T00:00:00.000Z", "to": "2011-01-01T00:00:00.000Z", "currency": "GBP", "orders": orders,
            "ordersTouched": touched, "discountGiven": format!("{discount:.2}"), "shippingDiscount": "0.00",
            "revenueBefore": format!("{goods:.2}"), "revenueAfter": format!("{:.2}", goods - discount),
            "averageOrderBefore": average(goods), "averageOrderAfter": average(goods - discount),
        });
        assert_eq!(result, expected, "{promotion}");
    }
    let none = json!({"promotion": scoped("ORDER"), "from": "2011-01-01T00:00:00Z", "to": "2011-01-01T00:00:00Z"});
    let problem = shop.admin.post("/api/promotions/backtest", &none).await.expect(422);
    assert_eq!(problem["errors"][0]["pointer"], "/to");
    let bad = json!({"promotion": {"name": "x", "actions": []}, "from": "2010-01-01T00:00:00Z", "to": "2011-01-01T00:00:00Z"});
    let problem = shop.admin.post("/api/promotions/backtest", &bad).await.expect(422);
    assert_eq!(problem["errors"][0]["pointer"], "/promotion/actions");
    shop.anyone.post("/api/promotions/backtest", &bad).await.refused(401, "UNAUTHENTICATED");
    assert_eq!(
        shop.admin.get("/api/promotions").await.expect(200)["items"],
        json!([]),
        "a backtest stores no promotion"
    );
    shop.close().await;
}
