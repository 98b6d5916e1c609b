//! Holds: all items or none, once per reference, units returned to their locations, and concurrent buyers.

use std::time::Duration;

use crate::api::{
    ConfirmReservation, CreateReservation, GetReservation, GetStock, ListMovements, ReleaseReservation,
    ReservationStatus as Status,
};
use promox_contract::ids::ReservationId;
use promox_kernel::{Kind, Limit};
use tokio::task::JoinSet;

use super::shop::{Shop, by_sku, items};

fn reserve(reference: &str, wanted: &[(&str, u32)], ttl_seconds: u32) -> CreateReservation {
    CreateReservation { reference: reference.into(), items: by_sku(wanted), ttl_seconds }
}

#[tokio::test]
async fn a_hold_takes_all_or_nothing_and_reports_every_short_sku() {
    let shop = Shop::open();
    shop.stock("A", 5).await;
    shop.stock("B", 1).await;
    let error = shop.hold(1, &[("A", 2), ("b", 2), ("unknown", 1)]).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "INSUFFICIENT_STOCK"));
    let short = serde_json::json!([
        {"sku": "b", "asked": 2, "available": 1},
        {"sku": "unknown", "asked": 1, "available": 0},
    ]);
    assert_eq!(error.members()["items"], short);
    assert_eq!((shop.on_hand_and_reserved("A").await, shop.on_hand_and_reserved("B").await), ((5, 0), (1, 0)));
    let first = shop.hold(1, &[("a", 5)]).await.unwrap();
    assert_eq!(shop.hold(1, &[("a", 5)]).await.unwrap(), first, "a repeated hold takes the units once");
    assert_eq!(shop.on_hand_and_reserved("A").await, (5, 5));
    shop.verify();
}

#[tokio::test]
async fn an_order_is_held_sold_returned_and_cancelled() {
    let shop = Shop::open();
    shop.stock("A", 2).await;
    shop.count("A", 3, Some("SHOP"), None).await.unwrap();
    shop.hold(1, &[("A", 4)]).await.unwrap();
    shop.confirm(1).await;
    shop.confirm(1).await;
    shop.consume().await;
    assert_eq!(shop.on_hand_and_reserved("A").await, (1, 0));
    shop.restock("return:1", 1, &[("A", 1)]).await.unwrap();
    shop.restock("return:1", 1, &[("A", 1)]).await.unwrap();
    assert_eq!(shop.on_hand_and_reserved("A").await, (2, 0));
    assert_eq!(shop.restock("return:2", 1, &[("A", 4)]).await.unwrap_err().code(), "RESTOCK_EXCEEDS_SOLD");
    shop.release_order(1).await.unwrap();
    shop.release_order(1).await.unwrap();
    let view = shop.call(GetStock { sku: "A".parse().unwrap() }).await.unwrap();
    let places: Vec<_> = view.locations.iter().map(|location| (location.location.as_str(), location.on_hand)).collect();
    assert_eq!(places, [("MAIN", 2), ("SHOP", 3)], "each unit is back at the location it came from");
    let op = ListMovements { sku: "A".parse().unwrap(), limit: Limit::default(), cursor: None };
    let page = shop.call(op).await.unwrap();
    let ledger: Vec<_> =
        page.items.iter().map(|item| (item.kind.as_str(), item.delta, item.location.as_str())).collect();
    let want = [
        ("CANCEL", 2, "SHOP"),
        ("CANCEL", 1, "MAIN"),
        ("RETURN", 1, "MAIN"),
        ("SALE", -2, "SHOP"),
        ("SALE", -2, "MAIN"),
        ("COUNT", 3, "SHOP"),
        ("COUNT", 2, "MAIN"),
    ];
    assert_eq!(ledger, want);
    shop.verify();
}

#[tokio::test]
async fn late_requests_do_not_revive_an_ended_hold() {
    let shop = Shop::open();
    shop.stock("A", 5).await;
    shop.hold(1, &[("A", 1)]).await.unwrap();
    shop.release_order(1).await.unwrap();
    shop.confirm(1).await;
    shop.consume().await;
    assert_eq!(shop.on_hand_and_reserved("A").await, (5, 0), "a confirmation after the release changes nothing");
    assert_eq!(shop.hold(1, &[("A", 1)]).await.unwrap_err().code(), "RESERVATION_ENDED");
    shop.release_order(2).await.unwrap();
    assert_eq!(shop.hold(2, &[("A", 1)]).await.unwrap_err().code(), "RESERVATION_ENDED");
    assert_eq!(shop.restock("return:9", 1, &[("A", 1)]).await.unwrap_err().code(), "RESERVATION_ENDED");
    shop.restock("return:10", 99, &[("A", 2), ("never", 1)]).await.unwrap();
    assert_eq!(
        shop.on_hand_and_reserved("A").await,
        (7, 0),
        "units of an order without a hold go to the default location"
    );
    assert_eq!(shop.on_hand_and_reserved("never").await, (1, 0), "a SKU that was never counted gets a row");
    shop.verify();
}

#[tokio::test]
async fn a_return_may_arrive_before_the_confirmation() {
    let shop = Shop::open();
    shop.stock("A", 5).await;
    shop.hold(1, &[("A", 3)]).await.unwrap();
    shop.confirm(1).await;
    shop.restock("return:1", 1, &[("A", 2)]).await.unwrap();
    shop.consume().await;
    assert_eq!(shop.on_hand_and_reserved("A").await, (4, 0));
    shop.verify();
}

#[tokio::test]
async fn a_reference_has_one_reservation_and_it_expires() {
    let shop = Shop::open();
    shop.stock("A", 5).await;
    let made = shop.call(reserve("x", &[("A", 3)], 60)).await.unwrap();
    assert_eq!((made.status, made.items.len()), (Status::Held, 1));
    assert_eq!(shop.call(reserve("x", &[("a", 3)], 60)).await.unwrap().id, made.id);
    assert_eq!(shop.call(reserve("x", &[("A", 2)], 60)).await.unwrap_err().code(), "REFERENCE_TAKEN");
    assert_eq!(shop.call(reserve("order:1", &[("A", 2)], 60)).await.unwrap_err().kind(), Kind::Schema);
    assert!(!shop.sweep().await);
    shop.advance(Duration::from_mins(1));
    let late = shop.call(ConfirmReservation { id: made.id }).await.unwrap_err();
    assert_eq!(late.code(), "RESERVATION_EXPIRED");
    assert_eq!(shop.call(GetReservation { id: made.id }).await.unwrap().status, Status::Expired);
    shop.sweep().await;
    assert_eq!(shop.on_hand_and_reserved("A").await, (5, 0));
    assert_eq!(shop.call(ReleaseReservation { id: made.id }).await.unwrap().status, Status::Expired);
    assert_eq!(shop.call(ConfirmReservation { id: made.id }).await.unwrap_err().code(), "RESERVATION_ENDED");
    shop.verify();
}

#[tokio::test]
async fn reservations_are_confirmed_or_released_once() {
    let shop = Shop::open();
    shop.stock("A", 5).await;
    let one = shop.call(reserve("one", &[("A", 3)], 60)).await.unwrap().id;
    let two = shop.call(reserve("two", &[("A", 2)], 60)).await.unwrap().id;
    for _ in 0..2 {
        assert_eq!(shop.call(ConfirmReservation { id: one }).await.unwrap().status, Status::Confirmed);
        assert_eq!(shop.call(ReleaseReservation { id: two }).await.unwrap().status, Status::Released);
    }
    assert_eq!(shop.call(ReleaseReservation { id: one }).await.unwrap_err().code(), "RESERVATION_ENDED");
    assert_eq!(shop.on_hand_and_reserved("A").await, (2, 0));
    let order = shop.hold(7, &[("A", 1)]).await.unwrap();
    for error in [
        shop.call(ConfirmReservation { id: ReservationId(order) }).await.unwrap_err(),
        shop.call(ReleaseReservation { id: ReservationId(order) }).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), "RESERVATION_PINNED");
    }
    shop.advance(Duration::from_secs(1_000_000));
    shop.sweep().await;
    assert_eq!(shop.on_hand_and_reserved("A").await, (2, 1), "an order's hold never expires");
    shop.verify();
}

#[tokio::test]
async fn sweeps_end_expired_reservations_in_bounded_batches() {
    let shop = Shop::open();
    shop.stock("A", 1_000).await;
    for n in 0..450 {
        shop.call(reserve(&format!("r{n}"), &[("A", 2)], 60)).await.unwrap();
    }
    shop.advance(Duration::from_secs(61));
    let mut sweeps = 1;
    while shop.sweep().await {
        sweeps += 1;
    }
    assert_eq!((sweeps, shop.on_hand_and_reserved("A").await), (3, (1_000, 0)));
    shop.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_units_are_sold_once() {
    let shop = Shop::open();
    shop.stock("A", 40).await;
    shop.stock("B", 30).await;
    let mut buyers = JoinSet::new();
    for order in 1..=200 {
        let cx = shop.cx();
        buyers.spawn(async move {
            let wanted = if order % 2 == 0 { items(&[("A", 1), ("B", 1)]) } else { items(&[("B", 1), ("A", 2)]) };
            let order_id = promox_contract::ids::OrderId(order);
            let held = cx.call(promox_contract::inventory::HoldStock { order_id, items: wanted }).await.is_ok();
            if held && order % 5 == 0 {
                cx.call(promox_contract::inventory::ReleaseStock { order_id }).await.unwrap();
            }
            (order, held)
        });
    }
    let outcomes = buyers.join_all().await;
    for (order, _) in outcomes.iter().filter(|(order, held)| *held && order % 5 != 0) {
        shop.confirm(*order).await;
    }
    let bought: i64 =
        outcomes.iter().filter(|(order, held)| *held && order % 5 != 0).map(|(order, _)| 1 + order % 2).sum();
    shop.consume().await;
    assert_eq!(shop.on_hand_and_reserved("A").await, (40 - bought, 0));
    assert!((35..=40).contains(&bought), "{bought} units were sold, although more buyers could be served");
    shop.verify();
}
