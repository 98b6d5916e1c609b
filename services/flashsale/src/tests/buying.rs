//! Orders claim, buy and reverse reservations, including in a sale that ends while orders are in progress.

use promox_testkit::sample::sku;
use std::sync::atomic::Ordering;

use promox_contract::ids::FlashReservationId;
use promox_kernel::Kind;

use super::market::{Market, item};
use crate::api::SaleStatus;

#[tokio::test]
async fn only_the_buyers_own_unexpired_reservations_have_lines() {
    let market = Market::open();
    let id = market.started(vec![item("A", 10, None)]).await;
    let (mine, foreign) = (market.granted(id, 1, 2).await, market.granted(id, 2, 1).await);
    let lines = market.lines(1, &[foreign, mine, FlashReservationId(99)]).await;
    assert_eq!(lines.len(), 1);
    let line = &lines[0];
    assert_eq!((line.reservation_id, line.flash_sale_id, line.quantity), (mine, id, 2));
    assert_eq!((line.sku.as_str(), line.sale_price.to_string().as_str()), ("A", "4.50"));
    market.advance(std::time::Duration::from_secs(600));
    assert!(market.lines(1, &[mine]).await.is_empty(), "expired, swept or not");
    let guest = promox_contract::flashsale::GetReservedLines { user_id: None, reservation_ids: vec![mine] };
    assert!(market.call(guest).await.unwrap().lines.is_empty());
}

#[tokio::test]
async fn a_claim_is_all_or_nothing_and_its_refusal_has_a_reason() {
    let market = Market::open();
    let id = market.started(vec![item("A", 10, None)]).await;
    let (mine, foreign, old) =
        (market.granted(id, 1, 1).await, market.granted(id, 2, 1).await, market.granted(id, 1, 1).await);
    market.release_reservation(id, 1, old).await.unwrap();
    for (bad, reason) in [(foreign, "UNKNOWN"), (FlashReservationId(99), "UNKNOWN"), (old, "EXPIRED")] {
        let error = market.claim(1, 1, &[mine, bad]).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Refused, "FLASH_RESERVATION_INVALID"));
        assert_eq!(error.members()["reason"], reason);
        assert_eq!(error.members()["reservationId"], bad.0);
    }
    for _ in 0..2 {
        market.claim(1, 1, &[mine]).await.unwrap();
    }
    assert_eq!(
        market.claim(2, 1, &[mine]).await.unwrap_err().members()["reason"],
        "EXPIRED",
        "another order claimed it"
    );
    assert!(market.lines(1, &[mine]).await.is_empty());
    assert_eq!(market.release_reservation(id, 1, mine).await.unwrap_err().code(), "RESERVATION_ORDERED");
    market.verify();
}

#[tokio::test]
async fn a_confirmed_orders_purchase_is_reported_once() {
    let market = Market::open();
    let id = market.started(vec![item("A", 10, Some(3))]).await;
    let rid = market.granted(id, 1, 3).await;
    market.claim(7, 1, &[rid]).await.unwrap();
    market.wait(3_000).await;
    assert_eq!(market.first(id).await, (7, 0), "an order's claim does not expire");
    for _ in 0..2 {
        market.confirm(7).await;
    }
    assert_eq!((market.first(id).await, market.allocated(id, "A")), ((7, 3), 10));
    market.wait(1).await;
    market.wait(1).await;
    assert_eq!((market.allocated(id, "A"), market.free("A")), (7, 90));
    assert_eq!(
        market.reserve(id, 1, 1).await.unwrap_err().code(),
        "LIMIT_REACHED",
        "purchases count towards the limit"
    );
    market.verify();
}

#[tokio::test]
async fn a_failed_orders_claim_returns_to_its_user_until_it_expires() {
    let market = Market::open();
    let id = market.started(vec![item("A", 10, Some(3))]).await;
    let rid = market.granted(id, 1, 3).await;
    market.claim(7, 1, &[rid]).await.unwrap();
    for _ in 0..2 {
        market.release(7).await;
    }
    assert_eq!((market.first(id).await, market.lines(1, &[rid]).await.len()), ((7, 0), 1));
    assert_eq!(
        market.claim(7, 1, &[rid]).await.unwrap_err().members()["reason"],
        "EXPIRED",
        "this order has released its claim"
    );
    market.claim(8, 1, &[rid]).await.unwrap();
    market.wait(600).await;
    market.release(8).await;
    assert_eq!((market.first(id).await, market.lines(1, &[rid]).await.len()), ((10, 0), 0));
    market.granted(id, 1, 3).await;
    market.release(99).await;
    market.verify();
}

#[tokio::test]
async fn a_cancelled_order_returns_its_units_to_the_sale_once() {
    let market = Market::open();
    let id = market.started(vec![item("A", 3, Some(3))]).await;
    let rid = market.granted(id, 1, 3).await;
    market.claim(7, 1, &[rid]).await.unwrap();
    market.confirm(7).await;
    market.wait(1).await;
    assert_eq!((market.allocated(id, "A"), market.sale(id).await.status), (0, SaleStatus::SoldOut));
    for _ in 0..2 {
        market.release(7).await;
        market.wait(1).await;
        assert_eq!((market.first(id).await, market.allocated(id, "A")), ((3, 0), 3));
    }
    assert_eq!(market.sale(id).await.status, SaleStatus::Active);
    market.granted(id, 1, 3).await;
    market.verify();
}

#[tokio::test]
async fn a_cancel_before_the_confirmation_or_the_report_buys_nothing() {
    let market = Market::open();
    let id = market.started(vec![item("A", 4, None)]).await;
    let (one, two) = (market.granted(id, 1, 1).await, market.granted(id, 1, 2).await);
    market.claim(1, 1, &[one]).await.unwrap();
    market.release(1).await;
    market.confirm(1).await;
    assert_eq!(market.first(id).await, (1, 0), "confirmed after its release: nothing is bought");
    market.claim(2, 1, &[two]).await.unwrap();
    market.confirm(2).await;
    market.release(2).await;
    let other = market.granted(id, 2, 3).await;
    market.claim(3, 2, &[other]).await.unwrap();
    market.confirm(3).await;
    market.wait(1).await;
    assert_eq!((market.first(id).await, market.allocated(id, "A")), ((0, 3), 1), "reversed before it was reported");
    market.verify();
}

#[tokio::test]
async fn an_ended_sale_keeps_units_for_orders_in_progress() {
    let market = Market::open();
    let id = market.started(vec![item("A", 10, None)]).await;
    market.wait(3_400).await;
    let ids = [market.granted(id, 1, 1).await, market.granted(id, 2, 2).await, market.granted(id, 3, 3).await];
    market.claim(1, 1, &ids[..1]).await.unwrap();
    market.claim(2, 2, &ids[1..2]).await.unwrap();
    market.wait(3_600).await;
    assert_eq!((market.sale(id).await.status, market.free("A"), market.allocated(id, "A")), (SaleStatus::Ended, 97, 3));
    market.confirm(1).await;
    market.wait(1).await;
    assert_eq!((market.free("A"), market.allocated(id, "A")), (97, 2));
    market.release(2).await;
    market.wait(1).await;
    assert_eq!((market.free("A"), market.allocated(id, "A"), market.first(id).await), (99, 0, (9, 1)));
    market.release(1).await;
    market.wait(1).await;
    assert_eq!((market.free("A"), market.first(id).await), (100, (10, 0)), "after the sale, units return to stock");
    market.verify();
}

#[tokio::test]
async fn purchases_are_reported_in_batches_once_the_warehouse_is_available() {
    let market = Market::open();
    market.neighbours.warehouse.lock().free.insert(sku("A"), 1_000);
    let id = market.started(vec![item("A", 1_000, None)]).await;
    market.neighbours.closed.store(true, Ordering::SeqCst);
    for order in 1..=450 {
        let rid = market.granted(id, order, 1).await;
        market.claim(order, order, &[rid]).await.unwrap();
        market.confirm(order).await;
    }
    assert!(market.try_work().await.is_err());
    assert_eq!(market.allocated(id, "A"), 1_000);
    market.neighbours.closed.store(false, Ordering::SeqCst);
    market.wait(1).await;
    assert_eq!((market.allocated(id, "A"), market.neighbours.warehouse.lock().sold.len()), (550, 450));
    market.verify();
}

#[tokio::test]
async fn an_order_can_claim_and_release_reservations_of_two_sales() {
    let market = Market::open();
    let (a, b) = (market.make(vec![item("A", 5, None)]).await, market.make(vec![item("A", 6, None)]).await);
    market.wait(60).await;
    let ids = [market.granted(a, 1, 5).await, market.granted(b, 1, 6).await];
    market.claim(1, 1, &ids).await.unwrap();
    market.wait(600).await;
    assert_eq!((market.first(a).await, market.first(b).await), ((0, 0), (0, 0)));
    market.release(1).await;
    assert_eq!((market.first(a).await, market.first(b).await), ((5, 0), (6, 0)));
    market.verify();
}
