//! Uses are held, posted and released, and never exceed a limit or a budget.

use std::time::Duration;

use promox_contract::buyer::Buyer;
use promox_contract::ids::PromotionId;
use promox_contract::promotion::{EvaluateCart, RejectReason};
use promox_kernel::Error;
use serde_json::json;

use super::neighbours::{Shop, buyer};
use crate::api::{GetPromotion, ListUsage, UpdatePromotion, UsageView};
use promox_storage::Service as _;

fn reason(error: &Error) -> (String, String) {
    (error.code().to_owned(), error.members()["reason"].as_str().unwrap_or_default().to_owned())
}

fn refused(reason: RejectReason) -> (String, String) {
    ("PROMOTION_INVALID".to_owned(), reason.as_str().to_owned())
}

async fn usage(shop: &Shop, id: PromotionId) -> Vec<UsageView> {
    let op = ListUsage { id, limit: promox_kernel::Limit::default(), cursor: None };
    shop.call(op).await.unwrap().items
}

async fn uses_and_spent(shop: &Shop, id: PromotionId) -> (i64, String) {
    let view = shop.call(GetPromotion { id }).await.unwrap();
    (view.uses, view.spent.to_string())
}

#[tokio::test]
async fn the_last_use_is_held_once_and_released_once() {
    let shop = Shop::open();
    let id = shop.active(json!({"code": "C", "limits": {"total": 2}})).await;
    shop.hold(1, None, &[(id, "10.00")]).await.unwrap();
    shop.hold(1, None, &[(id, "10.00")]).await.unwrap();
    shop.hold(2, None, &[(id, "5.00")]).await.unwrap();
    assert_eq!(uses_and_spent(&shop, id).await, (2, "15.00".into()));
    let error = shop.hold(3, None, &[(id, "1.00")]).await.unwrap_err();
    assert_eq!(reason(&error), refused(RejectReason::LimitReached));
    assert_eq!(shop.off(&shop.cx(), Shop::cart(&["C"])).await.1[0].1, RejectReason::LimitReached);
    shop.verify();
    for _ in 0..2 {
        shop.release(1).await;
    }
    assert_eq!(uses_and_spent(&shop, id).await, (1, "5.00".into()));
    assert_eq!(shop.hold(1, None, &[(id, "1.00")]).await.unwrap_err().code(), "USES_RELEASED");
    shop.hold(4, None, &[(id, "1.00")]).await.unwrap();
    shop.verify();
}

#[tokio::test]
async fn a_budget_is_never_exceeded_by_a_penny() {
    let shop = Shop::open();
    let id = shop.active(json!({"limits": {"budget": "25.00"}})).await;
    let other = shop.active(json!({})).await;
    shop.hold(1, None, &[(id, "10.00")]).await.unwrap();
    shop.hold(2, None, &[(id, "10.00")]).await.unwrap();
    let error = shop.hold(3, None, &[(other, "1.00"), (id, "5.01")]).await.unwrap_err();
    assert_eq!(reason(&error), refused(RejectReason::BudgetExhausted));
    assert_eq!(uses_and_spent(&shop, other).await, (0, "0.00".into()));
    shop.hold(4, None, &[(id, "5.00")]).await.unwrap();
    assert_eq!(uses_and_spent(&shop, id).await, (3, "25.00".into()));
    shop.verify();
    let body = json!({"id": id, "limits": {"budget": "24.99"}});
    let error = shop.call(Shop::read::<UpdatePromotion>(&body).unwrap()).await.unwrap_err();
    assert_eq!(error.errors()[0].pointer, "/limits/budget");
    let body = json!({"id": id, "limits": {"budget": "25.00"}});
    shop.call(Shop::read::<UpdatePromotion>(&body).unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_buyer_is_counted_by_account_and_by_addresses() {
    let shop = Shop::open();
    let id = shop.active(json!({"limits": {"perUser": 2}})).await;
    let refuse = async |order: i64, buyer: Buyer| {
        let error = shop.hold_for(order, buyer, &[(id, "1.00")]).await.unwrap_err();
        assert_eq!(reason(&error), refused(RejectReason::UserLimitReached));
    };
    let email = |text: &str| Some(text.parse().unwrap());
    let elsewhere = |user, address| Buyer { given_email: email(address), ..buyer(Some(user)) };
    let guest = |address| Buyer { given_email: email(address), ..Buyer::default() };
    // The account with another address, and a guest with that address, are one person with two uses.
    shop.hold_for(1, elsewhere(7, "other@example.com"), &[(id, "1.00")]).await.unwrap();
    shop.hold_for(2, guest("OTHER@example.com"), &[(id, "1.00")]).await.unwrap();
    refuse(3, elsewhere(7, "other@example.com")).await;
    // A guest with the account's own address shares only the first use. With a second one, the limit is reached for
    // both.
    shop.hold_for(4, guest("USER7@example.com"), &[(id, "1.00")]).await.unwrap();
    refuse(5, buyer(Some(7))).await;
    refuse(6, guest("user7@example.com")).await;
    let cart = EvaluateCart { buyer: buyer(Some(7)), ..Shop::cart(&[]) };
    assert_eq!(shop.off(&shop.cx(), cart).await.0, "0");
    let answer = shop.call(Shop::cart(&[])).await.unwrap();
    assert_eq!((answer.uses.len(), answer.warnings.len()), (1, 1));
    // Other buyers are not affected. A released use can be made again once.
    shop.hold(7, Some(8), &[(id, "1.00")]).await.unwrap();
    shop.verify();
    for _ in 0..2 {
        shop.release(1).await;
    }
    shop.hold(8, Some(7), &[(id, "1.00")]).await.unwrap();
    refuse(9, buyer(Some(7))).await;
    shop.verify();
}

#[tokio::test]
async fn plus_tags_distinguish_persons_unless_the_store_ignores_them() {
    let shop = Shop::open();
    let id = shop.active(json!({"limits": {"periods": [{"per": "USER", "period": "DAY", "count": 1}]}})).await;
    let guest = |address: &str, ignore_plus_tags| {
        let given_email = Some(address.parse().unwrap());
        Buyer { given_email, ignore_plus_tags, ..Buyer::default() }
    };
    let hold = async |order: i64, buyer: Buyer| shop.hold_for(order, buyer, &[(id, "1.00")]).await.is_ok();
    assert!(hold(1, guest("ada+1@example.com", false)).await);
    assert!(hold(2, guest("ada@example.com", false)).await);
    assert!(!hold(3, guest("ada+2@example.com", true)).await, "earlier uses under other tags count");
    assert!(hold(4, guest("ada+2@example.com", false)).await);
    assert!(!hold(5, guest("ADA+2@example.com", false)).await);
    shop.verify();
}

#[tokio::test]
async fn limits_start_again_with_each_period() {
    let shop = Shop::open();
    let periods = json!([{"per": "USER", "period": "DAY", "count": 1}, {"per": "TOTAL", "period": "WEEK", "count": 2}]);
    let id = shop.active(json!({"limits": {"periods": periods}})).await;
    shop.hold(1, Some(7), &[(id, "1.00")]).await.unwrap();
    let again = shop.hold(2, Some(7), &[(id, "1.00")]).await.unwrap_err();
    assert_eq!(reason(&again), refused(RejectReason::UserLimitReached));
    shop.advance(Duration::from_hours(24));
    shop.hold(3, Some(7), &[(id, "1.00")]).await.unwrap();
    shop.advance(Duration::from_hours(24));
    let again = shop.hold(4, Some(7), &[(id, "1.00")]).await.unwrap_err();
    assert_eq!(reason(&again), refused(RejectReason::LimitReached));
    shop.advance(Duration::from_hours(24 * 6));
    shop.hold(5, Some(7), &[(id, "1.00")]).await.unwrap();
    shop.verify();
    shop.advance(Duration::from_hours(24 * 120));
    let sweep = shop.service.jobs().remove(0);
    assert!(!sweep.run(shop.cx()).await.unwrap());
    shop.verify();
    shop.release(5).await;
    assert_eq!(uses_and_spent(&shop, id).await, (2, "2.00".into()));
    shop.verify();
}

#[tokio::test]
async fn confirmed_uses_are_logged_and_published_once() {
    let shop = Shop::open();
    let (a, b) = (shop.active(json!({})).await, shop.active(json!({})).await);
    shop.hold(1, Some(7), &[(a, "1.00"), (b, "2.00")]).await.unwrap();
    shop.hold(2, None, &[(a, "3.00")]).await.unwrap();
    shop.release(2).await;
    for order in [1, 1, 2, 9] {
        shop.confirm(order).await;
    }
    let logged = usage(&shop, a).await;
    assert_eq!((logged.len(), logged[0].order_id.0, logged[0].amount.to_string().as_str()), (1, 1, "1.00"));
    assert_eq!(logged[0].used_at, shop.now());
    assert_eq!(shop.events_of("PROMOTION_APPLIED").await.len(), 2);
    shop.verify();
    shop.release(1).await;
    shop.release(1).await;
    assert!(usage(&shop, a).await[0].released_at.is_some());
    assert_eq!(uses_and_spent(&shop, a).await, (0, "0.00".into()));
    shop.verify();
}

#[tokio::test]
async fn an_order_released_before_its_hold_cannot_hold() {
    let shop = Shop::open();
    let id = shop.active(json!({})).await;
    shop.release(1).await;
    assert_eq!(shop.hold(1, None, &[(id, "1.00")]).await.unwrap_err().code(), "USES_RELEASED");
    shop.hold(2, None, &[]).await.unwrap();
    assert_eq!(uses_and_spent(&shop, id).await, (0, "0.00".into()));
    shop.verify();
}
