//! Counts, adjustments, the ledger, lists and events.

use crate::api::{AdjustStock, CountStock, ListMovements, ListStock};
use promox_contract::inventory::{SetStock, StockCount};
use promox_kernel::{Error, Kind, Limit};

use super::shop::Shop;

async fn adjust(shop: &Shop, sku: &str, delta: i64, location: Option<&str>) -> Result<i64, Error> {
    let (sku, location) = (sku.parse().unwrap(), location.map(str::to_owned));
    shop.call(AdjustStock { sku, delta, reason: "delivery 7".into(), location }).await.map(|view| view.on_hand)
}

#[tokio::test]
async fn counts_and_adjustments_add_movements_to_the_ledger() {
    let shop = Shop::open();
    let view = shop.stock("85123A", 10).await;
    assert_eq!((view.on_hand, view.available, view.version), (10, 10, 1));
    assert_eq!(shop.count("85123a", 4, Some("shop"), None).await.unwrap().on_hand, 14);
    assert_eq!(adjust(&shop, "85123A", -3, None).await.unwrap(), 11);
    let view = shop.stock("85123A", 7).await;
    let places: Vec<_> = view.locations.iter().map(|location| (location.location.as_str(), location.on_hand)).collect();
    assert_eq!(places, [("MAIN", 7), ("SHOP", 4)]);
    let op = ListMovements { sku: "85123A".parse().unwrap(), limit: Limit::default(), cursor: None };
    let page = shop.call(op).await.unwrap();
    let ledger: Vec<_> =
        page.items.iter().map(|item| (item.id, item.kind.as_str(), item.delta, item.on_hand)).collect();
    assert_eq!(ledger, [(3, "ADJUSTMENT", -3, 11), (2, "COUNT", 4, 14), (1, "COUNT", 10, 10)]);
    shop.verify();
}

#[tokio::test]
async fn stock_cannot_go_below_the_reserved_units() {
    let shop = Shop::open();
    shop.stock("A", 5).await;
    shop.hold(1, &[("A", 3)]).await.unwrap();
    for refused in [adjust(&shop, "A", -3, None).await.err(), shop.count("A", 2, None, None).await.err()] {
        assert_eq!(
            refused.map(|error| (error.kind(), error.code().to_owned())),
            Some((Kind::Conflict, "STOCK_RESERVED".into()))
        );
    }
    assert_eq!(adjust(&shop, "A", -2, None).await.unwrap(), 3);
    assert_eq!(shop.available("A").await, 0);
    shop.verify();
}

#[tokio::test]
async fn invalid_requests_are_refused_with_pointers() {
    let shop = Shop::open();
    shop.stock("A", 5).await;
    let count = |on_hand, location: &str, threshold| CountStock {
        sku: "A".parse().unwrap(),
        on_hand,
        location: Some(location.into()),
        low_stock_threshold: threshold,
        backorder: None,
    };
    for (op, pointer) in [
        (count(-1, "MAIN", None), "/onHand"),
        (count(1_000_000_001, "MAIN", None), "/onHand"),
        (count(1, "a b", None), "/location"),
        (count(1, "MAIN", Some(-1)), "/lowStockThreshold"),
    ] {
        assert_eq!(shop.call(op).await.unwrap_err().errors()[0].pointer, pointer);
    }
    let bad = AdjustStock { sku: "A".parse().unwrap(), delta: 0, reason: "x".into(), location: None };
    assert_eq!(shop.call(bad).await.unwrap_err().errors()[0].pointer, "/delta");
    assert_eq!(adjust(&shop, "nope", 1, None).await.unwrap_err().kind(), Kind::NotFound);
    let mut cx = shop.cx();
    cx.if_match = Some(7.into());
    let stale = shop.run(cx, count(1, "MAIN", None)).await.unwrap_err();
    assert_eq!(stale.kind(), Kind::Precondition);
    assert_eq!(shop.on_hand_and_reserved("A").await, (5, 0));
    shop.verify();
}

#[tokio::test]
async fn low_stock_is_listed_and_emitted_once() {
    let shop = Shop::open();
    for (sku, on_hand) in [("A-1", 9), ("A-2", 3), ("B-1", 1), ("b-2", 8)] {
        let op = CountStock {
            sku: sku.parse().unwrap(),
            on_hand,
            location: None,
            low_stock_threshold: Some(3),
            backorder: None,
        };
        shop.call(op).await.unwrap();
    }
    let list = async |low_stock, q: Option<&str>| {
        let op = ListStock { low_stock, q: q.map(str::to_owned), limit: Limit::default(), cursor: None };
        let page = shop.call(op).await.unwrap();
        page.items.into_iter().map(|item| item.sku.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(list(Some(true), None).await, ["A-2", "B-1"]);
    assert_eq!(list(Some(true), Some("b")).await, ["B-1"]);
    assert_eq!(list(Some(false), None).await, ["A-1", "b-2"]);
    assert_eq!(list(None, Some("B-")).await, ["B-1", "b-2"]);
    let before = shop.event_types("STOCK").await.len();
    shop.hold(1, &[("A-1", 5)]).await.unwrap();
    assert_eq!(shop.event_types("STOCK").await.len(), before, "a hold that crosses no threshold emits no event");
    shop.hold(2, &[("A-1", 1)]).await.unwrap();
    assert_eq!(shop.event_types("STOCK").await[before..], ["STOCK_CHANGED", "STOCK_LOW"]);
    shop.hold(3, &[("A-1", 3)]).await.unwrap();
    assert_eq!(shop.event_types("STOCK").await[before + 2..], ["STOCK_CHANGED"]);
    assert_eq!(list(Some(true), None).await, ["A-1", "A-2", "B-1"]);
    shop.verify();
}

#[tokio::test]
async fn backorder_cannot_be_switched_off_while_units_are_owed() {
    let shop = Shop::open();
    shop.count("A", 2, None, Some(true)).await.unwrap();
    assert_eq!(shop.available("A").await, u32::MAX);
    shop.hold(1, &[("A", 5)]).await.unwrap();
    shop.confirm(1).await;
    shop.consume().await;
    assert_eq!(shop.on_hand_and_reserved("A").await, (-3, 0));
    let refused = shop.count("A", 0, None, Some(false)).await.map(|view| view.on_hand);
    assert_eq!(refused.unwrap(), 0, "a count sets the stock and settles the owed units");
    shop.hold(2, &[("A", 4)]).await.unwrap_err();
    shop.count("A", 1, None, Some(true)).await.unwrap();
    shop.hold(2, &[("A", 4)]).await.unwrap();
    assert_eq!(shop.count("A", 2, None, Some(false)).await.unwrap_err().code(), "STOCK_OWED");
    assert_eq!(adjust(&shop, "A", 5, None).await.unwrap(), 6);
    shop.count("A", 6, None, Some(false)).await.unwrap();
    assert_eq!(shop.available("A").await, 2);
    shop.verify();
}

#[tokio::test]
async fn an_import_counts_only_skus_without_stock() {
    let shop = Shop::open();
    shop.stock("SKU-7", 5).await;
    shop.hold(1, &[("SKU-7", 4)]).await.unwrap();
    let count = |n: u32| StockCount { sku: format!("sku-{n}").parse().unwrap(), on_hand: n % 9 };
    let mut items: Vec<StockCount> = (0..450).map(count).collect();
    items[8].on_hand = 2_000_000_000;
    let taken = shop.call(SetStock { items: items.clone() }).await.unwrap();
    assert_eq!((taken.refused, taken.kept), (vec!["SKU-8".parse().unwrap()], 1));
    let again = shop.call(SetStock { items }).await.unwrap();
    assert_eq!((again.refused.len(), again.kept), (1, 449), "repeating an import changes no stock");
    assert_eq!(shop.on_hand_and_reserved("SKU-7").await, (5, 4));
    assert_eq!(shop.available("sku-449").await, 8);
    shop.verify();
}
