//! Records that other records refer to cannot be deleted or renamed.

use serde_json::{Value, json};

use crate::shop::Shop;

fn percent(more: Value) -> Value {
    let mut body = json!({"name": "P", "actions": [{"type": "PERCENT_OFF", "value": "10"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_in_use_is_not_deleted() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 10).await;
    let campaign = shop.admin.post("/api/campaigns", &json!({"name": "C"})).await.expect(201);
    let path = format!("/api/campaigns/{}", campaign["id"]);
    let promotion =
        shop.admin.post("/api/promotions", &percent(json!({"campaignId": campaign["id"]}))).await.expect(201);
    let refused = shop.admin.delete(&path).await.refused(409, "CAMPAIGN_IN_USE");
    assert_eq!(refused["promotionId"], promotion["id"], "{refused}");
    shop.admin.with("if-match", "\"7\"").delete(&path).await.refused(412, "VERSION_MISMATCH");
    let detach = json!({"campaignId": null});
    shop.admin.patch(&format!("/api/promotions/{}", promotion["id"]), &detach).await.expect(200);
    let sale = json!({"name": "F", "campaignId": campaign["id"], "startsAt": "2098-01-01T00:00:00Z",
        "endsAt": "2099-01-01T00:00:00Z", "items": [{"sku": "A", "salePrice": "4.00", "stock": 5}]});
    let sale = shop.admin.post("/api/flash-sales", &sale).await.expect(201);
    let refused = shop.admin.delete(&path).await.refused(409, "CAMPAIGN_IN_USE");
    assert_eq!(refused["flashSaleId"], sale["id"], "{refused}");
    assert_eq!(shop.admin.delete(&format!("/api/flash-sales/{}", sale["id"])).await.status, 204);
    assert_eq!(shop.admin.delete(&path).await.status, 204);
    shop.admin.delete(&path).await.refused(404, "NOT_FOUND");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_in_use_is_not_deleted_or_renamed() {
    let shop = Shop::start().await;
    let segment = shop.admin.post("/api/segments", &json!({"name": "VIP", "userIds": [1]})).await.expect(201);
    let path = format!("/api/segments/{}", segment["id"]);
    let named = json!({"not": {"field": "customer.segments", "op": "IN", "value": ["NEW", "VIP"]}});
    let promotion = shop.admin.post("/api/promotions", &percent(json!({ "when": named }))).await.expect(201);
    for refused in [shop.admin.delete(&path).await, shop.admin.patch(&path, &json!({"name": "V"})).await] {
        assert_eq!(refused.refused(409, "SEGMENT_IN_USE")["promotionId"], promotion["id"]);
    }
    shop.admin.patch(&path, &json!({"name": "VIP", "userIds": []})).await.expect(200);
    shop.admin.post(&format!("/api/promotions/{}/archive", promotion["id"]), &json!({})).await.expect(200);
    assert_eq!(shop.admin.delete(&path).await.status, 204);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_with_coupons_or_offers_is_archived_instead_of_deleted() {
    let shop = Shop::start().await;
    let draft = async || {
        let created = shop.admin.post("/api/promotions", &percent(json!({"couponOnly": true}))).await.expect(201);
        (created["id"].clone(), format!("/api/promotions/{}", created["id"]))
    };
    let (plain, key, batch, offer) = (draft().await, draft().await, draft().await, draft().await);
    shop.admin.post("/api/coupons", &json!({"code": "KEY1", "promotionId": key.0})).await.expect(201);
    shop.admin.post("/api/coupons/bulk", &json!({"count": 1, "promotionId": batch.0})).await.expect(202);
    let points = json!({"name": "O", "points": 5, "promotionId": offer.0});
    shop.admin.post("/api/rewards/catalogue", &points).await.expect(201);
    assert_eq!(shop.admin.delete(&plain.1).await.status, 204);
    shop.admin.get(&plain.1).await.refused(404, "NOT_FOUND");
    for (_, path) in [key, batch, offer] {
        assert_eq!(shop.admin.delete(&path).await.status, 204);
        assert_eq!(shop.admin.get(&path).await.expect(200)["status"], "ARCHIVED");
    }
    shop.close().await;
}
