//! `promotion_rules`: the typed rows that are derived from a promotion's document.

use promox_contract::ids::PromotionId;
use promox_storage::StoreError;
use promox_testkit::sample::amount;
use serde_json::{Value, json};

use super::neighbours::Shop;
use crate::api::{ArchivePromotion, DeletePromotion, UpdatePromotion};
use crate::records::{RuleKind, RuleRow};
use crate::rules::{ActionType, Scope};

async fn rows(shop: &Shop, id: PromotionId) -> Vec<RuleRow> {
    let rows = shop.db.read(|tx| tx.scan::<RuleRow>().prefix(id).rows().collect::<Result<Vec<_>, StoreError>>());
    rows.await.unwrap()
}

async fn patch(shop: &Shop, id: PromotionId, mut body: Value) -> Result<(), promox_kernel::Error> {
    body.as_object_mut().unwrap().insert("id".into(), id.0.into());
    shop.call(Shop::read::<UpdatePromotion>(&body)?).await.map(drop)
}

fn nested() -> Value {
    json!({
        "when": {"all": [
            {"field": "cart.subtotal", "op": "GTE", "value": "50.00"},
            {"any": [
                {"field": "customer.tier", "op": "IN", "value": ["GOLD", "DIAMOND"]},
                {"not": {"field": "items.quantity", "op": "LT", "value": 3, "items": {"skus": ["A"]}}},
            ]},
        ]},
        "actions": [
            {"type": "PERCENT_OFF", "value": "20", "scope": "ITEMS", "items": {"categories": [3]}, "maxDiscount": "25.00"},
            {"type": "BUY_X_GET_Y", "buy": {"quantity": 2}, "get": {"quantity": 1, "percentOff": "50"}, "maxApplications": 4},
        ],
    })
}

#[tokio::test]
async fn each_condition_and_action_is_a_typed_row() {
    let shop = Shop::open();
    let id = shop.create(nested()).await.unwrap().id;
    let rows = rows(&shop, id).await;
    let places: Vec<_> = rows.iter().map(|row| (row.position, row.kind, row.pointer.as_str(), row.parent)).collect();
    assert_eq!(
        places,
        [
            (0, RuleKind::All, "/when", None),
            (1, RuleKind::Comparison, "/when/all/0", Some(0)),
            (2, RuleKind::Any, "/when/all/1", Some(0)),
            (3, RuleKind::Comparison, "/when/all/1/any/0", Some(2)),
            (4, RuleKind::Not, "/when/all/1/any/1", Some(2)),
            (5, RuleKind::Comparison, "/when/all/1/any/1/not", Some(4)),
            (6, RuleKind::Action, "/actions/0", None),
            (7, RuleKind::Action, "/actions/1", None),
        ]
    );
    assert_eq!((rows[1].field.as_deref(), &rows[1].operand.0), (Some("cart.subtotal"), &Some(json!("50.00"))));
    assert_eq!(rows[3].operand.0, Some(json!(["GOLD", "DIAMOND"])));
    assert_eq!(rows[5].items.as_ref().unwrap().skus.as_ref().unwrap().len(), 1);
    let (first, second) = (&rows[6], &rows[7]);
    assert_eq!((first.action, first.scope), (Some(ActionType::PercentOff), Some(Scope::Items)));
    assert_eq!((first.value, first.max_discount), (Some(amount("20")), Some(amount("25.00"))));
    assert_eq!(first.items.as_ref().unwrap().categories, Some(vec![3]));
    assert_eq!((second.action, second.max_applications), (Some(ActionType::BuyXGetY), Some(4)));
    assert_eq!(second.get.as_ref().unwrap().percent_off, Some(amount("50")));
    shop.verify();
}

#[tokio::test]
async fn the_rows_change_and_are_deleted_with_the_document() {
    let shop = Shop::open();
    let id = shop.create(nested()).await.unwrap().id;
    let before = rows(&shop, id).await;
    patch(&shop, id, json!({"actions": [{"type": "PERCENT_OFF", "value": "101"}]})).await.unwrap_err();
    patch(&shop, id, json!({"name": "Only the name"})).await.unwrap();
    assert_eq!(rows(&shop, id).await, before);
    patch(&shop, id, json!({"when": null, "actions": [{"type": "FREE_SHIPPING"}]})).await.unwrap();
    let after = rows(&shop, id).await;
    assert_eq!(
        after.iter().map(|row| (row.position, row.action)).collect::<Vec<_>>(),
        [(0, Some(ActionType::FreeShipping))]
    );
    shop.verify();
    shop.call(DeletePromotion { id }).await.unwrap();
    assert_eq!(rows(&shop, id).await, []);
    let kept = shop.active(nested()).await;
    shop.call(ArchivePromotion { id: kept }).await.unwrap();
    assert_eq!(rows(&shop, kept).await.len(), before.len(), "an archived promotion keeps its document");
    shop.verify();
}

#[tokio::test]
async fn the_auditor_finds_rows_that_differ_from_the_document() {
    let shop = Shop::open();
    let id = shop.create(nested()).await.unwrap().id;
    let rows = rows(&shop, id).await;
    let other = RuleRow { value: Some(amount("21")), ..rows[6].clone() };
    let stray = RuleRow { promotion_id: PromotionId(4_711), ..rows[0].clone() };
    for (wrong, key) in [(other.clone(), (id, other.position)), (stray.clone(), (stray.promotion_id, 0))] {
        shop.db.write(&shop.cx(), move |tx| tx.put(&wrong)).await.unwrap();
        assert_eq!(shop.findings().len(), 1, "{key:?}");
        let right = rows[6].clone();
        let repair = move |tx: &mut promox_storage::Tx<'_>| {
            tx.delete::<RuleRow>(&key)?;
            tx.put(&right)
        };
        shop.db.write(&shop.cx(), repair).await.unwrap();
        shop.verify();
    }
    shop.db.write(&shop.cx(), move |tx| tx.delete::<RuleRow>(&(id, 2))).await.unwrap();
    assert_eq!(shop.findings().len(), 1);
}
