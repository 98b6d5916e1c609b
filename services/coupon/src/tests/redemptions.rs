//! Redemptions are made and released once per reference, and never exceed a limit.

use promox_contract::buyer::Buyer;
use promox_contract::coupon::{HoldCoupons, ReleaseCoupons};
use promox_contract::ids::OrderId;
use promox_kernel::{Error, Kind, UserId};
use serde_json::{Value, json};

use super::{ADA, Shop, open, refusal};
use crate::{CreateCoupon, GetCoupon, ListRedemptions, RedeemCoupon, ReleaseCoupon, UpdateCoupon};

async fn hold(shop: &Shop, order: i64, user_id: Option<UserId>, email: &str, codes: &[&str]) -> Result<Value, Error> {
    let codes = codes.iter().map(|code| (*code).to_owned()).collect();
    let (account_email, given_email) = (user_id.map(|id| account(id).parse().unwrap()), Some(email.parse().unwrap()));
    let buyer = Buyer { user_id, account_email, given_email, ignore_plus_tags: false };
    shop.call(HoldCoupons { order_id: OrderId(order), buyer, codes }).await.map(|()| Value::Null)
}

/// The address of an account.
fn account(id: UserId) -> String {
    format!("user{id}@example.com")
}

async fn release(shop: &Shop, order: i64) {
    shop.call(ReleaseCoupons { order_id: OrderId(order) }).await.unwrap();
}

async fn redeemed(shop: &Shop, code: &str) -> (i64, String) {
    let view = shop.ask::<GetCoupon>(json!({ "code": code })).await.unwrap();
    (view["redeemed"].as_i64().unwrap(), view["status"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_reference_redeems_once_and_releases_once() {
    let shop = open();
    shop.ask::<CreateCoupon>(json!({"code": "ONCE", "promotionId": 1, "maxRedemptions": 1})).await.unwrap();
    let first = shop.ask::<RedeemCoupon>(json!({"code": "once", "reference": "till-1"})).await.unwrap();
    let again = shop.ask::<RedeemCoupon>(json!({"code": "ONCE", "reference": "till-1"})).await.unwrap();
    assert_eq!((first["id"].clone(), first["status"].as_str()), (again["id"].clone(), Some("LIVE")));
    let second = shop.ask::<RedeemCoupon>(json!({"code": "ONCE", "reference": "till-2"})).await;
    assert_eq!(refusal(second), ("COUPON_INVALID".into(), Some("LIMIT_REACHED".into())));
    assert_eq!(redeemed(&shop, "ONCE").await, (1, "EXHAUSTED".into()));
    for _ in 0..2 {
        let back = shop.ask::<ReleaseCoupon>(json!({"code": "ONCE", "reference": "till-1"})).await.unwrap();
        assert_eq!(back["status"], "RELEASED");
    }
    assert_eq!(redeemed(&shop, "ONCE").await, (0, "ACTIVE".into()));
    let late = shop.ask::<RedeemCoupon>(json!({"code": "ONCE", "reference": "till-1"})).await;
    assert_eq!(refusal(late).0, "REDEMPTION_RELEASED");
    assert!(shop.ask::<RedeemCoupon>(json!({"code": "ONCE", "reference": "till-2"})).await.is_ok());
    assert_eq!((shop.events_of("COUPON_REDEEMED").await.len(), shop.events_of("COUPON_RELEASED").await.len()), (2, 1));
    let listed = async |status: Value| {
        let page = shop.ask::<ListRedemptions>(json!({"code": "ONCE", "status": status})).await.unwrap();
        page["items"].as_array().unwrap().iter().map(|item| item["reference"].to_string()).collect::<Vec<_>>().join(",")
    };
    assert_eq!(listed(Value::Null).await, r#""till-2""#);
    assert_eq!(listed("RELEASED".into()).await, r#""till-1""#);
    assert_eq!(listed("ALL".into()).await, r#""till-2","till-1""#);
    shop.verify();
}

#[tokio::test]
async fn an_order_holds_all_coupons_or_none_and_none_after_its_release() {
    let shop = open();
    for code in ["AAA", "BBB"] {
        let body = json!({"code": code, "promotionId": 1, "maxRedemptions": 1});
        shop.ask::<CreateCoupon>(body).await.unwrap();
    }
    hold(&shop, 1, None, "a@example.com", &["AAA", "a-a-a"]).await.unwrap();
    hold(&shop, 1, None, "a@example.com", &["AAA"]).await.unwrap();
    let both = hold(&shop, 2, None, "b@example.com", &["BBB", "AAA"]).await;
    assert_eq!(refusal(both), ("COUPON_INVALID".into(), Some("LIMIT_REACHED".into())));
    assert_eq!(redeemed(&shop, "BBB").await.0, 0);
    let pinned = shop.ask::<ReleaseCoupon>(json!({"code": "AAA", "reference": "order:1"})).await;
    assert_eq!(refusal(pinned).0, "REDEMPTION_PINNED");
    let forged = shop.ask::<RedeemCoupon>(json!({"code": "BBB", "reference": "order:9"})).await;
    assert_eq!(forged.unwrap_err().kind(), Kind::Schema);
    release(&shop, 1).await;
    release(&shop, 1).await;
    assert_eq!(redeemed(&shop, "AAA").await.0, 0);
    assert_eq!(refusal(hold(&shop, 1, None, "a@example.com", &["AAA"]).await).0, "REDEMPTION_RELEASED");
    release(&shop, 3).await;
    assert_eq!(refusal(hold(&shop, 3, None, "c@example.com", &["AAA"]).await).0, "REDEMPTION_RELEASED");
    shop.verify();
}

#[tokio::test]
async fn a_limit_per_user_counts_by_account_and_by_address() {
    let shop = open();
    let body = json!({"code": "PERUSER", "promotionId": 1, "perUserLimit": 1});
    shop.ask::<CreateCoupon>(body).await.unwrap();
    let reached = || ("COUPON_INVALID".to_owned(), Some("USER_LIMIT_REACHED".to_owned()));
    hold(&shop, 1, Some(ADA), "ada@example.com", &["PERUSER"]).await.unwrap();
    assert_eq!(refusal(hold(&shop, 2, Some(ADA), "other@example.com", &["PERUSER"]).await), reached());
    assert_eq!(refusal(hold(&shop, 2, None, "ADA@example.com", &["PERUSER"]).await), reached());
    hold(&shop, 3, None, "bob@example.com", &["PERUSER"]).await.unwrap();
    shop.ask::<RedeemCoupon>(json!({"code": "PERUSER", "reference": "x"})).await.unwrap();
    assert_eq!(refusal(shop.ask::<RedeemCoupon>(json!({"code": "PERUSER", "reference": "y"})).await), reached());
    release(&shop, 1).await;
    hold(&shop, 4, Some(ADA), "ada@example.com", &["PERUSER"]).await.unwrap();
    shop.ask::<UpdateCoupon>(json!({"code": "PERUSER", "perUserLimit": 2})).await.unwrap();
    hold(&shop, 5, Some(ADA), "ada@example.com", &["PERUSER"]).await.unwrap();
    shop.ask::<UpdateCoupon>(json!({"code": "PERUSER", "perUserLimit": 1})).await.unwrap();
    let low = shop.ask::<UpdateCoupon>(json!({"code": "PERUSER", "maxRedemptions": 3})).await;
    assert_eq!(refusal(low).0, "ALREADY_REDEEMED");
    shop.verify();
}

#[tokio::test]
async fn a_redemption_counts_once_even_if_several_identifiers_match() {
    let shop = open();
    shop.ask::<CreateCoupon>(json!({"code": "TWICE", "promotionId": 1, "perUserLimit": 2})).await.unwrap();
    let reached = || ("COUPON_INVALID".to_owned(), Some("USER_LIMIT_REACHED".to_owned()));
    let (mine, codes) = (account(ADA), ["TWICE"]);
    hold(&shop, 1, Some(ADA), "other@example.com", &codes).await.unwrap();
    hold(&shop, 2, None, "OTHER@example.com", &codes).await.unwrap();
    assert_eq!(refusal(hold(&shop, 3, Some(ADA), "other@example.com", &codes).await), reached());
    hold(&shop, 4, None, &mine, &codes).await.unwrap();
    assert_eq!(refusal(hold(&shop, 5, Some(ADA), &mine, &codes).await), reached());
    assert_eq!(refusal(hold(&shop, 6, None, "other@example.com", &codes).await), reached());
    shop.verify();
    release(&shop, 1).await;
    release(&shop, 1).await;
    hold(&shop, 7, Some(ADA), &mine, &codes).await.unwrap();
    assert_eq!(refusal(hold(&shop, 8, None, &mine, &codes).await), reached());
    shop.verify();
}

#[tokio::test]
async fn a_personal_coupon_can_only_be_redeemed_by_its_user() {
    let shop = open();
    shop.ask::<CreateCoupon>(json!({"code": "ADAS", "promotionId": 1, "userId": 7})).await.unwrap();
    let foreign = ("COUPON_INVALID".to_owned(), Some("NOT_ELIGIBLE".to_owned()));
    assert_eq!(refusal(hold(&shop, 1, Some(UserId(8)), "b@example.com", &["ADAS"]).await), foreign);
    assert_eq!(refusal(shop.ask::<RedeemCoupon>(json!({"code": "ADAS", "reference": "t"})).await), foreign);
    hold(&shop, 2, Some(ADA), "ada@example.com", &["ADAS"]).await.unwrap();
    let unknown = hold(&shop, 3, None, "b@example.com", &["NOPE"]).await;
    assert_eq!(refusal(unknown), ("COUPON_INVALID".into(), Some("UNKNOWN".into())));
    shop.verify();
}
