//! Reservations are granted, refused, raced for, released and expired; gates agree with the rows after a restart.

use promox_testkit::sample::sku;
use std::time::Duration;

use promox_contract::ids::{FlashReservationId, FlashSaleId};
use promox_kernel::{Error, Kind};
use tokio::task::JoinSet;

use super::market::{Market, START, item};
use crate::api::SaleStatus;
use promox_storage::Service as _;
use promox_storage::conformance::RemoteGates;

/// The numbers of results that succeeded, were sold out and reached the limit.
fn codes(results: &[Result<FlashReservationId, Error>]) -> (usize, usize, usize) {
    let count =
        |code: &str| results.iter().filter(|result| result.as_ref().is_err_and(|error| error.code() == code)).count();
    (results.iter().filter(|result| result.is_ok()).count(), count("SOLD_OUT"), count("LIMIT_REACHED"))
}

/// Makes many reservations at once, each given by a user and a quantity.
async fn rush(market: &Market, id: FlashSaleId, requests: Vec<(i64, u32)>) -> Vec<Result<FlashReservationId, Error>> {
    let mut buyers = JoinSet::new();
    for (user, quantity) in requests {
        let (node, cx) = (market.node.clone(), market.user(user));
        buyers.spawn(async move {
            let made = node.registry()?.call(cx, Market::reservation(id, "A", quantity)).await?;
            Ok(made.reservation_id)
        });
    }
    buyers.join_all().await
}

#[tokio::test]
async fn a_reservation_has_a_price_and_an_expiry() {
    let market = Market::open();
    let id = market.started(vec![item("A", 10, Some(3))]).await;
    let made = market.reserve(id, 7, 2).await.unwrap();
    assert_eq!((made.reservation_id.0, made.unit_price.to_string().as_str()), (1, "4.50"));
    assert_eq!(made.expires_at, START + Duration::from_secs(660));
    assert_eq!(market.first(id).await, (8, 0));
    market.wait(3600 - 60 - 100).await;
    let late = market.reserve(id, 8, 1).await.unwrap();
    assert_eq!(late.expires_at, START + Duration::from_hours(1), "no reservation outlasts the sale");
    market.verify();
}

#[tokio::test]
async fn accounts_of_one_mailbox_share_a_limit_if_the_store_ignores_plus_tags() {
    let market = Market::open();
    let id = market.started(vec![item("A", 10, Some(2))]).await;
    let (one, other, stranger) = (900_070, 900_071, 900_090);
    let first = market.granted(id, one, 1).await;
    market.granted(id, other, 1).await;
    for user in [one, other, 900_072] {
        assert_eq!(market.reserve(id, user, 1).await.unwrap_err().code(), "LIMIT_REACHED");
    }
    market.granted(id, stranger, 2).await;
    market.release_reservation(id, one, first).await.unwrap();
    market.granted(id, 900_072, 1).await;
    market.verify();
}

#[tokio::test]
async fn refused_reservations_have_a_code() {
    let market = Market::open();
    let id = market.make(vec![item("A", 10, Some(3))]).await;
    let code = |result: Result<_, Error>| result.map(drop).unwrap_err().code().to_owned();
    assert_eq!(code(market.reserve(id, 1, 1).await), "NOT_ACTIVE");
    market.wait(60).await;
    assert_eq!(code(market.reserve(id, 1, 4).await), "LIMIT_REACHED");
    market.granted(id, 1, 2).await;
    assert_eq!(code(market.reserve(id, 1, 2).await), "LIMIT_REACHED");
    assert_eq!(code(market.reserve(FlashSaleId(9), 1, 1).await), "NOT_FOUND");
    for user in 2..=4 {
        market.granted(id, user, 2 + u32::from(user == 4)).await;
    }
    let sold_out = market.reserve(id, 5, 2).await.unwrap_err();
    assert_eq!((sold_out.code(), sold_out.members()["remaining"].as_i64()), ("SOLD_OUT", Some(1)));
    let elsewhere = market.run(market.user(1), Market::reservation(id, "B", 1)).await.unwrap_err();
    assert_eq!(elsewhere.errors()[0].pointer, "/sku");
    assert_eq!(market.reserve(id, 1, 0).await.unwrap_err().errors()[0].pointer, "/quantity");
    assert_eq!(market.call(Market::reservation(id, "A", 1)).await.unwrap_err().kind(), Kind::Forbidden);
    market.advance(Duration::from_hours(1));
    assert_eq!(code(market.reserve(id, 5, 1).await), "NOT_ACTIVE", "the sale is over even before the job has ended it");
    market.verify();
}

#[tokio::test]
async fn a_keyed_reservation_stores_its_reply_with_its_effect() {
    let market = Market::open();
    let id = market.started(vec![item("A", 10, None)]).await;
    let cx = promox_kernel::Cx { claim: market.keyed("k").claim, ..market.user(1) };
    market.run(cx.clone(), Market::reservation(id, "A", 1)).await.unwrap();
    let kept = market.db.recall(cx.claim.as_ref().unwrap()).await.unwrap();
    assert!(matches!(kept, promox_storage::Recall::Decided(response) if response.status == 201));
    market.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_buyers_reserve_each_unit_once() {
    let market = Market::open();
    let id = market.started(vec![item("A", 50, Some(2))]).await;
    let results = rush(&market, id, (0..300).map(|n| (1 + n % 150, 1)).collect()).await;
    assert_eq!(codes(&results), (50, 250, 0));
    assert_eq!((market.first(id).await, market.sale(id).await.status), ((0, 0), SaleStatus::SoldOut));
    assert_eq!(market.sale_events().await, ["STARTED", "SOLD_OUT"]);
    market.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_users_limit_is_exact_under_concurrency() {
    let market = Market::open();
    let id = market.started(vec![item("A", 100, Some(5))]).await;
    let results = rush(&market, id, (0..200).map(|n| (1 + n % 4, 1)).collect()).await;
    assert_eq!(codes(&results), (20, 0, 180));
    assert_eq!(market.first(id).await, (80, 0));
    market.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn units_released_under_concurrency_can_be_reserved_again() {
    let market = Market::open();
    let id = market.started(vec![item("A", 10, Some(1))]).await;
    let mut buyers = JoinSet::new();
    for user in 1..=200 {
        let (node, cx) = (market.node.clone(), market.user(user));
        buyers.spawn(async move {
            let registry = node.registry().unwrap();
            let Ok(made) = registry.call(cx.clone(), Market::reservation(id, "A", 1)).await else { return 0 };
            if user % 2 == 0 {
                let rid = made.reservation_id;
                registry.call(cx, crate::api::ReleaseReservation { id, rid }).await.unwrap();
                return 0;
            }
            1
        });
    }
    let kept: i64 = buyers.join_all().await.into_iter().sum();
    assert_eq!(market.first(id).await, (10 - kept, 0));
    market.verify();
    let rest = rush(&market, id, (1_000..1_100).map(|user| (user, 1)).collect()).await;
    assert_eq!(codes(&rest).0, usize::try_from(10 - kept).unwrap());
    market.verify();
}

#[tokio::test]
async fn a_reservation_is_released_once_and_only_by_its_user() {
    let market = Market::open();
    let id = market.started(vec![item("A", 2, Some(2))]).await;
    let rid = market.granted(id, 1, 2).await;
    assert_eq!(market.sale(id).await.status, SaleStatus::SoldOut);
    assert_eq!(market.release_reservation(id, 2, rid).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(market.release_reservation(FlashSaleId(9), 1, rid).await.unwrap_err().kind(), Kind::NotFound);
    for _ in 0..2 {
        market.release_reservation(id, 1, rid).await.unwrap();
        assert_eq!((market.first(id).await, market.sale(id).await.status), ((2, 0), SaleStatus::Active));
    }
    market.granted(id, 1, 2).await;
    assert_eq!(market.sale_events().await, ["STARTED", "SOLD_OUT", "SOLD_OUT"]);
    market.verify();
}

#[tokio::test]
async fn reservations_expire_in_bounded_batches() {
    let market = Market::open();
    market.neighbours.warehouse.lock().free.insert(sku("A"), 2_000);
    let id = market.started(vec![item("A", 2_000, Some(1))]).await;
    for user in 1..=1_200 {
        market.granted(id, user, 1).await;
    }
    market.wait(599).await;
    assert_eq!(market.first(id).await, (800, 0));
    market.advance(Duration::from_secs(1));
    let expire_due = market.service.jobs().remove(1);
    let mut batches = 1;
    while expire_due.run(market.cx()).await.unwrap() {
        batches += 1;
    }
    assert_eq!((batches, market.first(id).await), (3, (2_000, 0)));
    market.verify();
    market.granted(id, 1, 1).await;
}

#[tokio::test]
async fn the_gate_agrees_with_the_rows_after_a_restart() {
    let market = Market::open();
    let id = market.started(vec![item("A", 10, Some(3)), item("B", 4, None)]).await;
    let rid = market.granted(id, 1, 3).await;
    market.granted(id, 2, 1).await;
    market.run(market.user(2), Market::reservation(id, "B", 2)).await.unwrap();
    market.release_reservation(id, 1, rid).await.unwrap();
    market.granted(id, 1, 2).await;
    let market = market.reopen().await;
    assert!(market.counters(id).is_some(), "the gate is loaded before the node is ready");
    market.verify();
    assert_eq!(market.reserve(id, 1, 2).await.unwrap_err().code(), "LIMIT_REACHED");
    market.granted(id, 1, 1).await;
    assert_eq!(market.first(id).await, (6, 0));
    market.verify();
}

#[tokio::test]
async fn a_gate_in_doubt_is_loaded_again() {
    let market = Market::open();
    let id = market.started(vec![item("A", 2, Some(2))]).await;
    let rid = market.granted(id, 1, 2).await;
    // The rows release the units, but the gate is not updated.
    let user = promox_kernel::UserId(1);
    let doubt = market.service.gates.doubt().await;
    let release =
        move |tx: &mut promox_storage::Tx<'_>| crate::commands::reservations::release(tx, id, rid, user).map(drop);
    market.db.write(&market.cx(), release).await.unwrap();
    assert_eq!(market.reserve(id, 2, 1).await.unwrap_err().code(), "SOLD_OUT", "the gate does not know");
    drop(doubt);
    market.granted(id, 2, 1).await;
    market.verify();
}

/// Two nodes on one database share gates in one place, which repeatedly loses its counters.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_share_gates_do_not_oversell() {
    let far = RemoteGates::default();
    let market = Market::over(far.node(), far.store().clone());
    let other = crate::FlashSales::new(market.db.clone(), far.node());
    let id = market.started(vec![item("A", 50, Some(2))]).await;
    let mut buyers = JoinSet::new();
    for number in 0..300 {
        let (node, other, cx) = (market.node.clone(), other.clone(), market.user(1 + number % 150));
        let store = far.store().clone();
        buyers.spawn(async move {
            if number % 20 == 0 {
                store.clear();
            }
            let request = Market::reservation(id, "A", 1);
            let made = if number % 2 == 0 {
                node.registry()?.call(cx, request).await
            } else {
                promox_kernel::Handle::handle(&*other, &cx, request).await
            };
            made.map(|made| made.reservation_id)
        });
    }
    let results = buyers.join_all().await;
    assert_eq!(codes(&results), (50, 250, 0));
    assert_eq!((market.first(id).await, market.sale(id).await.status), ((0, 0), SaleStatus::SoldOut));
    market.verify();
    let rid = results.into_iter().find_map(Result::ok).unwrap();
    let holder = market.holder(rid).await;
    market.release_reservation(id, holder, rid).await.unwrap();
    let again = promox_kernel::Handle::handle(&*other, &market.user(1_000), Market::reservation(id, "A", 1)).await;
    again.unwrap();
    market.verify();
}
