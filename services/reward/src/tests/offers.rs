//! Offers: editing, redeeming, and the state between spending the points and issuing the coupon.

use promox_kernel::{Kind, UserId};
use promox_storage::Tx;
use serde_json::json;

use super::*;
use crate::api::{CreateOffer, DeleteOffer, GetOffer, ListOffers, ListRedemptions, RedeemOffer, UpdateOffer};
use crate::commands::offers;
use promox_storage::Service as _;

async fn offer(shop: &Shop) -> Value {
    let body = json!({"name": "Five off", "points": 100, "promotionId": 3, "validDays": 30});
    shop.staff::<CreateOffer>(body).await.unwrap()["id"].clone()
}

#[tokio::test]
async fn points_buy_a_personal_coupon() {
    let shop = Shop::open();
    let id = offer(&shop).await;
    assert_eq!(code(shop.customer::<RedeemOffer>(7, json!({ "id": id })).await), "POINTS_INSUFFICIENT");
    shop.adjust(7, 250).await.unwrap();
    let redeemed = shop.customer::<RedeemOffer>(7, json!({ "id": id })).await.unwrap();
    assert_eq!((&redeemed["status"], &redeemed["couponCode"]), (&json!("ISSUED"), &json!("CODE-reward:1")));
    assert_eq!(shop.points(7).await, (150, 0));
    let listed = shop.customer::<ListRedemptions>(7, json!({"id": 7})).await.unwrap();
    assert_eq!(listed["items"][0], redeemed);
    assert_eq!(shop.account_events(7).await, ["POINTS_AWARDED", "POINTS_REDEEMED"]);
    shop.verify();
}

#[tokio::test]
async fn a_pending_coupon_is_issued_later() {
    let shop = Shop::open();
    let id = offer(&shop).await;
    shop.adjust(7, 100).await.unwrap();
    *shop.neighbours.coupons_fail.lock() = Some(Error::unavailable("BUSY", "Not now.", 1));
    let redeemed = shop.customer::<RedeemOffer>(7, json!({ "id": id })).await.unwrap();
    assert_eq!((&redeemed["status"], &redeemed["couponCode"]), (&json!("PENDING"), &json!(null)));
    shop.verify();
    shop.pass_days(1).await;
    *shop.neighbours.coupons_fail.lock() = None;
    shop.pass_days(1).await;
    let listed = shop.customer::<ListRedemptions>(7, json!({"id": 7})).await.unwrap();
    assert_eq!(listed["items"][0]["couponCode"], "CODE-reward:1");
    assert_eq!(shop.neighbours.coupons.lock().len(), 1);
    assert_eq!(shop.points(7).await, (0, 0));
    shop.verify();
}

#[tokio::test]
async fn a_redemption_continues_after_a_crash() {
    let shop = Shop::open();
    let id = crate::OfferId(offer(&shop).await.as_i64().unwrap());
    shop.adjust(7, 100).await.unwrap();
    let (terms, cx) = (shop.service.terms.clone(), shop.user(7));
    let caller = cx.clone();
    let redeem = move |tx: &mut Tx<'_>| offers::redeem(tx, &*terms.at(tx)?, &caller, (UserId(7), id));
    assert_eq!(shop.db.write(&cx, redeem).await.unwrap().points, 100);
    shop.work().await;
    assert_eq!(shop.neighbours.coupons.lock().len(), 0, "the request may still be running");
    shop.service.recover(&cx).await.unwrap();
    shop.work().await;
    assert_eq!(shop.neighbours.coupons.lock().len(), 1);
    assert_eq!(shop.points(7).await, (0, 0));
    shop.verify();
}

#[tokio::test]
async fn a_failed_redemption_restores_the_points() {
    let shop = Shop::open();
    let id = offer(&shop).await;
    shop.adjust(7, 100).await.unwrap();
    *shop.neighbours.coupons_fail.lock() = Some(Error::not_found("promotion"));
    assert_eq!(code(shop.customer::<RedeemOffer>(7, json!({ "id": id })).await), "OFFER_ENDED");
    assert_eq!(shop.points(7).await, (100, 0));
    assert_eq!(shop.account_events(7).await, ["POINTS_AWARDED"]);
    shop.verify();
}

#[tokio::test]
async fn staff_edit_offers_and_everyone_reads_them() {
    let shop = Shop::open();
    let id = offer(&shop).await;
    for (body, pointer) in [
        (json!({"name": "x", "points": 0, "promotionId": 3}), "/points"),
        (json!({"name": "", "points": 1, "promotionId": 3}), "/name"),
        (json!({"name": "x", "points": 1, "promotionId": 10}), "/promotionId"),
        (json!({"name": "x", "points": 1, "promotionId": 3, "validDays": 0}), "/validDays"),
    ] {
        assert_eq!(pointers(shop.staff::<CreateOffer>(body).await), [pointer]);
    }
    let changed = shop.staff::<UpdateOffer>(json!({"id": id, "points": 5, "validDays": null})).await.unwrap();
    assert_eq!((&changed["points"], &changed["validDays"], &changed["version"]), (&json!(5), &json!(null), &json!(2)));
    assert_eq!(shop.customer::<ListOffers>(7, json!({})).await.unwrap()["items"], json!([changed]));
    let stale = Cx { if_match: Some(1.into()), ..shop.member(1, &["reward:write"]) };
    assert_eq!(code(shop.ask_as::<DeleteOffer>(stale, json!({ "id": id })).await), "VERSION_MISMATCH");
    shop.staff::<DeleteOffer>(json!({ "id": id })).await.unwrap();
    assert_eq!(shop.customer::<GetOffer>(7, json!({ "id": id })).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(shop.customer::<RedeemOffer>(7, json!({ "id": id })).await.unwrap_err().kind(), Kind::NotFound);
    shop.verify();
}
