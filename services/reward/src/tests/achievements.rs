//! Achievements: editing, counting, and granting them once.

use promox_contract::coupon::{CouponRedeemed, CouponReleased};
use promox_contract::ids::PromotionId;
use promox_contract::order::{OrderCreated, OrderDelivered, OrderFailed};
use promox_contract::promotion::PromotionApplied;
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
    let page = shop.customer::<ListUserAchievements>(user, json!({ "id": user })).await.unwrap();
    page["items"].as_array().unwrap().iter().map(|item| item["code"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn orders_unlock_achievements_once() {
    let shop = Shop::open();
    make(&shop, "FIRST", json!({"event": "ORDER_CONFIRMED"})).await;
    make(&shop, "BIG", json!({"event": "ORDER_CONFIRMED", "sum": "250.00"})).await;
    make(&shop, "QUICK", json!({"event": "ORDER_CONFIRMED", "count": 2, "within": "P7D"})).await;
    shop.confirmed(1, 7, 0).await;
    assert_eq!(unlocked(&shop, 7).await, ["FIRST"]);
    shop.pass_days(8).await;
    shop.confirmed(2, 7, 0).await;
    assert_eq!(
        unlocked(&shop, 7).await,
        ["FIRST"],
        "the second order was too late for QUICK, and the sum is too small for BIG"
    );
    let open = shop.customer::<ListUserAchievements>(7, json!({"id": 7, "status": "IN_PROGRESS"})).await.unwrap();
    let open: Vec<_> =
        open["items"].as_array().unwrap().iter().map(|item| (item["code"].clone(), item["count"].clone())).collect();
    assert_eq!(open, [(json!("BIG"), json!(2)), (json!("QUICK"), json!(1))]);
    shop.confirmed(3, 7, 0).await;
    assert_eq!(unlocked(&shop, 7).await, ["FIRST", "BIG", "QUICK"]);
    shop.confirmed(4, 7, 0).await;
    assert_eq!(shop.points(7).await, (30, 0), "each achievement grants its points once");
    let events = shop.account_events(7).await.into_iter().filter(|kind| kind == "ACHIEVEMENT_UNLOCKED").count();
    assert_eq!(events, 3);
    shop.verify();
}

#[tokio::test]
async fn a_cancelled_order_no_longer_counts() {
    let shop = Shop::open();
    shop.confirmed(9, 7, 0).await;
    shop.pass_days(1).await;
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
async fn referrals_count_for_the_referrer() {
    let shop = Shop::open();
    make(&shop, "WELCOME", json!({"event": "USER_REGISTERED"})).await;
    make(&shop, "FRIENDS", json!({"event": "USER_REFERRED", "count": 2})).await;
    for user in [8, 9] {
        shop.follow(UserRegistered { user_id: UserId(user), referral_code: None, referrer: Some(UserId(7)) }).await;
        assert_eq!(unlocked(&shop, 7).await, Vec::<String>::new());
        shop.set_first_paid(user, user);
        shop.confirmed(user, user, 0).await;
        shop.work().await;
    }
    assert_eq!(unlocked(&shop, 7).await, ["FRIENDS"]);
    assert_eq!(unlocked(&shop, 9).await, ["WELCOME"]);
    shop.verify();
}

/// Returns a user's progress towards an achievement: count and sum.
async fn progress(shop: &Shop, user: i64, code: &str) -> (i64, String) {
    let page = shop.customer::<ListUserAchievements>(user, json!({"id": user, "status": "IN_PROGRESS"})).await.unwrap();
    let open = page["items"].as_array().unwrap().iter().find(|item| item["code"] == code);
    open.map_or((0, "0".to_owned()), |item| {
        let sum: rust_decimal::Decimal = item["sum"].as_str().unwrap_or("0").parse().unwrap();
        (item["count"].as_i64().unwrap(), sum.normalize().to_string())
    })
}

fn used(order: i64, user: i64, off: &str) -> PromotionApplied {
    let (promotion_id, order_id, user_id) = (PromotionId(3), OrderId(order), Some(UserId(user)));
    PromotionApplied { promotion_id, campaign_id: None, order_id, amount: amount(off), user_id }
}

fn redeemed(user: Option<i64>) -> CouponRedeemed {
    let (promotion_id, reference) = (PromotionId(3), "till:7".to_owned());
    CouponRedeemed { promotion_id, reference, user_id: user.map(UserId) }
}

#[tokio::test]
async fn each_event_counts_until_it_is_undone() {
    let shop = Shop::open();
    shop.promotion_event(1, redeemed(Some(7))).await;
    shop.advance(std::time::Duration::from_secs(1));
    for (code, sum) in [
        ("ORDER_CREATED", true),
        ("ORDER_DELIVERED", true),
        ("ORDER_RETURNED", true),
        ("PROMOTION_APPLIED", true),
        ("COUPON_REDEEMED", false),
        ("POINTS_AWARDED", true),
        ("POINTS_REDEEMED", true),
    ] {
        make(&shop, code, json!({"event": code, "count": 50})).await;
        let within = json!({"event": code, "count": 50, "sum": sum.then_some("9000"), "within": 30});
        make(&shop, &format!("{code}_LATELY"), within).await;
    }
    let lately = |code: &str| format!("{code}_LATELY");
    for order in [1, 2, 3] {
        shop.follow(OrderCreated(fact(order, 7, 0))).await;
    }
    shop.follow(OrderFailed(fact(1, 7, 0))).await;
    shop.confirmed(2, 7, 100).await;
    shop.confirmed(3, 7, 40).await;
    shop.confirmed(4, 7, 10).await;
    shop.follow(OrderDelivered(fact(3, 7, 0))).await;
    for (order, off) in [(2, "1.50"), (2, "2.00"), (3, "4.00")] {
        shop.promotion_event(3, used(order, 7, off)).await;
    }
    for (redemption, user) in [(2, Some(7)), (3, None), (4, Some(7)), (5, Some(8))] {
        shop.promotion_event(redemption, redeemed(user)).await;
    }
    let released = CouponReleased { promotion_id: PromotionId(3), reference: "till:7".to_owned() };
    shop.promotion_event(4, released).await;
    shop.adjust(7, 25).await.unwrap();
    shop.count().await;
    for (code, want) in [
        ("ORDER_CREATED", (2, "200")),
        ("ORDER_DELIVERED", (1, "100")),
        ("PROMOTION_APPLIED", (3, "7.5")),
        ("COUPON_REDEEMED", (1, "0")),
        ("POINTS_AWARDED", (4, "175")),
    ] {
        let want = (want.0, want.1.to_owned());
        assert_eq!(progress(&shop, 7, code).await, want, "{code}");
        assert_eq!(progress(&shop, 7, &lately(code)).await, want, "{code} within");
    }
    assert_eq!(progress(&shop, 8, "COUPON_REDEEMED").await, (1, "0".to_owned()));
    // A quarter of the third order is returned. The second order is cancelled before the event of its last promotion
    // arrives, the fourth after it.
    shop.returned(3, 7, 25, 0).await;
    shop.cancelled(2, 7).await;
    shop.promotion_event(3, used(2, 7, "9.00")).await;
    shop.promotion_event(3, used(4, 7, "0.25")).await;
    shop.count().await;
    shop.cancelled(4, 7).await;
    shop.count().await;
    for (code, want) in [
        ("ORDER_CREATED", (1, "100")),
        ("ORDER_DELIVERED", (1, "100")),
        ("ORDER_RETURNED", (1, "0")),
        ("PROMOTION_APPLIED", (1, "4")),
        ("POINTS_AWARDED", (2, "55")),
    ] {
        let want = (want.0, want.1.to_owned());
        assert_eq!(progress(&shop, 7, code).await, want, "{code}");
        assert_eq!(progress(&shop, 7, &lately(code)).await, want, "{code} within");
    }
    shop.verify();
}

#[tokio::test]
async fn spent_points_count_until_they_are_restored() {
    let shop = Shop::with(json!({})).await;
    make(&shop, "SPENDER", json!({"event": "POINTS_REDEEMED", "sum": "1000"})).await;
    shop.adjust(7, 500).await.unwrap();
    for order in [1, 2] {
        shop.hold(order, 7, 100).await.unwrap();
        shop.confirmed(order, 7, 0).await;
    }
    shop.count().await;
    assert_eq!(progress(&shop, 7, "SPENDER").await, (2, "200".to_owned()));
    shop.returned(1, 7, 50, 30).await;
    shop.cancelled(2, 7).await;
    shop.count().await;
    assert_eq!(progress(&shop, 7, "SPENDER").await, (1, "70".to_owned()));
    shop.verify();
}

#[tokio::test]
async fn points_of_achievements_and_lost_tiers_do_not_count() {
    let shop = Shop::open();
    shop.set_tiers([0, 50, 500, 5_000, 50_000]).await;
    make(&shop, "FIRST", json!({"event": "ORDER_CONFIRMED"})).await;
    make(&shop, "COLLECTOR", json!({"event": "POINTS_AWARDED", "sum": "55"})).await;
    make(&shop, "CLIMBER", json!({"event": "TIER_CHANGED", "count": 2})).await;
    shop.confirmed(1, 7, 50).await;
    shop.count().await;
    assert_eq!(unlocked(&shop, 7).await, ["FIRST"], "the ten points of FIRST do not count for COLLECTOR");
    assert_eq!((progress(&shop, 7, "COLLECTOR").await.0, progress(&shop, 7, "CLIMBER").await.0), (1, 1));
    shop.pass_days(366).await;
    shop.count().await;
    assert_eq!(progress(&shop, 7, "CLIMBER").await.0, 1, "falling back to BRONZE does not count");
    shop.confirmed(2, 7, 50).await;
    shop.count().await;
    assert_eq!(unlocked(&shop, 7).await, ["FIRST", "COLLECTOR", "CLIMBER"]);
    for order in 3..6 {
        shop.confirmed(order, 7, 50).await;
    }
    shop.count().await;
    assert_eq!(unlocked(&shop, 7).await.len(), 3, "each achievement is granted once");
    shop.verify();
}

#[tokio::test]
async fn a_promotion_counts_once_its_order_is_confirmed() {
    let shop = Shop::open();
    make(&shop, "SAVER", json!({"event": "PROMOTION_APPLIED", "count": 3})).await;
    for order in [1, 2] {
        shop.promotion_event(3, used(order, 7, "1.00")).await;
        shop.count().await;
        assert_eq!(progress(&shop, 7, "SAVER").await.0, order - 1, "the promotion waits for its order");
        shop.confirmed(order, 7, 0).await;
        shop.count().await;
    }
    assert_eq!(progress(&shop, 7, "SAVER").await.0, 2);
    shop.release(3).await;
    shop.promotion_event(3, used(3, 7, "1.00")).await;
    shop.promotion_event(3, used(4, 7, "1.00")).await;
    shop.count().await;
    shop.release(4).await;
    shop.confirmed(3, 7, 0).await;
    shop.confirmed(4, 7, 0).await;
    assert_eq!(progress(&shop, 7, "SAVER").await.0, 2, "promotions of released orders do not count");
    shop.verify();
}

#[tokio::test]
async fn users_keep_deleted_achievements() {
    let shop = Shop::open();
    let made = make(&shop, "FIRST", json!({"event": "ORDER_CONFIRMED"})).await;
    let taken = json!({"code": "FIRST", "name": "Again", "rule": {"event": "ORDER_CONFIRMED"}});
    assert_eq!(code(shop.staff::<CreateAchievement>(taken.clone()).await), "CODE_TAKEN");
    for (body, pointer) in [
        (json!({"code": "first", "name": "x", "rule": {"event": "ORDER_CONFIRMED"}}), "/code"),
        (json!({"code": "X", "name": "", "rule": {"event": "ORDER_CONFIRMED"}}), "/name"),
        (json!({"code": "X", "name": "x", "rule": {"event": "USER_REGISTERED", "sum": "1"}}), "/rule/sum"),
        (json!({"code": "X", "name": "x", "rule": {"event": "POINTS_AWARDED", "sum": "1.5"}}), "/rule/sum"),
        (json!({"code": "X", "name": "x", "rule": {"event": "NOPE"}}), "/rule/event"),
        (json!({"code": "X", "name": "x", "rule": {"event": "PRODUCT_VIEWED"}}), "/rule/event"),
    ] {
        assert_eq!(pointers(shop.staff::<CreateAchievement>(body).await), [pointer]);
    }
    let other = json!({"id": made["id"], "rule": {"event": "ORDER_DELIVERED"}});
    assert_eq!(pointers(shop.staff::<UpdateAchievement>(other).await), ["/rule/event"]);
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
