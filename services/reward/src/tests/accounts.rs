//! Accounts: visibility, adjustments, expiry, tiers, bonuses and erasure.

use promox_contract::ids::OrderId;
use promox_contract::order::{FirstPaidOrder, OrderCreated, OrderFailed};
use promox_contract::reward::GetTier;
use promox_contract::user::{UserErased, UserRegistered};
use promox_kernel::{Kind, UserId};
use serde_json::json;

use super::*;
use crate::api::{GetTiers, ListUserAchievements};

async fn tier(shop: &Shop, user: i64) -> String {
    shop.call(GetTier { user_id: UserId(user) }).await.unwrap().tier
}

#[tokio::test]
async fn another_users_account_looks_absent() {
    let shop = Shop::open();
    shop.adjust(7, 5).await.unwrap();
    let request = json!({"id": 7});
    for error in [
        shop.customer::<GetAccount>(8, request.clone()).await.unwrap_err(),
        shop.customer::<ListTransactions>(8, request.clone()).await.unwrap_err(),
        shop.customer::<ListUserAchievements>(8, request.clone()).await.unwrap_err(),
        shop.staff::<GetAccount>(json!({"id": 100})).await.unwrap_err(),
        shop.adjust(100, 5).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), Kind::NotFound);
    }
    assert_eq!(shop.staff::<GetAccount>(request).await.unwrap()["balance"], 5);
    assert_eq!(shop.account(9).await["tier"], "BRONZE", "an unused account reads as empty");
    shop.verify();
}

#[tokio::test]
async fn an_adjustment_cannot_make_the_balance_negative() {
    let shop = Shop::open();
    shop.adjust(7, 100).await.unwrap();
    assert_eq!(shop.adjust(7, -40).await.unwrap()["balance"], 60);
    let refused = shop.adjust(7, -61).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (Kind::Conflict, "POINTS_INSUFFICIENT"));
    for (points, reason, pointer) in [(0, "x", "/points"), (2_000_000_000, "x", "/points"), (1, " ", "/reason")] {
        let body = json!({"id": 7, "points": points, "reason": reason});
        assert_eq!(pointers(shop.staff::<AdjustPoints>(body).await), [pointer]);
    }
    assert_eq!(shop.account(7).await["lifetimeEarned"], 0, "adjustments do not count as earned");
    shop.verify();
}

#[tokio::test]
async fn points_expire_once_and_the_first_to_expire_are_spent_first() {
    let shop = Shop::with(json!({"expiryMonths": 1})).await;
    shop.adjust(7, 100).await.unwrap();
    shop.pass_days(10).await;
    shop.adjust(7, 50).await.unwrap();
    shop.hold(1, 7, 30).await.unwrap();
    let expiring = shop.account(7).await["expiring"].clone();
    assert_eq!(
        expiring,
        json!([
        {"points": 70, "at": "2026-12-23T12:00:00.000Z"}, {"points": 50, "at": "2027-01-03T12:00:00.000Z"}])
    );
    shop.pass_days(20).await;
    assert_eq!(shop.points(7).await, (50, 0));
    shop.pass_days(20).await;
    assert_eq!(shop.points(7).await, (0, 0));
    let entries =
        [entry("ADJUST", 100), entry("ADJUST", 50), entry("REDEEM", -30), entry("EXPIRE", -70), entry("EXPIRE", -50)];
    assert_eq!(shop.entries(7).await, entries);
    shop.verify();
}

#[tokio::test]
async fn tiers_rise_and_fall_with_the_ledger() {
    let shop = Shop::with(json!({"pendingDays": 30})).await;
    shop.set_tiers([0, 100, 200, 300, 400]).await;
    shop.confirmed(1, 7, 150).await;
    assert_eq!(tier(&shop, 7).await, "SILVER", "pending points count for the tier");
    shop.pass_days(100).await;
    shop.confirmed(2, 7, 150).await;
    let account = shop.account(7).await;
    assert_eq!(
        (&account["tier"], &account["nextTier"], &account["pointsToNextTier"]),
        (&json!("PLATINUM"), &json!("DIAMOND"), &json!(100))
    );
    shop.returned(2, 7, 60, 0).await;
    assert_eq!(shop.account(7).await["tierPoints"], 210);
    shop.advance(Duration::from_hours(24 * 265));
    assert_eq!(tier(&shop, 7).await, "BRONZE", "the clock decides the tier before any job has run");
    shop.work().await;
    assert_eq!(shop.account(7).await["lifetimeEarned"], 210);
    shop.set_tiers([0, 10, 20, 30, 40]).await;
    assert_eq!(tier(&shop, 7).await, "DIAMOND");
    shop.work().await;
    let changes = shop.account_events(7).await.into_iter().filter(|kind| kind == "TIER_CHANGED").count();
    assert_eq!(changes, 5, "up twice, down with the return, down after a year, up with the new thresholds");
    shop.verify();
}

#[tokio::test]
async fn inconsistent_tiers_and_settings_are_refused() {
    let shop = Shop::open();
    let mut ladder = shop.staff::<GetTiers>(json!({})).await.unwrap();
    ladder["tiers"][3]["threshold"] = json!(10);
    ladder.as_object_mut().unwrap().remove("version");
    assert_eq!(pointers(shop.staff::<PutTiers>(ladder.clone()).await), ["/tiers/3/threshold"]);
    ladder["tiers"][3]["threshold"] = json!(6_000);
    let cx = Cx { if_match: Some(3.into()), ..shop.member(1, &["reward:write"]) };
    assert_eq!(code(shop.ask_as::<PutTiers>(cx, ladder.clone()).await), "VERSION_MISMATCH");
    assert_eq!(shop.staff::<PutTiers>(ladder).await.unwrap()["version"], 1);
    let crossed = json!({"minSharePercent": "60", "maxSharePercent": "50"});
    assert_eq!(pointers(shop.staff::<PatchRewardSettings>(crossed).await), ["/minSharePercent"]);
    assert_eq!(shop.customer::<PutTiers>(7, json!({"tiers": []})).await.unwrap_err().kind(), Kind::Forbidden);
    shop.verify();
}

#[tokio::test]
async fn a_referral_is_rewarded_with_the_first_paid_order() {
    let shop = Shop::with(json!({"signupBonus": 50, "referralBonus": 20, "pendingDays": 5})).await;
    let registered = |user: i64, referrer: Option<i64>| UserRegistered {
        user_id: UserId(user),
        referral_code: None,
        referrer: referrer.map(UserId),
    };
    shop.follow(registered(7, None)).await;
    for user in 8..13 {
        shop.follow(registered(user, Some(7))).await;
    }
    shop.work().await;
    assert_eq!(
        (shop.points(7).await, shop.points(8).await),
        ((50, 0), (50, 0)),
        "registration alone earns no referral bonus"
    );
    // The order is confirmed but to be paid on delivery, so it earns nothing yet.
    shop.confirmed(1, 8, 0).await;
    shop.work().await;
    assert_eq!(shop.points(7).await, (50, 0));
    shop.set_first_paid(1, 8);
    shop.pass_days(1).await;
    assert_eq!((shop.points(7).await, shop.points(8).await), ((50, 20), (50, 20)));
    shop.confirmed(2, 8, 0).await;
    shop.work().await;
    assert_eq!(shop.points(7).await, (50, 20), "only the first order earns the bonus");
    shop.pass_days(5).await;
    assert_eq!((shop.points(7).await, shop.points(8).await), ((70, 0), (70, 0)));
    assert_eq!(shop.entries(8).await, [entry("SIGNUP_BONUS", 50), entry("REFERRAL_BONUS", 20)]);
    // A cancelled order revokes the bonus, and the next order earns it again.
    shop.set_first_paid(0, 8);
    shop.cancelled(1, 8).await;
    shop.work().await;
    assert_eq!((shop.points(7).await, shop.points(8).await), ((50, 0), (50, 0)));
    shop.set_first_paid(2, 8);
    shop.pass_days(1).await;
    assert_eq!((shop.points(7).await, shop.points(8).await), ((50, 20), (50, 20)));
    shop.set_first_paid(0, 8);
    shop.returned(2, 8, 40, 0).await;
    assert_eq!(shop.points(7).await, (50, 20), "a partial return keeps the bonus");
    shop.returned(2, 8, 100, 0).await;
    assert_eq!((shop.points(7).await, shop.points(8).await), ((50, 0), (50, 0)));
    // One user used their own code, and another had bought as a guest before.
    shop.neighbours.first_paid_orders.lock().extend([
        (UserId(9), FirstPaidOrder { order_id: Some(OrderId(9)), by_account: true, of_referrer: true }),
        (UserId(10), FirstPaidOrder { order_id: Some(OrderId(4)), by_account: false, of_referrer: false }),
    ]);
    shop.confirmed(9, 9, 0).await;
    shop.confirmed(10, 10, 0).await;
    shop.pass_days(10).await;
    assert_eq!(shop.points(7).await, (50, 0));
    shop.verify();
}

#[tokio::test]
async fn the_first_order_earns_the_signup_bonus_once() {
    let shop = Shop::with(json!({"signupBonus": 50, "signupBonusOn": "FIRST_ORDER"})).await;
    let registered = |user| UserRegistered { user_id: UserId(user), referral_code: None, referrer: None };
    let placed = |order, user| OrderCreated(fact(order, user, 0));
    shop.follow(registered(7)).await;
    assert_eq!(shop.entries(7).await, []);
    shop.follow(placed(1, 7)).await;
    assert_eq!(shop.points(7).await, (0, 50), "the bonus is pending until the order is paid");
    shop.follow(placed(2, 7)).await;
    shop.follow(OrderFailed(fact(1, 7, 0))).await;
    assert_eq!(shop.points(7).await, (0, 0), "a failed order revokes the bonus");
    shop.follow(placed(3, 7)).await;
    shop.follow(placed(4, 7)).await;
    shop.confirmed(3, 7, 0).await;
    shop.pass_days(1).await;
    assert_eq!(shop.points(7).await, (50, 0));
    shop.cancelled(4, 7).await;
    shop.returned(3, 7, 1, 0).await;
    assert_eq!(shop.points(7).await, (50, 0), "the cancellation of another order and a return keep the bonus");
    let entries = shop.entries(7).await;
    assert_eq!(entries, [entry("SIGNUP_BONUS", 50), entry("REVOKE", -50), entry("SIGNUP_BONUS", 50)]);
    shop.cancelled(3, 7).await;
    assert_eq!(shop.points(7).await, (0, 0));
    shop.follow(placed(5, 7)).await;
    assert_eq!(shop.points(7).await, (0, 50), "the next order earns the bonus");
    shop.verify();
}

#[tokio::test]
async fn the_signup_bonus_rule_is_fixed_at_registration() {
    let shop = Shop::with(json!({"signupBonus": 50})).await;
    let registered = |user| UserRegistered { user_id: UserId(user), referral_code: None, referrer: None };
    shop.follow(registered(7)).await;
    shop.patch_settings(json!({"signupBonus": 60, "signupBonusOn": "FIRST_ORDER", "version": 1})).await;
    shop.follow(registered(8)).await;
    shop.patch_settings(json!({"signupBonus": 70, "signupBonusOn": "REGISTRATION", "version": 2})).await;
    for user in [7, 8, 9] {
        shop.follow(OrderCreated(fact(user, user, 0))).await;
    }
    assert_eq!((shop.points(7).await, shop.points(8).await, shop.points(9).await), ((50, 0), (0, 70), (0, 0)));
    shop.verify();
}

#[tokio::test]
async fn birthdays_are_rewarded_once_a_year_and_caught_up() {
    let shop = Shop::with(json!({"birthdayBonus": 25})).await;
    *shop.neighbours.birthdays.lock() = vec![(UserId(7), "11-23"), (UserId(8), "11-25"), (UserId(9), "02-29")];
    shop.work().await;
    shop.work().await;
    assert_eq!((shop.points(7).await, shop.points(8).await), ((25, 0), (0, 0)));
    shop.pass_days(3).await;
    assert_eq!(shop.points(8).await, (25, 0), "the missed day is caught up");
    *shop.neighbours.birthdays.lock() = vec![(UserId(7), "11-27"), (UserId(9), "02-29")];
    shop.pass_days(1).await;
    assert_eq!(shop.points(7).await, (25, 0), "changing the birthday does not grant another bonus");
    for _ in 0..110 {
        shop.pass_days(1).await;
    }
    assert_eq!(shop.points(9).await, (25, 0), "2027 has no 29 February, so the bonus is granted on 28 February");
    shop.verify();
}

#[tokio::test]
async fn an_erased_user_loses_all_points_and_gets_no_more() {
    let shop = Shop::with(json!({"pendingDays": 5})).await;
    shop.adjust(7, 100).await.unwrap();
    shop.hold(1, 7, 40).await.unwrap();
    shop.confirmed(1, 7, 30).await;
    shop.hold(2, 7, 10).await.unwrap();
    shop.follow(UserErased { user_id: UserId(7) }).await;
    assert_eq!(shop.points(7).await, (0, 0));
    shop.confirmed(3, 7, 30).await;
    shop.release(1).await;
    shop.release(2).await;
    assert_eq!(shop.points(7).await, (0, 0), "released points of an erased user are forfeited");
    assert_eq!(shop.adjust(7, 5).await.unwrap_err().kind(), Kind::NotFound);
    shop.pass_days(10).await;
    let sum: i64 = shop.entries(7).await.iter().map(|entry| entry.1).sum();
    assert_eq!(sum, 0);
    shop.verify();
}
