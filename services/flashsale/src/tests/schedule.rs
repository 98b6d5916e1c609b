//! Sales start, end and close on schedule, even if the node was down.

use promox_testkit::sample::sku;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::market::{Market, START, item, plan};
use crate::api::{CreateSale, SaleStatus};

#[tokio::test]
async fn a_sale_starts_and_ends_at_its_times() {
    let market = Market::open();
    let id = market.make(vec![item("A", 10, None)]).await;
    let steps = [
        (59, SaleStatus::Scheduled, 90),
        (1, SaleStatus::Active, 90),
        (3539, SaleStatus::Active, 90),
        (1, SaleStatus::Ended, 100),
        (9_999, SaleStatus::Ended, 100),
    ];
    for (seconds, status, free) in steps {
        market.wait(seconds).await;
        assert_eq!((market.sale(id).await.status, market.free("A")), (status, free));
    }
    assert_eq!(market.sale_events().await, ["STARTED", "ENDED"]);
    market.verify();
}

#[tokio::test]
async fn a_sale_that_is_due_starts_at_once() {
    let market = Market::open();
    let op = CreateSale { starts_at: START, ..plan(vec![item("A", 10, None)]) };
    let id = market.call(op).await.unwrap().id;
    assert_eq!(market.sale(id).await.status, SaleStatus::Active);
    market.granted(id, 1, 1).await;
    market.verify();
}

#[tokio::test]
async fn sales_catch_up_after_the_node_was_down() {
    let market = Market::open();
    let ended = market.make(vec![item("A", 10, None)]).await;
    let ends_at = START + Duration::from_hours(9);
    let running = market.call(CreateSale { ends_at, ..plan(vec![item("B", 10, None)]) }).await.unwrap().id;
    market.advance(Duration::from_hours(2));
    let market = market.reopen().await;
    assert_eq!(market.sale(ended).await.status, SaleStatus::Ended);
    assert_eq!(market.sale(running).await.status, SaleStatus::Active);
    assert_eq!((market.free("A"), market.free("B")), (100, 90));
    assert_eq!(market.sale_events().await, ["STARTED", "ENDED", "STARTED"]);
    market.verify();
}

#[tokio::test]
async fn reservations_end_with_the_sale_and_return_their_units() {
    let market = Market::open();
    market.neighbours.warehouse.lock().free.insert(sku("A"), 1_500);
    let id = market.started(vec![item("A", 1_500, None)]).await;
    market.wait(3_500).await;
    for user in 1..=1_100 {
        market.granted(id, user, 1).await;
    }
    market.wait(39).await;
    assert_eq!(market.first(id).await, (400, 0));
    market.wait(1).await;
    assert_eq!((market.first(id).await, market.free("A")), ((1_500, 0), 1_500));
    market.verify();
}

#[tokio::test]
async fn a_closed_warehouse_delays_returns_and_loses_nothing() {
    let market = Market::open();
    let id = market.started(vec![item("A", 10, None)]).await;
    market.neighbours.closed.store(true, Ordering::SeqCst);
    market.advance(Duration::from_hours(2));
    assert!(market.try_work().await.is_err());
    assert_eq!((market.sale(id).await.status, market.free("A")), (SaleStatus::Ended, 90));
    let market = market.reopen().await;
    market.neighbours.closed.store(false, Ordering::SeqCst);
    market.wait(0).await;
    assert_eq!(market.free("A"), 100);
    market.verify();
}
