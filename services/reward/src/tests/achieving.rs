//! Achievements: made, counted, granted once.

use promox_contract::user::UserRegistered;
use promox_kernel::UserId;
use serde_json::json;

use super::*;
use crate::api::{CreateAchievement, DeleteAchievement, ListAchievements, ListUserAchievements, UpdateAchievement};

async fn make(shop: &Shop, code: &str, rule: Value) -> Value {
    let body = json!({"code": code, "name": code, "rule": rule, "points": 10});
    shop.staff::<CreateAchievement>(body).await.unwrap()
}

async fn unlocked(shop: &Shop, user: i64) -> Vec<String> {
    let page = shop.user::<ListUserAchievements>(user, json!({ "id": user })).await.unwrap();
    page["items"].as_array().unwrap().iter().map(|it| it["code"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn orders_unlock_achievements_once() {
    let mut shop = Shop::open();
    make(&shop, "FIRST", json!({"event": "ORDER_CONFIRMED"})).await;
    make(&shop, "BIG", json!({"event": "ORDER_CONFIRMED", "sum": "250.00"})).await;
    make(&shop, "QUICK", json!({"event": "ORDER_CONFIRMED", "count": 2, "within": "P7D"})).await;
    shop.confirmed(1, 7, 0).await;
    assert_eq!(unlocked(&shop, 7).await, ["FIRST"]);
    shop.pass(8).await;
    shop.confirmed(2, 7, 0).await;
    assert_eq!(unlocked(&shop, 7).await, ["FIRST"], "too slow, and not enough yet");
    let open = shop.user::<ListUserAchievements>(7, json!({"id": 7, "status": "IN_PROGRESS"})).await.unwrap();
    let open: Vec<_> =
        open["items"].as_array().unwrap().iter().map(|it| (it["code"].clone(), it["count"].clone())).collect();
    assert_eq!(open, [(json!("BIG"), json!(2)), (json!("QUICK"), json!(1))]);
    shop.confirmed(3, 7, 0).await;
    assert_eq!(unlocked(&shop, 7).await, ["FIRST", "BIG", "QUICK"]);
    shop.confirmed(4, 7, 0).await;
    assert_eq!(shop.has(7).await, (30, 0), "each gives its points once");
    let told = shop.events(7).await.into_iter().filter(|kind| kind == "ACHIEVEMENT_UNLOCKED").count();
    assert_eq!(told, 3);
    shop.verify();
}

#[tokio::test]
async fn a_cancelled_order_counts_no_more() {
    let mut shop = Shop::open();
    shop.confirmed(9, 7, 0).await;
    shop.pass(1).await;
    make(&shop, "TWO", json!({"event": "ORDER_CONFIRMED", "count": 2})).await;
    shop.cancelled(9, 7).await;
    shop.confirmed(1, 7, 0).await;
    shop.cancelled(1, 7).await;
    shop.confirmed(2, 7, 0).await;
    assert_eq!(unlocked(&shop, 7).await, Vec::<String>::new());
    shop.confirmed(3, 7, 0).await;
    assert_eq!(unlocked(&shop, 7).await, ["TWO"]);
    shop.verify();
}

#[tokio::test]
async fn friends_are_counted_for_who_sent_them() {
    let mut shop = Shop::open();
    make(&shop, "WELCOME", json!({"event": "USER_REGISTERED"})).await;
    make(&shop, "FRIENDS", json!({"event": "USER_REFERRED", "count": 2})).await;
    for user in [8, 9] {
        shop.told(UserRegistered { user_id: UserId(user), referral_code: None, referrer: Some(UserId(7)) }).await;
    }
    assert_eq!(unlocked(&shop, 7).await, ["FRIENDS"]);
    assert_eq!(unlocked(&shop, 9).await, ["WELCOME"]);
    shop.verify();
}

#[tokio::test]
async fn achievements_are_edited_and_deleted_and_stay_with_who_has_them() {
    let mut shop = Shop::open();
    let made = make(&shop, "FIRST", json!({"event": "ORDER_CONFIRMED"})).await;
    let taken = json!({"code": "FIRST", "name": "Again", "rule": {"event": "ORDER_CONFIRMED"}});
    assert_eq!(code(shop.staff::<CreateAchievement>(taken.clone()).await), "CODE_TAKEN");
    for (body, pointer) in [
        (json!({"code": "first", "name": "x", "rule": {"event": "ORDER_CONFIRMED"}}), "/code"),
        (json!({"code": "X", "name": "", "rule": {"event": "ORDER_CONFIRMED"}}), "/name"),
        (json!({"code": "X", "name": "x", "rule": {"event": "USER_REGISTERED", "sum": "1"}}), "/rule/sum"),
        (json!({"code": "X", "name": "x", "rule": {"event": "NOPE"}}), "/rule/event"),
    ] {
        assert_eq!(pointers(shop.staff::<CreateAchievement>(body).await), [pointer]);
    }
    shop.confirmed(1, 7, 0).await;
    let patch = json!({"id": made["id"], "points": 99, "badge": "star"});
    let changed = shop.staff::<UpdateAchievement>(patch).await.unwrap();
    assert_eq!((&changed["points"], &changed["version"]), (&json!(99), &json!(2)));
    shop.staff::<DeleteAchievement>(json!({"id": made["id"]})).await.unwrap();
    assert_eq!(shop.staff::<ListAchievements>(json!({})).await.unwrap()["items"], json!([]));
    assert_eq!(unlocked(&shop, 7).await, ["FIRST"]);
    shop.staff::<CreateAchievement>(taken).await.unwrap();
    shop.verify();
}
