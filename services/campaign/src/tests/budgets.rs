//! Budgets are never exceeded, are spent by confirmed orders, and are released once.

use promox_contract::campaign::{CampaignAmount, GetCampaignStates, HoldBudgets, ReleaseBudgets};
use promox_contract::ids::{CampaignId, OrderId};
use promox_contract::order::OrderConfirmed;
use promox_contract::promotion::RejectReason;
use promox_kernel::{Amount, Error};
use promox_storage::Database;
use promox_testkit::code;
use serde_json::{Value, json};

use super::Shop;
use crate::{GetCampaign, UpdateCampaign};

async fn hold(shop: &Shop, order: i64, amounts: &[(i64, &str)]) -> Result<Value, Error> {
    let amount =
        |(id, amount): &(i64, &str)| CampaignAmount { campaign_id: CampaignId(*id), amount: amount.parse().unwrap() };
    let amounts = amounts.iter().map(amount).collect();
    shop.call(HoldBudgets { order_id: OrderId(order), amounts }).await.map(|()| Value::Null)
}

async fn release(shop: &Shop, order: i64) {
    shop.call(ReleaseBudgets { order_id: OrderId(order) }).await.unwrap();
}

/// Confirms orders by the events that the order service emits, and runs the consumer.
async fn confirm(shop: &Shop, orders: &[i64]) {
    for order in orders {
        let fact = json!({"orderId": order, "userId": null, "total": "0.00", "currency": "GBP"});
        let fact: OrderConfirmed = serde_json::from_value(fact).unwrap();
        shop.emit(Database::Ecommerce, *order, fact).await;
    }
    shop.consume().await;
}

async fn budget_and_status(shop: &Shop, id: i64) -> (String, String, String) {
    let view = shop.ask::<GetCampaign>(json!({ "id": id })).await.unwrap();
    let text = |name: &str| view[name].as_str().unwrap().to_owned();
    (text("spent"), text("held"), text("status"))
}

async fn left(shop: &Shop, id: i64) -> (Option<Amount>, Option<RejectReason>) {
    let mut found = shop.call(GetCampaignStates { ids: vec![CampaignId(id)], customer: None }).await.unwrap().items;
    found.pop().map(|state| (state.left, state.reason)).unwrap()
}

async fn running(shop: &Shop, budget: &str) -> i64 {
    let id = shop.create(json!({ "budget": budget })).await;
    shop.change_status(id, "ACTIVE").await.unwrap();
    id
}

fn expected(spent: &str, held: &str, status: &str) -> (String, String, String) {
    (spent.to_owned(), held.to_owned(), status.to_owned())
}

#[tokio::test]
async fn a_budget_is_held_spent_and_never_exceeded() {
    let shop = Shop::open();
    let (id, other) = (running(&shop, "10.00").await, running(&shop, "100.00").await);
    hold(&shop, 1, &[(id, "6.00")]).await.unwrap();
    hold(&shop, 1, &[(id, "6.00")]).await.unwrap();
    let refused = hold(&shop, 2, &[(other, "1.00"), (id, "4.01")]).await.unwrap_err();
    assert_eq!((refused.code(), &refused.members()["reason"]), ("PROMOTION_INVALID", &json!("BUDGET_EXHAUSTED")));
    assert_eq!(refused.members()["campaignId"], id);
    assert_eq!(budget_and_status(&shop, other).await, expected("0.00", "0.00", "ACTIVE"));
    hold(&shop, 3, &[(id, "4.00"), (other, "2.50")]).await.unwrap();
    assert_eq!(left(&shop, id).await, (Some("0.00".parse().unwrap()), Some(RejectReason::BudgetExhausted)));
    assert_eq!(budget_and_status(&shop, id).await, expected("0.00", "10.00", "ACTIVE"), "holds alone do not end it");
    shop.verify();
    confirm(&shop, &[1]).await;
    assert_eq!(budget_and_status(&shop, id).await, expected("6.00", "4.00", "ACTIVE"));
    release(&shop, 3).await;
    release(&shop, 3).await;
    confirm(&shop, &[3]).await;
    assert_eq!(budget_and_status(&shop, id).await, expected("6.00", "0.00", "ACTIVE"));
    assert_eq!(code(hold(&shop, 3, &[(id, "1.00")]).await), "BUDGET_RELEASED");
    shop.verify();
}

#[tokio::test]
async fn a_campaign_ends_when_confirmed_orders_spend_its_budget() {
    let shop = Shop::open();
    let id = running(&shop, "10.00").await;
    hold(&shop, 1, &[(id, "7.00")]).await.unwrap();
    hold(&shop, 2, &[(id, "3.00")]).await.unwrap();
    shop.change_status(id, "PAUSED").await.unwrap();
    confirm(&shop, &[1, 2, 1]).await;
    assert_eq!(budget_and_status(&shop, id).await, expected("10.00", "0.00", "ENDED"));
    assert_eq!(shop.campaign_events().await.last(), Some(&("CAMPAIGN_ENDED".to_owned(), id)));
    release(&shop, 2).await;
    assert_eq!(budget_and_status(&shop, id).await, expected("7.00", "0.00", "ENDED"), "it does not start again");
    shop.verify();
}

#[tokio::test]
async fn a_budget_cannot_be_lower_than_what_orders_use() {
    let shop = Shop::open();
    let id = running(&shop, "50.00").await;
    hold(&shop, 1, &[(id, "6.00")]).await.unwrap();
    let cut = async |budget: Value| shop.ask::<UpdateCampaign>(json!({"id": id, "budget": budget})).await;
    assert_eq!(code(cut("5.99".into()).await), "BUDGET_TAKEN");
    assert_eq!(cut("6.00".into()).await.unwrap()["status"], "ACTIVE");
    confirm(&shop, &[1]).await;
    assert_eq!(budget_and_status(&shop, id).await.2, "ENDED");
    let id = running(&shop, "50.00").await;
    hold(&shop, 2, &[(id, "6.00")]).await.unwrap();
    confirm(&shop, &[2]).await;
    let ended = shop.ask::<UpdateCampaign>(json!({"id": id, "budget": "6"})).await.unwrap();
    assert_eq!((ended["status"].as_str(), ended["budget"].as_str()), (Some("ENDED"), Some("6.00")));
    shop.verify();
}

#[tokio::test]
async fn a_released_order_cannot_hold_and_no_budget_means_unlimited() {
    let shop = Shop::open();
    let id = shop.create(json!({})).await;
    shop.change_status(id, "ACTIVE").await.unwrap();
    release(&shop, 1).await;
    assert_eq!(code(hold(&shop, 1, &[(id, "1.00")]).await), "BUDGET_RELEASED");
    hold(&shop, 2, &[(id, "1000000.00")]).await.unwrap();
    confirm(&shop, &[1, 2, 99]).await;
    assert_eq!(budget_and_status(&shop, id).await, expected("1000000.00", "0.00", "ACTIVE"));
    release(&shop, 2).await;
    assert_eq!(budget_and_status(&shop, id).await, expected("0.00", "0.00", "ACTIVE"));
    shop.verify();
}
