//! Limits that a promotion gets while it runs count the uses from before.

use std::time::Duration;

use promox_contract::buyer::Buyer;
use promox_contract::codes;
use promox_kernel::UserId;
use serde_json::{Value, json};

use super::neighbours::Shop;
use crate::api::UpdatePromotion;

const USE: &str = "1.00";

fn person(user: Option<i64>, email: &str) -> Buyer {
    Buyer {
        user_id: user.map(UserId),
        account_email: user.map(|_| email.parse().unwrap()),
        given_email: user.is_none().then(|| email.parse().unwrap()),
        ignore_plus_tags: false,
    }
}

async fn limit(shop: &Shop, id: promox_contract::ids::PromotionId, limits: Value) {
    let body = json!({"id": id, "limits": limits});
    shop.call(Shop::read::<UpdatePromotion>(&body).unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_limit_per_person_counts_uses_from_before_it() {
    let shop = Shop::open();
    let id = shop.active(json!({})).await;
    let (ada, eve) = (person(Some(1), "ada@example.com"), person(None, "eve@example.com"));
    shop.hold_for(1, ada.clone(), &[(id, USE)]).await.unwrap();
    shop.confirm(1).await;
    shop.hold_for(2, eve.clone(), &[(id, USE)]).await.unwrap();
    shop.release(2).await;
    limit(&shop, id, json!({"perUser": 1})).await;
    for same in [ada.clone(), person(None, "Ada@example.com"), person(Some(1), "new@example.com")] {
        let refused = shop.hold_for(3, same, &[(id, USE)]).await.unwrap_err();
        assert_eq!(refused.code(), codes::PROMOTION_INVALID);
    }
    shop.hold_for(4, eve.clone(), &[(id, USE)]).await.unwrap();
    shop.verify();
    shop.release(1).await;
    shop.hold_for(5, ada, &[(id, USE)]).await.unwrap();
    shop.hold_for(6, eve, &[(id, USE)]).await.unwrap_err();
    shop.verify();
}

#[tokio::test]
async fn a_limit_in_a_period_counts_the_uses_of_the_period() {
    for (per, other_fits) in [("USER", true), ("EMAIL", true), ("ADDRESS", false), ("TOTAL", false)] {
        let shop = Shop::open();
        let id = shop.active(json!({})).await;
        let (ada, eve) = (person(Some(1), "ada@example.com"), person(Some(2), "eve@example.com"));
        shop.hold_for(1, ada.clone(), &[(id, USE)]).await.unwrap();
        shop.advance(Duration::from_hours(24));
        shop.hold_for(2, ada.clone(), &[(id, USE)]).await.unwrap();
        limit(&shop, id, json!({"periods": [{"per": per, "period": "DAY", "count": 2}]})).await;
        shop.hold_for(3, ada.clone(), &[(id, USE)]).await.unwrap();
        shop.hold_for(4, ada.clone(), &[(id, USE)]).await.unwrap_err();
        assert_eq!(shop.hold_for(5, eve, &[(id, USE)]).await.is_ok(), other_fits, "{per}");
        shop.verify();
        shop.release(2).await;
        shop.hold_for(6, ada.clone(), &[(id, USE)]).await.unwrap();
        shop.verify();
        // Without the limit nothing is counted; once it is back, everything of the day is.
        limit(&shop, id, json!(null)).await;
        shop.hold_for(7, ada.clone(), &[(id, USE)]).await.unwrap();
        limit(&shop, id, json!({"periods": [{"per": per, "period": "DAY", "count": 3}]})).await;
        shop.hold_for(8, ada, &[(id, USE)]).await.unwrap_err();
        shop.verify();
    }
}

#[tokio::test]
async fn limits_added_at_any_time_hold_as_if_they_had_always_been_there() {
    let shop = Shop::open();
    let id = shop.active(json!({"limits": {"periods": [{"per": "USER", "period": "DAY", "count": 9}]}})).await;
    let ada = person(Some(1), "ada@example.com");
    shop.hold_for(1, ada.clone(), &[(id, USE)]).await.unwrap();
    shop.advance(Duration::from_hours(24 * 200));
    shop.run_job("promotion.sweep_counters").await;
    limit(&shop, id, json!({"perUser": 2})).await;
    shop.verify();
    shop.hold_for(2, ada.clone(), &[(id, USE)]).await.unwrap();
    shop.hold_for(3, ada, &[(id, USE)]).await.unwrap_err();
    shop.verify();
}
