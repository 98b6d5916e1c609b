//! Single coupons are created, shown, updated, listed and validated.

use promox_contract::buyer::Buyer;
use promox_contract::coupon::{FindCouponCodes, IssueCoupon, ResolveCodes};
use promox_contract::promotion::RejectReason;
use promox_kernel::{Kind, Principal};
use promox_testkit::pointers;
use serde_json::json;

use super::{ADA, PROMOTION, open, refusal};
use crate::{CreateCoupon, GetCoupon, ListCoupons, UpdateCoupon, ValidateCoupon};

#[tokio::test]
async fn all_spellings_of_a_code_are_the_same_code() {
    let shop = open();
    let made = shop.ask::<CreateCoupon>(json!({"code": "Welcome-100", "promotionId": 1})).await.unwrap();
    assert_eq!((made["code"].as_str(), made["status"].as_str()), (Some("Welcome-100"), Some("ACTIVE")));
    for spelling in ["WELCOME100", "welcome 100", "wel_come-100"] {
        assert_eq!(shop.ask::<GetCoupon>(json!({"code": spelling})).await.unwrap()["code"], "Welcome-100");
        let twin = shop.ask::<CreateCoupon>(json!({"code": spelling, "promotionId": 2})).await;
        assert_eq!(refusal(twin).0, "CODE_TAKEN");
    }
    let promotions = shop.ask::<CreateCoupon>(json!({"code": "sum-mer", "promotionId": 1})).await;
    assert_eq!(refusal(promotions).0, "CODE_TAKEN");
    let taken = shop.call(FindCouponCodes { codes: vec!["WELCOME100".into(), "OTHER".into()] }).await.unwrap();
    assert_eq!(taken.taken, ["WELCOME100"]);
    let generated = shop.ask::<CreateCoupon>(json!({"promotionId": 1})).await.unwrap();
    assert_eq!(generated["code"].as_str().unwrap().len(), 12);
    assert_eq!(shop.events_of("COUPONS_ISSUED").await.len(), 2);
    assert!(!shop.events_of("AUDITED").await[0].to_string().contains("WELCOME"), "events do not reveal codes");
    shop.verify();
}

#[tokio::test]
async fn faults_have_pointers() {
    let shop = open();
    for (body, pointer) in [
        (json!({"code": "ok-code", "promotionId": 9}), "/promotionId"),
        (json!({"code": "a/b", "promotionId": 1}), "/code"),
        (json!({"code": "okcode", "promotionId": 1, "maxRedemptions": 0}), "/maxRedemptions"),
        (json!({"code": "okcode", "promotionId": 1, "perUserLimit": 0}), "/perUserLimit"),
        (
            json!({"code": "okcode", "promotionId": 1, "startsAt": "2027-02-01T00:00:00Z", "endsAt": "2027-01-01T00:00:00Z"}),
            "/endsAt",
        ),
        (json!({"code": "okcode", "promotionId": 1, "maxRedemption": 1}), "/maxRedemption"),
    ] {
        assert_eq!(pointers(shop.ask::<CreateCoupon>(body).await), [pointer]);
    }
    assert_eq!(shop.ask::<GetCoupon>(json!({"code": "none"})).await.unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test]
async fn an_update_changes_only_its_members_and_checks_the_version() {
    let shop = open();
    shop.ask::<CreateCoupon>(json!({"code": "SPRING", "promotionId": 1, "maxRedemptions": 5})).await.unwrap();
    let off = shop.ask::<UpdateCoupon>(json!({"code": "spring", "status": "DISABLED"})).await.unwrap();
    assert_eq!((off["status"].as_str(), off["version"].as_i64()), (Some("DISABLED"), Some(2)));
    let on = json!({"code": "SPRING", "status": "ACTIVE", "maxRedemptions": null, "endsAt": "2027-01-15T07:00:00Z"});
    let on = shop.ask::<UpdateCoupon>(on).await.unwrap();
    assert_eq!((on["status"].as_str(), on["maxRedemptions"].is_null()), (Some("EXPIRED"), true));
    let mut stale = shop.cx();
    stale.if_match = Some(2.into());
    let refused = shop.ask_as::<UpdateCoupon>(stale, json!({"code": "SPRING", "perUserLimit": 1})).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::Precondition);
    shop.verify();
}

#[tokio::test]
async fn lists_filter_and_page() {
    let shop = open();
    for (code, promotion) in [("CCC", 1), ("AAA", 2), ("BBB", 1), ("DDD", 1)] {
        shop.ask::<CreateCoupon>(json!({"code": code, "promotionId": promotion})).await.unwrap();
    }
    shop.ask::<UpdateCoupon>(json!({"code": "CCC", "status": "DISABLED"})).await.unwrap();
    let codes = async |query: serde_json::Value| {
        let page = shop.ask::<ListCoupons>(query).await.unwrap();
        let codes: Vec<_> = page["items"].as_array().unwrap().iter().map(|item| item["code"].to_string()).collect();
        (codes.join(","), page["nextCursor"].clone())
    };
    assert_eq!(codes(json!({})).await.0, r#""AAA","BBB","CCC","DDD""#);
    assert_eq!(codes(json!({"promotionId": 1, "status": "ACTIVE"})).await.0, r#""BBB","DDD""#);
    assert_eq!(codes(json!({"status": "DISABLED"})).await.0, r#""CCC""#);
    let (first, next) = codes(json!({"limit": 3})).await;
    assert_eq!(first, r#""AAA","BBB","CCC""#);
    assert_eq!(codes(json!({"limit": 3, "cursor": next})).await.0, r#""DDD""#);
}

#[tokio::test]
async fn codes_resolve_with_the_reason_why_they_are_invalid() {
    let shop = open();
    for body in [
        json!({"code": "GOOD", "promotionId": 1}),
        json!({"code": "SOON", "promotionId": 1, "startsAt": "2030-01-01T00:00:00Z"}),
        json!({"code": "OVER", "promotionId": 1, "endsAt": "2020-01-01T00:00:00Z"}),
        json!({"code": "ADAS", "promotionId": 1, "userId": 7}),
    ] {
        shop.ask::<CreateCoupon>(body).await.unwrap();
    }
    let codes = ["good", "SOON", "OVER", "AD-AS", "NONE"].map(str::to_owned).to_vec();
    let reasons = async |user_id| {
        let op =
            ResolveCodes { codes: codes.clone(), buyer: Buyer { user_id, ..Buyer::default() }, entered: codes.clone() };
        let found = shop.call(op).await.unwrap().coupons;
        found.into_iter().map(|item| (item.code, item.reason)).collect::<Vec<_>>()
    };
    let expect = |last: Option<RejectReason>| {
        let reasons = [None, Some(RejectReason::NotStarted), Some(RejectReason::Expired), last];
        codes.iter().take(4).cloned().zip(reasons).collect::<Vec<_>>()
    };
    assert_eq!(reasons(Some(ADA)).await, expect(None));
    assert_eq!(reasons(None).await, expect(Some(RejectReason::NotEligible)));
}

#[tokio::test]
async fn validation_returns_the_discount_and_limits_guessing() {
    let shop = open();
    shop.ask::<CreateCoupon>(json!({"code": "TEN", "promotionId": 1})).await.unwrap();
    shop.ask::<CreateCoupon>(json!({"code": "OLD", "promotionId": 1, "endsAt": "2020-01-01T00:00:00Z"})).await.unwrap();
    let validate_code = async |cx, code: &str| {
        let body = json!({"code": code, "items": [{"sku": "A", "quantity": 2}, {"sku": "a", "quantity": 1}]});
        shop.ask_as::<ValidateCoupon>(cx, body).await
    };
    let good = validate_code(shop.anonymous(), "t-e-n").await.unwrap();
    assert_eq!((good["valid"].as_bool(), good["discount"].as_str()), (Some(true), Some("3.00")));
    assert_eq!(validate_code(shop.anonymous(), "OLD").await.unwrap()["reason"], "UNKNOWN");
    assert_eq!(validate_code(shop.cx(), "OLD").await.unwrap()["reason"], "EXPIRED");
    let unsold = json!({"code": "TEN", "items": [{"sku": "Z", "quantity": 1}]});
    assert_eq!(pointers(shop.ask::<ValidateCoupon>(unsold).await), ["/items/0/sku"]);
    for i in 0..18 {
        assert_eq!(validate_code(shop.anonymous(), &format!("NONE-{i}")).await.unwrap()["valid"], false);
        assert_eq!(
            validate_code(shop.anonymous(), "no_ne-0").await.unwrap()["valid"],
            false,
            "a repeated code counts once"
        );
    }
    let resolve = async |codes: &[&str]| {
        let codes: Vec<String> = codes.iter().map(|code| (*code).to_owned()).collect();
        shop.anonymous().call(ResolveCodes { entered: codes.clone(), codes, buyer: Buyer::default() }).await
    };
    assert_eq!(resolve(&["TEN", "SUMMER"]).await.unwrap().coupons.len(), 1, "codes that exist do not count as guesses");
    assert!(
        resolve(&["NONE-18"]).await.unwrap().coupons.is_empty(),
        "this is the twentieth guess, counting the expired code"
    );
    assert_eq!(resolve(&["TEN", "NONE-3", "NONE-18"]).await.unwrap().coupons.len(), 1, "these codes were tried before");
    let refused = resolve(&["TEN", "NONE-19"]).await.unwrap_err();
    assert_eq!(refused.code(), "TOO_MANY_GUESSES");
    shop.ask::<CreateCoupon>(json!({"code": "NEW", "promotionId": 1})).await.unwrap();
    let guesser = validate_code(shop.anonymous(), "NEW").await.unwrap_err();
    assert_eq!((guesser.kind(), guesser.retry_after_seconds()), (Kind::Throttled, Some(600)));
    let other = promox_kernel::Cx { client: Some([10, 0, 0, 1].into()), ..shop.anonymous() };
    assert!(validate_code(other, "NEW").await.is_ok());
}

#[tokio::test]
async fn a_personal_coupon_is_issued_once_per_reference() {
    let shop = open();
    let issue = |reference: &str| IssueCoupon {
        reference: reference.into(),
        promotion_id: PROMOTION,
        user_id: ADA,
        valid_days: Some(30),
    };
    let first = shop.call(issue("reward:1")).await.unwrap().code;
    assert_eq!(shop.call(issue("reward:1")).await.unwrap().code, first);
    assert_ne!(shop.call(issue("reward:2")).await.unwrap().code, first);
    let shown = shop.ask::<GetCoupon>(json!({"code": first})).await.unwrap();
    assert_eq!((shown["userId"].as_i64(), shown["maxRedemptions"].as_i64()), (Some(7), Some(1)));
    assert_eq!(shown["endsAt"], "2027-02-14T08:00:00.000Z");
    let stranger = promox_kernel::Cx {
        principal: Principal::User { id: promox_kernel::UserId(8), session: 1, permissions: std::sync::Arc::default() },
        ..shop.cx()
    };
    assert!(shop.ask_as::<GetCoupon>(stranger, json!({"code": first})).await.is_err());
    shop.verify();
}
