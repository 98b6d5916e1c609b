//! Carts are evaluated with the stored promotions: changes apply immediately, and only the necessary facts are queried.

use promox_testkit::sample::amount;
use std::sync::atomic::Ordering;

use promox_contract::promotion::GetCatalogPrices;
use promox_contract::promotion::RejectReason::{
    self, ConditionsNotMet, Expired, NotEligible, NotStarted, Paused, Unknown,
};
use serde_json::json;

use super::neighbours::{Shop, buyer, campaign, goods};
use crate::api::{ActivatePromotion, PausePromotion};
use crate::rules::normal_code;

#[tokio::test]
async fn a_paused_promotion_is_paused_immediately_on_every_node() {
    let shop = Shop::open();
    let twin = shop.twin();
    let id = shop.active(json!({})).await;
    for node in [&shop, &twin] {
        assert_eq!(node.off(&node.cx(), Shop::cart(&[])).await.0, "10.00");
    }
    shop.call(PausePromotion { id }).await.unwrap();
    for node in [&shop, &twin] {
        assert_eq!(node.off(&node.cx(), Shop::cart(&[])).await.0, "0");
    }
    shop.call(ActivatePromotion { id }).await.unwrap();
    let more = shop.active(json!({"actions": [{"type": "AMOUNT_OFF", "value": "5.00"}]})).await;
    for node in [&twin, &shop] {
        assert_eq!(node.off(&node.cx(), Shop::cart(&[])).await.0, "15.00", "{more}");
    }
    shop.verify();
}

#[tokio::test]
async fn anonymous_callers_learn_nothing_about_codes() {
    let shop = Shop::open();
    let paused = shop.active(json!({"code": "PAUSED"})).await;
    shop.call(PausePromotion { id: paused }).await.unwrap();
    shop.create(json!({"code": "DRAFT"})).await.unwrap();
    shop.active(json!({"code": "OVER", "endsAt": "2026-01-01T00:00:00Z"})).await;
    shop.active(json!({"code": "SOON", "startsAt": "2027-01-01T00:00:00Z"})).await;
    shop.active(json!({"code": "GOLD", "when": {"field": "customer.tier", "op": "EQ", "value": "GOLD"}})).await;
    shop.active(json!({"code": "MORE", "when": {"field": "cart.subtotal", "op": "GTE", "value": "200.00"}})).await;
    let codes = ["PAUSED", "DRAFT", "OVER", "SOON", "GOLD", "MORE", "NOPE"];
    let known = shop.off(&shop.cx_of(Some(8), &[]), Shop::cart(&codes)).await.1;
    let sorted = |refused: Vec<(String, RejectReason)>| {
        codes.map(|code| refused.iter().find(|(known, _)| known == code).map(|(_, reason)| *reason).unwrap())
    };
    assert_eq!(sorted(known), [Paused, Unknown, Expired, NotStarted, NotEligible, ConditionsNotMet, Unknown]);
    let answer = shop.cx_of(None, &[]).call(Shop::cart(&codes)).await.unwrap();
    for refused in &answer.rejected {
        let shown = refused.code.as_deref() == Some("MORE");
        assert_eq!(refused.reason, if shown { ConditionsNotMet } else { Unknown });
        assert_eq!((refused.promotion_id.is_some(), refused.details.len()), (shown, usize::from(shown)));
    }
}

#[tokio::test]
async fn only_necessary_facts_are_queried() {
    let shop = Shop::open();
    let queries = || shop.neighbours.customer_queries.load(Ordering::Relaxed);
    shop.active(json!({})).await;
    let mine = || promox_contract::promotion::EvaluateCart { buyer: buyer(Some(7)), ..Shop::cart(&[]) };
    assert_eq!(shop.off(&shop.cx(), mine()).await.0, "10.00");
    assert_eq!(queries(), 0);
    let gold = json!({"field": "customer.tier", "op": "EQ", "value": "GOLD"});
    shop.active(json!({"when": gold, "actions": [{"type": "AMOUNT_OFF", "value": "1.00"}]})).await;
    assert_eq!(shop.off(&shop.cx(), mine()).await.0, "11.00");
    assert_eq!(queries(), 1);
    let vip = json!({"field": "customer.segments", "op": "IN", "value": ["VIP"]});
    shop.active(json!({"when": vip, "actions": [{"type": "AMOUNT_OFF", "value": "2.00"}]})).await;
    assert_eq!(shop.off(&shop.cx(), mine()).await.0, "13.00");
    let other = promox_contract::promotion::EvaluateCart { buyer: buyer(Some(8)), ..Shop::cart(&[]) };
    assert_eq!(shop.off(&shop.cx(), other).await.0, "10.00");
    let first = json!({"field": "customer.orderCount", "op": "EQ", "value": 0});
    shop.active(json!({"when": first, "actions": [{"type": "AMOUNT_OFF", "value": "4.00"}]})).await;
    assert_eq!(shop.off(&shop.cx(), mine()).await.0, "17.00");
    shop.neighbours.purchases.lock().count = 1;
    assert_eq!(shop.off(&shop.cx(), mine()).await.0, "13.00");
}

#[tokio::test]
async fn a_coupon_activates_its_promotion() {
    let shop = Shop::open();
    let id = shop.active(json!({"couponOnly": true})).await;
    let cart = |code: &str, reason| {
        let coupon = promox_contract::promotion::ResolvedCode { code: code.into(), promotion_id: id, reason };
        promox_contract::promotion::EvaluateCart { coupons: vec![coupon], ..Shop::cart(&[code]) }
    };
    assert_eq!(shop.off(&shop.cx(), Shop::cart(&[])).await.0, "0");
    let answer = shop.call(cart("Welcome-1", None)).await.unwrap();
    assert_eq!(answer.applied[0].coupon_code.as_deref(), Some("Welcome-1"));
    assert_eq!((answer.uses[0].named, answer.uses[0].amount.to_string().as_str()), (true, "10.00"));
    assert_eq!(normal_code("Welcome-1"), "WELCOME1");
    let (off, refused) = shop.off(&shop.cx(), cart("OLD", Some(RejectReason::Expired))).await;
    assert_eq!((off.as_str(), refused), ("0", vec![("OLD".to_owned(), RejectReason::Expired)]));
    shop.call(PausePromotion { id }).await.unwrap();
    let (_, refused) = shop.off(&shop.cx(), cart("Welcome-1", None)).await;
    assert_eq!(refused, [("Welcome-1".to_owned(), RejectReason::Paused)]);
}

#[tokio::test]
async fn promotions_apply_only_while_their_campaign_runs() {
    let shop = Shop::open();
    shop.neighbours.campaigns.lock().push(campaign(3, None, Some("15.00")));
    shop.active(json!({"campaignId": 3, "limits": {"budget": "1000.00", "whenShort": "GIVE_REST"}})).await;
    shop.active(json!({"campaignId": 3, "code": "TEN"})).await;
    let (off, refused) = shop.off(&shop.cx(), Shop::cart(&["TEN"])).await;
    assert_eq!((off.as_str(), refused[0].1), ("10.00", RejectReason::BudgetExhausted));
    *shop.neighbours.campaigns.lock() = vec![campaign(3, Some(RejectReason::Paused), None)];
    let (off, refused) = shop.off(&shop.cx(), Shop::cart(&["TEN"])).await;
    assert_eq!((off.as_str(), refused[0].1), ("0", RejectReason::Paused));
}

#[tokio::test]
async fn gifts_are_granted_only_while_in_stock() {
    let shop = Shop::open();
    shop.active(json!({"actions": [{"type": "GIFT", "sku": "G", "quantity": 5}]})).await;
    shop.active(json!({"actions": [{"type": "GIFT", "sku": "H", "quantity": 6}]})).await;
    let answer = shop.call(Shop::cart(&[])).await.unwrap();
    let gifts: Vec<String> =
        answer.gifts.iter().map(|gift| format!("{} {} {}", gift.sku, gift.quantity, gift.value)).collect();
    assert_eq!(gifts, ["G 5 10.00"]);
    assert_eq!(answer.uses[0].amount, amount("50.00"));
}

#[tokio::test]
async fn catalog_prices_have_an_epoch_that_changes_with_them() {
    let shop = Shop::open();
    let request =
        |anonymous| GetCatalogPrices { items: vec![goods("A", "10.00"), goods("B", "0.99")], channel: None, anonymous };
    let empty = shop.call(request(true)).await.unwrap();
    assert_eq!((empty.prices.len(), empty.epoch), (0, 0));
    shop.active(json!({"stage": "CATALOG", "startsAt": "2026-11-23T13:00:00Z"})).await;
    let gold = json!({"field": "customer.tier", "op": "EQ", "value": "GOLD"});
    let half = json!([{"type": "PERCENT_OFF", "value": "50"}]);
    shop.active(json!({"stage": "CATALOG", "when": gold, "actions": half})).await;
    let before = shop.call(request(true)).await.unwrap();
    assert_eq!(before.prices, [amount("10.00"), amount("0.99")]);
    shop.advance(std::time::Duration::from_hours(1));
    let after = shop.call(request(true)).await.unwrap();
    assert_eq!(after.prices, [amount("9.00"), amount("0.89")]);
    assert_ne!(before.epoch, after.epoch);
    assert_eq!(shop.call(request(true)).await.unwrap().epoch, after.epoch);
    let mine = shop.cx_of(Some(7), &[]).call(request(false)).await.unwrap();
    assert_eq!(mine.prices, [amount("5.00"), amount("0.50")]);
    let mut cart = Shop::cart(&[]);
    cart.lines[0].item.price = amount("9.00");
    let answer = shop.call(cart).await.unwrap();
    assert_eq!(answer.applied.iter().map(|item| item.amount.to_string()).collect::<Vec<_>>(), ["10.00"]);
    assert!(answer.line_discounts.iter().all(Vec::is_empty));
}
