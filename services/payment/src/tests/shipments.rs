//! Payments that are captured as goods are shipped: in parts, once each, and never beyond what is due.

use std::time::Duration;

use promox_contract::ids::{OrderId, PaymentId};
use promox_contract::order::ParcelShipped;
use promox_contract::payment::{PaymentStatus as Status, ReturnSettlement, SettleReturn};
use promox_kernel::{Amount, Error, Kind};
use promox_storage::Database;
use promox_testkit::sample::amount;

use super::shop::Shop;
use crate::api::{CapturePayment, CaptureStatus, ConfirmPayment};

/// Ships a parcel of an order whose goods left to ship cost `unshipped`.
async fn ship(shop: &Shop, order: i64, parcel_id: i64, unshipped: &str) {
    let fact = ParcelShipped { order_id: OrderId(order), parcel_id, unshipped: amount(unshipped) };
    shop.emit(Database::Ecommerce, order, fact).await;
}

/// Ships a parcel and captures what it costs.
async fn ship_and_capture(shop: &Shop, order: i64, parcel_id: i64, unshipped: &str) {
    ship(shop, order, parcel_id, unshipped).await;
    shop.consume().await;
    shop.work().await;
}

/// Settles a return of order 1: `[amount, unshipped, fee]`, and whether no goods are left to ship.
async fn settle(
    shop: &Shop,
    return_id: i64,
    [value, unshipped, fee]: [&str; 3],
    complete: bool,
) -> Result<ReturnSettlement, Error> {
    let (amount, unshipped, fee) = (amount(value), amount(unshipped), amount(fee));
    let (order_id, reason) = (OrderId(1), "not needed".to_owned());
    let op = SettleReturn { order_id, return_id, amount, fee, whole: false, unshipped, complete, reason };
    shop.ticking(shop.call(op)).await
}

fn amounts(settled: &ReturnSettlement) -> [String; 3] {
    [settled.refund, settled.voided, settled.fee].map(|amount| amount.to_string())
}

#[tokio::test]
async fn what_is_shipped_is_captured_once() {
    let shop = Shop::open();
    let authorized = shop.authorize(1, "tok_visa", "30.00").await;
    assert_eq!((authorized.status, authorized.secured), (Status::Authorized, amount("30.00")));
    for (parcel, unshipped, status, captured) in [
        (1, "20.00", Status::PartiallyCaptured, "10.00"),
        (1, "0.00", Status::PartiallyCaptured, "10.00"),
        (2, "20.00", Status::PartiallyCaptured, "10.00"),
        (3, "6.66", Status::PartiallyCaptured, "23.34"),
        (4, "0.00", Status::Captured, "30.00"),
        (5, "0.00", Status::Captured, "30.00"),
    ] {
        ship_and_capture(&shop, 1, parcel, unshipped).await;
        let (now, sum, _) = shop.status_and_amounts(1).await;
        assert_eq!((now, sum.as_str()), (status, captured), "parcel {parcel}");
        shop.verify();
    }
    let captures = shop.payment(1).await.captures;
    let shown: Vec<_> = captures.iter().map(|capture| (capture.reference.as_str(), capture.amount)).collect();
    let want = [("parcel:1", "10.00"), ("parcel:3", "13.34"), ("parcel:4", "6.66")];
    assert_eq!(shown, want.map(|(reference, sum)| (reference, amount(sum))));
    let events = shop.events_of("PAYMENT_CAPTURED").await;
    let seen: Vec<_> = events.iter().map(|data| (data["amount"].as_str(), data["status"].as_str())).collect();
    let (part, last) = (Some("PARTIALLY_CAPTURED"), Some("CAPTURED"));
    assert_eq!(seen, [(Some("10.00"), part), (Some("13.34"), part), (Some("6.66"), last)]);
}

#[tokio::test]
async fn payments_that_are_not_captured_by_shipments_are_left_alone() {
    let shop = Shop::open();
    shop.take(1, "tok_visa", "30.00").await.unwrap();
    shop.take_manual(2, "30.00").await;
    for order in [1, 2, 3] {
        ship_and_capture(&shop, order, order, "0.00").await;
    }
    assert_eq!(shop.status_and_amounts(1).await.0, Status::Captured);
    assert_eq!(shop.status_and_amounts(2).await.0, Status::Pending);
    assert!(shop.payment(1).await.captures.is_empty());
    shop.verify();
}

#[tokio::test]
async fn what_is_cancelled_after_a_parcel_is_voided_and_its_fee_captured() {
    let shop = Shop::open();
    shop.authorize(1, "tok_visa", "30.00").await;
    ship_and_capture(&shop, 1, 1, "20.00").await;
    // One of two units left to ship, then the other with a fee.
    let first = settle(&shop, 1, ["10.00", "10.00", "0.00"], false).await.unwrap();
    assert_eq!(
        (amounts(&first), first.payment.status),
        (["0.00", "10.00", "0.00"].map(Into::into), Status::PartiallyCaptured)
    );
    let last = settle(&shop, 2, ["10.00", "10.00", "3.00"], true).await.unwrap();
    assert_eq!(amounts(&last), ["0.00", "7.00", "3.00"].map(String::from));
    shop.work().await;
    assert_eq!(shop.status_and_amounts(1).await, (Status::Captured, "13.00".into(), "0.00".into()));
    let repeated = settle(&shop, 2, ["10.00", "10.00", "3.00"], true).await.unwrap();
    assert_eq!(amounts(&repeated), amounts(&last));
    assert_eq!(shop.payment(1).await.captures.last().unwrap().reference, "return:2");
    shop.verify();
}

#[tokio::test]
async fn shipped_goods_are_refunded_from_what_was_captured() {
    let shop = Shop::open();
    shop.authorize(1, "tok_visa", "30.00").await;
    ship_and_capture(&shop, 1, 1, "10.00").await;
    let excess = shop.refund(1, Some("20.01")).await.unwrap_err();
    assert_eq!((excess.kind(), excess.code()), (Kind::Refused, "REFUND_EXCEEDS_CAPTURED"));
    assert_eq!(shop.refund(1, Some("5.00")).await.unwrap().status, Status::PartiallyCaptured);
    let settled = settle(&shop, 1, ["10.00", "0.00", "0.00"], false).await.unwrap();
    assert_eq!(amounts(&settled), ["10.00", "0.00", "0.00"].map(String::from));
    ship_and_capture(&shop, 1, 2, "0.00").await;
    assert_eq!(shop.status_and_amounts(1).await, (Status::PartiallyRefunded, "30.00".into(), "15.00".into()));
    shop.verify();
}

#[tokio::test]
async fn goods_that_return_before_their_capture_are_not_captured() {
    let shop = Shop::open();
    shop.authorize(1, "tok_visa", "30.00").await;
    ship(&shop, 1, 1, "20.00").await;
    let settled = settle(&shop, 1, ["10.00", "0.00", "0.00"], false).await.unwrap();
    assert_eq!(amounts(&settled), ["0.00", "10.00", "0.00"].map(String::from));
    shop.consume().await;
    shop.work().await;
    assert_eq!(shop.status_and_amounts(1).await, (Status::Authorized, "0.00".into(), "0.00".into()));
    ship_and_capture(&shop, 1, 2, "0.00").await;
    assert_eq!(shop.status_and_amounts(1).await, (Status::Captured, "20.00".into(), "0.00".into()));
    shop.verify();
}

#[tokio::test]
async fn a_silent_provider_is_asked_again_and_a_return_waits_for_it() {
    let shop = Shop::open();
    shop.authorize(1, "tok_visa", "30.00").await;
    let slow = shop.reopen(Duration::from_secs(60));
    ship(&slow, 1, 1, "20.00").await;
    slow.consume().await;
    slow.ticking(slow.work()).await;
    assert_eq!(slow.status_and_amounts(1).await.0, Status::Authorized);
    slow.verify();
    let waiting = settle(&slow, 1, ["10.00", "0.00", "0.00"], false).await.unwrap_err();
    assert_eq!((waiting.kind(), waiting.code()), (Kind::Unavailable, "CAPTURE_PENDING"));
    let shop = slow.reopen(Duration::ZERO);
    shop.advance_and_work(Duration::from_mins(1)).await;
    assert_eq!(shop.status_and_amounts(1).await, (Status::PartiallyCaptured, "10.00".into(), "0.00".into()));
    let settled = settle(&shop, 1, ["10.00", "0.00", "0.00"], false).await.unwrap();
    assert_eq!(amounts(&settled), ["10.00", "0.00", "0.00"].map(String::from));
    shop.verify();
}

#[tokio::test]
async fn an_administrator_captures_the_rest_ahead_of_the_goods() {
    let shop = Shop::open();
    shop.authorize(1, "tok_visa", "30.00").await;
    ship_and_capture(&shop, 1, 1, "20.00").await;
    let captured = shop.call(CapturePayment { id: PaymentId(1) }).await.unwrap();
    assert_eq!((captured.status, captured.captured), (Status::Captured, amount("30.00")));
    assert!(captured.captures.iter().all(|capture| capture.status == CaptureStatus::Succeeded));
    let again = shop.call(CapturePayment { id: PaymentId(1) }).await.unwrap_err();
    assert_eq!((again.kind(), again.code()), (Kind::Conflict, "INVALID_TRANSITION"));
    ship_and_capture(&shop, 1, 2, "0.00").await;
    assert_eq!(shop.payment(1).await.captures.len(), 2);
    shop.verify();
}

#[tokio::test]
async fn an_order_that_ends_before_its_shipment_voids_the_payment() {
    let shop = Shop::open();
    shop.authorize(1, "tok_visa", "30.00").await;
    shop.cancel(1).await.unwrap();
    assert_eq!(shop.status_and_amounts(1).await, (Status::Voided, "0.00".into(), "0.00".into()));
    ship_and_capture(&shop, 1, 1, "0.00").await;
    assert!(shop.payment(1).await.captures.is_empty(), "nothing is captured of a voided payment");
    shop.verify();
}

#[tokio::test]
async fn an_authorisation_that_the_order_waits_for_is_reported() {
    let shop = Shop::open();
    let waiting = shop.authorize(1, "tok_requires_action", "30.00").await;
    assert_eq!(waiting.status, Status::RequiresAction);
    let confirmed = shop.call(ConfirmPayment { id: waiting.id }).await.unwrap();
    assert_eq!((confirmed.status, confirmed.captured), (Status::Authorized, Amount::ZERO));
    assert_eq!(shop.event_types("PAYMENT").await, ["PAYMENT_AUTHORIZED"]);
    shop.authorize(2, "tok_visa", "30.00").await;
    assert_eq!(shop.event_types("PAYMENT").await.len(), 1, "nothing waits for an authorisation at once");
    shop.verify();
}
