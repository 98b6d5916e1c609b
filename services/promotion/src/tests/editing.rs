//! Promotions are created, updated, moved between statuses, and deleted.

use promox_contract::promotion::{DescribePromotions, FindPromotionCodes};
use promox_kernel::Kind;
use serde_json::{Value, json};

use super::neighbours::Shop;
use crate::api::{
    ActivatePromotion, ArchivePromotion, DeletePromotion, GetPromotion, ListPromotions, PausePromotion,
    PromotionStatus, UpdatePromotion,
};
use crate::rules::{ActionSpec, Members, Per, Scope, StackingMode, WhenShort};

async fn patch(shop: &Shop, mut body: Value, id: i64) -> Result<crate::api::PromotionView, promox_kernel::Error> {
    body.as_object_mut().unwrap().insert("id".into(), id.into());
    shop.call(Shop::read::<UpdatePromotion>(&body)?).await
}

#[tokio::test]
async fn defaults_are_stored_and_shown() {
    let shop = Shop::open();
    let body = json!({"limits": {"total": 5}, "actions": [
        {"type": "AMOUNT_OFF", "value": 5}, {"type": "AMOUNT_OFF", "value": "1.5", "scope": "ITEMS"}, {"type": "FREE_SHIPPING"},
    ]});
    let made = shop.create(body).await.unwrap();
    assert_eq!((made.status, made.version, made.uses, made.priority), (PromotionStatus::Draft, 1, 0, 0));
    assert_eq!(made.stacking.mode, Some(StackingMode::Stackable));
    assert_eq!(made.limits.unwrap().when_short, Some(WhenShort::Refuse));
    let members = |action: &ActionSpec| Members::from(action.clone());
    let actions: Vec<_> = made.actions.iter().map(members).map(|action| (action.scope, action.per)).collect();
    let items = (Some(Scope::Items), Some(Per::Unit));
    assert_eq!(actions, [(Some(Scope::Order), Some(Per::Order)), items, (None, None)]);
    let price_rule = shop.create(json!({"stage": "CATALOG"})).await.unwrap();
    assert_eq!(
        (price_rule.stacking.mode, members(&price_rule.actions[0]).scope),
        (Some(StackingMode::Exclusive), Some(Scope::Items))
    );
    shop.verify();
}

#[tokio::test]
async fn amounts_are_stored_in_the_currencys_scale() {
    let shop = Shop::open();
    let cheap = json!({"maxPrice": 9});
    let body = json!({"limits": {"budget": "5"}, "when": {"not": {"field": "items.quantity", "op": "GTE", "value": 2, "items": cheap}}, "actions": [
        {"type": "AMOUNT_OFF", "value": 5, "items": {"exclude": cheap}},
        {"type": "PERCENT_OFF", "value": "5.0", "maxDiscount": "1.5"},
        {"type": "BUNDLE_PRICE", "parts": [{"items": cheap, "quantity": 2}], "price": 1},
        {"type": "TIERED", "basis": "SUBTOTAL", "tiers": [{"from": 10, "amountOff": "1"}]},
        {"type": "TIERED", "basis": "QUANTITY", "tiers": [{"from": 10, "unitPrice": "1"}]},
    ]});
    let made = serde_json::to_value(shop.create(body).await.unwrap()).unwrap();
    for (pointer, want) in [
        ("/limits/budget", "5.00"),
        ("/when/not/items/maxPrice", "9.00"),
        ("/actions/0/value", "5.00"),
        ("/actions/0/items/exclude/maxPrice", "9.00"),
        ("/actions/1/value", "5.0"),
        ("/actions/1/maxDiscount", "1.50"),
        ("/actions/2/parts/0/items/maxPrice", "9.00"),
        ("/actions/2/price", "1.00"),
        ("/actions/3/tiers/0/from", "10.00"),
        ("/actions/3/tiers/0/amountOff", "1.00"),
        ("/actions/4/tiers/0/from", "10"),
        ("/actions/4/tiers/0/unitPrice", "1.00"),
    ] {
        assert_eq!(made.pointer(pointer), Some(&json!(want)), "{pointer}");
    }
}

#[tokio::test]
async fn faults_and_unknown_members_have_pointers() {
    let shop = Shop::open();
    for (body, pointer) in [
        (json!({"actions": [{"type": "PERCENT_OFF", "value": "101"}]}), "/actions/0/value"),
        (json!({"actions": [{"type": "PERCENT_OFF", "valeu": "10"}]}), "/actions/0/valeu"),
        (json!({"actions": [{"type": "PERCENT"}]}), "/actions/0/type"),
        (json!({"when": {"field": "cart.subtotal", "op": "GTE", "value": "x"}}), "/when/value"),
        (json!({"when": {"field": "cart.subtotal", "op": "GT", "value": 1, "itmes": {}}}), "/when/itmes"),
        (json!({"when": {"all": [{"field": "a", "op": "MORE", "value": 1}]}}), "/when/all/0/op"),
        (json!({"id": 7}), "/id"),
        (json!({"campaignId": 9}), "/campaignId"),
        (
            json!({"actions": [{"type": "FREE_SHIPPING"}, {"type": "GIFT", "sku": "NONE", "quantity": 1}]}),
            "/actions/1/sku",
        ),
        (json!({"limits": {"periods": [{"per": "USER", "period": "YEAR", "count": 1}]}}), "/limits/periods/0/period"),
    ] {
        let error = shop.create(body.clone()).await.unwrap_err();
        assert_eq!((error.kind(), error.errors()[0].pointer.as_str()), (Kind::Schema, pointer), "{body}");
    }
}

#[tokio::test]
async fn a_code_belongs_to_one_promotion_or_coupon() {
    let shop = Shop::open();
    let first = shop.create(json!({"code": "Summer 2024"})).await.unwrap();
    assert_eq!(first.code.as_deref(), Some("Summer 2024"));
    for code in ["SUMMER2024", "summer-20 24", "sum_mer2024", "cou-pon"] {
        assert_eq!(shop.create(json!({"code": code})).await.unwrap_err().code(), "CODE_TAKEN", "{code}");
    }
    let taken = shop.call(FindPromotionCodes { codes: vec!["SUMMER2024".into(), "OTHER".into()] }).await.unwrap().taken;
    assert_eq!(taken, ["SUMMER2024"]);
    shop.call(ArchivePromotion { id: first.id }).await.unwrap();
    assert!(shop.create(json!({"code": "summer2024"})).await.is_ok());
    shop.verify();
}

#[tokio::test]
async fn statuses_allow_only_certain_transitions() {
    let shop = Shop::open();
    let id = shop.create(json!({})).await.unwrap().id;
    let refused = shop.call(PausePromotion { id }).await.unwrap_err();
    assert_eq!((refused.code(), &refused.members()["allowed"]), ("INVALID_TRANSITION", &json!(["ACTIVE", "ARCHIVED"])));
    assert_eq!(shop.call(ActivatePromotion { id }).await.unwrap().version, 2);
    assert_eq!(shop.call(ActivatePromotion { id }).await.unwrap().version, 2);
    assert_eq!(shop.call(PausePromotion { id }).await.unwrap().status, PromotionStatus::Paused);
    assert_eq!(shop.call(ActivatePromotion { id }).await.unwrap().status, PromotionStatus::Active);
    shop.call(DeletePromotion { id }).await.unwrap();
    assert_eq!(shop.call(GetPromotion { id }).await.unwrap().status, PromotionStatus::Archived);
    assert_eq!(shop.call(ActivatePromotion { id }).await.unwrap_err().code(), "INVALID_TRANSITION");
    let draft = shop.create(json!({})).await.unwrap().id;
    shop.call(DeletePromotion { id: draft }).await.unwrap();
    assert_eq!(shop.call(GetPromotion { id: draft }).await.unwrap_err().kind(), Kind::NotFound);
    shop.verify();
}

#[tokio::test]
async fn patches_merge_and_check_the_version() {
    let shop = Shop::open();
    let made = shop.create(json!({"code": "A", "limits": {"total": 5, "perUser": 1}})).await.unwrap();
    let id = made.id.0;
    let body = json!({"name": "Other", "limits": {"total": 9}, "code": null, "actions": [{"type": "FREE_SHIPPING"}]});
    let after = patch(&shop, body, id).await.unwrap();
    let limits = after.limits.unwrap();
    assert_eq!((after.name.as_str(), after.code, after.version), ("Other", None, 2));
    assert_eq!((limits.total, limits.per_user), (Some(9), Some(1)));
    assert_eq!(after.actions.len(), 1);
    let error = patch(&shop, json!({"limits": {"totla": 1}}), id).await.unwrap_err();
    assert_eq!(error.errors()[0].pointer, "/limits/totla");
    let error = patch(&shop, json!({"name": null}), id).await.unwrap_err();
    assert_eq!(error.errors()[0].pointer, "/name");
    let mut cx = shop.cx();
    cx.if_match = Some(1.into());
    let stale = shop.service.clone();
    let op = Shop::read::<UpdatePromotion>(&json!({"id": id, "name": "X"})).unwrap();
    let error = promox_kernel::Handle::handle(&*stale, &cx, op).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Precondition);
    shop.verify();
}

#[tokio::test]
async fn a_complete_condition_replaces_and_a_partial_one_merges() {
    let shop = Shop::open();
    let subtotal =
        |value: &str| json!({"field": "items.subtotal", "op": "GTE", "value": value, "items": {"skus": ["A"]}});
    let id = shop.create(json!({"when": subtotal("50.00")})).await.unwrap().id.0;
    for (when, want) in [
        (json!({"value": "60.00"}), subtotal("60.00")),
        (json!({"op": "GT", "items": null}), json!({"field": "items.subtotal", "op": "GT", "value": "60.00"})),
        (json!({"all": [subtotal("5.00")]}), json!({"all": [subtotal("5.00")]})),
        (subtotal("7.00"), subtotal("7.00")),
        (json!(null), json!(null)),
    ] {
        let after = patch(&shop, json!({"when": when}), id).await.unwrap();
        assert_eq!(serde_json::to_value(&after.when).unwrap(), want, "{when}");
    }
}

#[tokio::test]
async fn lists_are_filtered_and_names_are_described() {
    let shop = Shop::open();
    for name in ["Red", "Green", "Blue"] {
        shop.create(json!({"name": name})).await.unwrap();
    }
    let red = shop.active(json!({"name": "Dark red", "code": "DARK"})).await;
    let names = |op: ListPromotions| {
        let shop = &shop;
        async move { shop.call(op).await.unwrap().items.into_iter().map(|item| item.name).collect::<Vec<_>>() }
    };
    assert_eq!(names(ListPromotions::default()).await, ["Dark red", "Blue", "Green", "Red"]);
    let active = ListPromotions { status: Some(PromotionStatus::Active), ..ListPromotions::default() };
    assert_eq!(names(active).await, ["Dark red"]);
    let found = ListPromotions { q: Some("RED".into()), ..ListPromotions::default() };
    assert_eq!(names(found).await, ["Dark red", "Red"]);
    let described =
        shop.call(DescribePromotions { ids: vec![red, promox_contract::ids::PromotionId(99)] }).await.unwrap();
    assert_eq!(described.items.iter().map(|item| item.name.as_str()).collect::<Vec<_>>(), ["Dark red"]);
}
