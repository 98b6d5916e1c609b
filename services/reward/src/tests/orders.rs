//! Points of orders: holding, spending, earning, restoring and revoking them.

use promox_contract::reward::{EstimatePoints, ValuePoints};
use promox_kernel::{Currency, UserId};
use serde_json::json;

use super::*;

#[tokio::test]
async fn an_order_spends_and_earns_once() {
    let shop = Shop::with(json!({"pendingDays": 14})).await;
    shop.adjust(7, 500).await.unwrap();
    shop.hold(1, 7, 300).await.unwrap();
    shop.hold(1, 7, 300).await.unwrap();
    assert_eq!(shop.points(7).await, (200, 0), "a repeated hold takes the points once");
    assert_eq!(code(shop.hold(1, 7, 100).await), "POINTS_HELD");
    for _ in 0..2 {
        shop.confirmed(1, 7, 90).await;
    }
    assert_eq!(shop.points(7).await, (200, 90));
    let entries = [entry("ADJUST", 500), entry("REDEEM", -300), entry("EARN", 90)];
    assert_eq!(shop.entries(7).await, entries);
    assert_eq!(shop.account_events(7).await, ["POINTS_AWARDED", "POINTS_REDEEMED", "POINTS_AWARDED"]);
    shop.pass_days(14).await;
    assert_eq!(shop.points(7).await, (290, 0), "the return period is over");
    assert_eq!(shop.entries(7).await, entries, "the end of the return period adds no entry");
    shop.verify();
}

#[tokio::test]
async fn pending_or_missing_points_cannot_be_spent() {
    let shop = Shop::with(json!({"pendingDays": 14})).await;
    assert_eq!(code(shop.hold(1, 7, 1).await), "POINTS_INSUFFICIENT");
    shop.confirmed(2, 7, 100).await;
    let refused = shop.hold(3, 7, 1).await.unwrap_err();
    assert_eq!(refused.members()["reason"], "NOT_ENOUGH");
    shop.pass_days(14).await;
    shop.hold(4, 7, 100).await.unwrap();
    assert_eq!(code(shop.hold(5, 7, 1).await), "POINTS_INSUFFICIENT");
    shop.verify();
}

#[tokio::test]
async fn a_released_order_cannot_hold_points_again() {
    let shop = Shop::with(json!({"expiryMonths": 2})).await;
    shop.adjust(7, 100).await.unwrap();
    shop.pass_days(10).await;
    shop.adjust(7, 100).await.unwrap();
    let before = shop.account(7).await;
    shop.hold(1, 7, 150).await.unwrap();
    assert_eq!(shop.account(7).await["expiring"][0]["points"], 50);
    for _ in 0..2 {
        shop.release(1).await;
    }
    assert_eq!(shop.account(7).await, before, "restored points keep their expiry");
    assert_eq!(code(shop.hold(1, 7, 150).await), "POINTS_RELEASED");
    shop.confirmed(1, 7, 50).await;
    assert_eq!(shop.points(7).await, (200, 0), "a released order earns nothing");
    shop.release(9).await;
    assert_eq!(code(shop.hold(9, 7, 1).await), "POINTS_RELEASED", "a late hold is refused");
    assert_eq!(
        shop.account_events(7).await,
        ["POINTS_AWARDED", "POINTS_AWARDED"],
        "points that were only held are not reported as restored"
    );
    shop.verify();
}

#[tokio::test]
async fn a_cancelled_order_restores_and_revokes_points() {
    let shop = Shop::with(json!({})).await;
    shop.adjust(7, 100).await.unwrap();
    shop.hold(1, 7, 60).await.unwrap();
    shop.confirmed(1, 7, 40).await;
    assert_eq!(shop.points(7).await, (80, 0));
    for _ in 0..2 {
        shop.cancelled(1, 7).await;
    }
    assert_eq!(shop.points(7).await, (100, 0));
    assert_eq!(shop.account(7).await["lifetimeEarned"], 0);
    let events = ["POINTS_AWARDED", "POINTS_REDEEMED", "POINTS_AWARDED", "POINTS_RESTORED", "POINTS_REVOKED"];
    assert_eq!(shop.account_events(7).await, events);
    shop.verify();
}

#[tokio::test]
async fn points_that_expired_while_spent_expire_when_restored() {
    let shop = Shop::with(json!({"expiryMonths": 1})).await;
    shop.adjust(7, 100).await.unwrap();
    shop.hold(1, 7, 60).await.unwrap();
    shop.confirmed(1, 7, 0).await;
    shop.pass_days(31).await;
    assert_eq!(shop.points(7).await, (0, 0));
    shop.release(1).await;
    assert_eq!(code(shop.hold(2, 7, 1).await), "POINTS_INSUFFICIENT");
    shop.work().await;
    assert_eq!(shop.points(7).await, (0, 0));
    let expired: i64 = shop.entries(7).await.iter().filter(|entry| entry.0 == "EXPIRE").map(|entry| entry.1).sum();
    assert_eq!(expired, -100);
    shop.verify();
}

#[tokio::test]
async fn returns_restore_and_revoke_points_in_parts() {
    let shop = Shop::with(json!({"pendingDays": 30})).await;
    shop.adjust(7, 100).await.unwrap();
    shop.hold(1, 7, 100).await.unwrap();
    shop.confirmed(1, 7, 10).await;
    assert_eq!(shop.points(7).await, (0, 10));
    shop.returned(1, 7, 33, 33).await;
    assert_eq!(shop.points(7).await, (33, 7), "a third of ten is three");
    shop.returned(1, 7, 66, 33).await;
    assert_eq!(shop.points(7).await, (66, 3));
    shop.returned(1, 7, 100, 34).await;
    assert_eq!(shop.points(7).await, (100, 0), "the last return revokes the remainder");
    shop.returned(1, 7, 100, 34).await;
    assert_eq!(shop.points(7).await, (100, 0), "no more points are restored than were spent");
    shop.pass_days(31).await;
    assert_eq!(shop.points(7).await, (100, 0));
    shop.verify();
}

#[tokio::test]
async fn revoked_points_that_were_spent_are_waived_or_owed() {
    for (shortfall, owed, later) in [("WAIVE", 0, 30), ("CARRY", 20, 10)] {
        let shop = Shop::with(json!({ "returnShortfall": shortfall })).await;
        shop.confirmed(1, 7, 50).await;
        shop.adjust(7, 10).await.unwrap();
        shop.hold(2, 7, 30).await.unwrap();
        shop.confirmed(2, 7, 0).await;
        shop.returned(1, 7, 100, 0).await;
        let account = shop.account(7).await;
        assert_eq!((&account["balance"], &account["owed"]), (&json!(0), &json!(owed)), "{shortfall}");
        assert_eq!(account["tierPoints"], 0, "points of returned goods do not count for the tier");
        shop.adjust(7, 30).await.unwrap();
        assert_eq!(shop.points(7).await, (later, 0), "{shortfall}");
        assert_eq!(shop.account(7).await["owed"], 0);
        shop.verify();
    }
}

#[tokio::test]
async fn expired_points_are_not_revoked_again() {
    let shop = Shop::with(json!({"expiryMonths": 1, "returnShortfall": "CARRY"})).await;
    shop.confirmed(1, 7, 50).await;
    shop.hold(2, 7, 20).await.unwrap();
    shop.confirmed(2, 7, 0).await;
    shop.pass_days(31).await;
    shop.adjust(7, 100).await.unwrap();
    shop.returned(1, 7, 50, 0).await;
    assert_eq!(shop.points(7).await, (100, 0), "30 of 50 have expired, and 25 are to be revoked");
    shop.returned(1, 7, 100, 0).await;
    assert_eq!(shop.points(7).await, (80, 0), "the 20 that were spent come from other lots");
    shop.verify();
}

#[tokio::test]
async fn the_value_of_points_follows_the_settings() {
    let shop = Shop::with(json!({"minSharePercent": "10", "maxSharePercent": "50"})).await;
    shop.adjust(7, 900).await.unwrap();
    let request = |points| ValuePoints { user_id: UserId(7), points, total: amount("20.00"), currency: Currency::GBP };
    let value = shop.call(request(500)).await.unwrap();
    assert_eq!((value.value, value.spendable), (amount("5.00"), 900));
    for (points, reason) in [(100, "BELOW_SHARE"), (1001, "ABOVE_SHARE"), (901, "NOT_ENOUGH")] {
        let refused = shop.call(request(points)).await.unwrap_err();
        assert_eq!((refused.code(), &refused.members()["reason"]), ("POINTS_INSUFFICIENT", &json!(reason)), "{points}");
    }
    shop.staff::<PatchRewardSettings>(json!({"pointValue": null})).await.unwrap();
    assert_eq!(shop.call(request(500)).await.unwrap_err().members()["reason"], "WORTH_NOTHING");
    shop.verify();
}

#[tokio::test]
async fn an_order_earns_by_rate_tier_and_promotion() {
    let shop = Shop::with(json!({"pointsPerUnit": "2"})).await;
    shop.set_tiers([0, 100, 200, 300, 400]).await;
    let request =
        |base: &str, by: &str| EstimatePoints { user_id: UserId(7), base: amount(base), multiplier: amount(by) };
    assert_eq!(shop.call(request("10.49", "1")).await.unwrap().points, 20);
    shop.confirmed(1, 7, 250).await;
    assert_eq!(shop.call(request("10.49", "1")).await.unwrap().points, 41, "GOLD earns double");
    assert_eq!(shop.call(request("10.49", "3")).await.unwrap().points, 125);
    shop.verify();
}
