//! Segments defined by rules or lists, and audiences.

use promox_contract::campaign::{GetCampaignStates, GetCustomerSegments};
use promox_contract::ids::CampaignId;
use promox_contract::promotion::Customer;
use promox_kernel::{Kind, UserId};
use promox_testkit::{code, pointers};
use serde_json::{Value, json};

use super::Shop;
use crate::{CreateSegment, DeleteSegment, GetSegment, ListSegments, UpdateCampaign, UpdateSegment};

fn customer(id: i64, orders: i64) -> Customer {
    Customer { id: Some(UserId(id)), order_count: orders, ..Customer::default() }
}

async fn segments_of(shop: &Shop, customer: Customer) -> String {
    shop.call(GetCustomerSegments { customer }).await.unwrap().names.join(",")
}

fn loyal() -> Value {
    json!({"name": "LOYAL", "rule": {"all": [{"field": "customer.orderCount", "op": "GTE", "value": 3}]}})
}

#[tokio::test]
async fn customers_are_in_segments_by_rule_or_by_list() {
    let shop = Shop::open();
    shop.ask::<CreateSegment>(loyal()).await.unwrap();
    let made = shop.ask::<CreateSegment>(json!({"name": "FRIENDS", "userIds": [9, 7, 9]})).await.unwrap();
    assert_eq!((&made["userIds"], made.get("rule")), (&json!([7, 9]), None));
    assert_eq!(segments_of(&shop, customer(7, 5)).await, "FRIENDS,LOYAL");
    assert_eq!(segments_of(&shop, customer(8, 2)).await, "");
    assert_eq!(segments_of(&shop, Customer { is_guest: true, order_count: 4, ..Customer::default() }).await, "LOYAL");
    shop.ask::<UpdateSegment>(json!({"id": 2, "userIds": [8]})).await.unwrap();
    assert_eq!(segments_of(&shop, customer(7, 0)).await, "");
    assert_eq!(segments_of(&shop, customer(8, 0)).await, "FRIENDS");
    let rule = json!({"field": "customer.id", "op": "LT", "value": 5});
    let ruled = shop.ask::<UpdateSegment>(json!({"id": 2, "rule": rule, "name": "EARLY"})).await.unwrap();
    assert_eq!((ruled.get("userIds"), ruled["version"].as_i64()), (None, Some(3)));
    assert_eq!(segments_of(&shop, customer(4, 0)).await, "EARLY");
    assert_eq!(segments_of(&shop, customer(8, 0)).await, "");
    let page = shop.ask::<ListSegments>(json!({})).await.unwrap();
    let names: Vec<_> = page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["EARLY", "LOYAL"]);
    shop.verify();
}

#[tokio::test]
async fn an_audience_is_the_union_of_its_segments() {
    let shop = Shop::open();
    shop.ask::<CreateSegment>(loyal()).await.unwrap();
    shop.ask::<CreateSegment>(json!({"name": "FRIENDS", "userIds": [7]})).await.unwrap();
    let id = shop.create(json!({"audience": ["FRIENDS", "LOYAL", "FRIENDS"]})).await;
    shop.change_status(id, "ACTIVE").await.unwrap();
    let within = async |customer: Option<Customer>| {
        let found = shop.call(GetCampaignStates { ids: vec![CampaignId(id), CampaignId(99)], customer }).await.unwrap();
        assert_eq!(found.items.len(), 1, "unknown campaigns are left out");
        found.items[0].in_audience
    };
    assert!(within(Some(customer(7, 0))).await && within(Some(customer(1, 3))).await && within(None).await);
    assert!(within(Some(customer(20, 0))).await, "facts that the caller left out are queried");
    let stated = Customer { segments: vec!["LOYAL".into()], ..Customer::default() };
    assert!(within(Some(stated)).await, "segments that the caller states count");
    assert!(!within(Some(customer(1, 2))).await && !within(Some(Customer::default())).await);
    assert_eq!(code(shop.ask::<DeleteSegment>(json!({"id": 2})).await), "SEGMENT_IN_USE");
    let narrowed = shop.ask::<UpdateCampaign>(json!({"id": id, "audience": ["LOYAL"]})).await.unwrap();
    assert_eq!(narrowed["audience"], json!(["LOYAL"]));
    shop.ask::<DeleteSegment>(json!({"id": 2})).await.unwrap();
    assert_eq!(shop.ask::<GetSegment>(json!({"id": 2})).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(segments_of(&shop, customer(7, 0)).await, "");
    let all = shop.ask::<UpdateCampaign>(json!({"id": id, "audience": null})).await.unwrap();
    assert!(all["audience"].is_null() && within(Some(customer(1, 0))).await);
    shop.verify();
}

#[tokio::test]
async fn a_segment_in_use_cannot_be_renamed_or_deleted() {
    let shop = Shop::open();
    let id = &shop.ask::<CreateSegment>(json!({"name": "NAMED", "userIds": [7]})).await.unwrap()["id"];
    assert_eq!(code(shop.ask::<DeleteSegment>(json!({"id": id})).await), "SEGMENT_IN_USE");
    assert_eq!(code(shop.ask::<UpdateSegment>(json!({"id": id, "name": "OTHER"})).await), "SEGMENT_IN_USE");
    let moved = shop.ask::<UpdateSegment>(json!({"id": id, "name": "NAMED", "userIds": [8]})).await.unwrap();
    assert_eq!(moved["userIds"], json!([8]), "its members can change");
    shop.verify();
}

#[tokio::test]
async fn faults_have_pointers() {
    let shop = Shop::open();
    shop.ask::<CreateSegment>(loyal()).await.unwrap();
    assert_eq!(code(shop.ask::<CreateSegment>(loyal()).await), "SEGMENT_NAME_TAKEN");
    for (body, pointer) in [
        (json!({"name": "A"}), "/rule"),
        (json!({"name": "A", "rule": {"all": []}, "userIds": [1]}), "/rule"),
        (json!({"name": "", "userIds": []}), "/name"),
        (json!({"name": "A", "userIds": [0]}), "/userIds/0"),
        (json!({"name": "A", "userIds": (1..=8_001).collect::<Vec<i64>>()}), "/userIds"),
        (json!({"name": "A", "rule": {"field": "customer.tier", "op": "GT", "value": "GOLD"}}), "/rule/op"),
        (json!({"name": "A", "rule": {"field": "customer.tier", "op": "SAME", "value": "GOLD"}}), "/rule/op"),
        (json!({"name": "A", "rule": {"field": "customer.tier", "op": "EQ", "worth": "GOLD"}}), "/rule/worth"),
    ] {
        assert_eq!(pointers(shop.ask::<CreateSegment>(body.clone()).await), [pointer], "{body}");
    }
    let both = shop.ask::<UpdateSegment>(json!({"id": 1, "rule": null})).await;
    assert_eq!(pointers(both), ["/rule"]);
    shop.verify();
}
