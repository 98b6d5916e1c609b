//! Orders that end: uncaptured payments are voided, captured ones refunded once, including late captures.

use std::time::Duration;

use promox_contract::payment::PaymentStatus as Status;
use promox_kernel::Kind;

use super::shop::Shop;
use promox_storage::Service as _;

#[tokio::test]
async fn the_end_of_an_order_voids_or_refunds_its_payment_once() {
    let shop = Shop::open();
    let cases = [
        ("tok_visa", Status::Refunded, "9.00", "9.00"),
        ("tok_declined", Status::Failed, "0.00", "0.00"),
        ("tok_requires_action", Status::Voided, "0.00", "0.00"),
        ("tok_timeout", Status::Voided, "0.00", "0.00"),
    ];
    for (order, (token, status, captured, refunded)) in (1..).zip(cases) {
        let id = shop.take(order, token, "9.00").await.unwrap().id.0;
        for _ in 0..2 {
            shop.cancel(order).await.unwrap();
            assert_eq!(shop.status_and_amounts(id).await, (status, captured.into(), refunded.into()), "{token}");
        }
    }
    let id = shop.take_manual(9, "9.00").await.id.0;
    shop.cancel(9).await.unwrap();
    assert_eq!(shop.status_and_amounts(id).await.0, Status::Voided);
    assert_eq!(shop.event_types("PAYMENT").await, ["PAYMENT_CAPTURED", "PAYMENT_REFUNDED", "PAYMENT_FAILED"]);
    shop.verify();
}

#[tokio::test]
async fn an_order_that_ended_unpaid_cannot_be_paid() {
    let shop = Shop::open();
    shop.cancel(1).await.unwrap();
    shop.cancel(1).await.unwrap();
    assert_eq!(shop.take(1, "tok_visa", "5.00").await.unwrap_err().code(), "PAYMENT_CANCELLED");
    assert_eq!(shop.event_types("PAYMENT").await, [""; 0]);
    shop.verify();
}

#[tokio::test]
async fn a_capture_that_arrives_after_the_end_is_refunded() {
    let shop = Shop::open().reopen(Duration::from_secs(5));
    let taking = shop.take(1, "tok_visa", "5.00");
    let ending = async {
        tokio::task::yield_now().await;
        shop.cancel(1).await
    };
    let (taken, ended) = tokio::join!(taking, ending);
    ended.unwrap();
    assert_eq!(taken.unwrap().status, Status::Captured);
    shop.advance(Duration::from_mins(1));
    let cx = shop.cx();
    shop.ticking(shop.service.settle_due(&cx)).await.unwrap();
    assert_eq!(shop.status_and_amounts(1).await, (Status::Refunded, "5.00".into(), "5.00".into()));
    assert_eq!(shop.event_types("PAYMENT").await, ["PAYMENT_CAPTURED", "PAYMENT_REFUNDED"]);
    shop.verify();
}

#[tokio::test]
async fn an_earlier_partial_refund_is_not_repeated_at_the_end() {
    let shop = Shop::open();
    shop.take(1, "tok_visa", "9.00").await.unwrap();
    shop.refund(1, Some("4.00")).await.unwrap();
    shop.cancel(1).await.unwrap();
    assert_eq!(shop.status_and_amounts(1).await, (Status::Refunded, "9.00".into(), "9.00".into()));
    let amounts: Vec<_> = shop.payment(1).await.refunds.iter().map(|refund| refund.amount.to_string()).collect();
    assert_eq!(amounts, ["4.00", "5.00"]);
    shop.verify();
}

#[tokio::test]
async fn an_end_without_a_providers_answer_is_completed_later_and_once() {
    let quick = Shop::open();
    quick.take(1, "tok_visa", "9.00").await.unwrap();
    quick.take(2, "tok_requires_action", "9.00").await.unwrap();
    let slow = quick.reopen(Duration::from_hours(1));
    for order in [1, 2] {
        assert_eq!(slow.cancel(order).await.unwrap_err().kind(), Kind::Unavailable);
    }
    assert_eq!(slow.status_and_amounts(1).await, (Status::Captured, "9.00".into(), "0.00".into()));
    assert_eq!(slow.refund(1, Some("0.01")).await.unwrap_err().code(), "REFUND_EXCEEDS_CAPTURED");
    slow.verify();
    quick.cancel(2).await.unwrap();
    assert_eq!(quick.status_and_amounts(2).await.0, Status::Voided);
    quick.node.clock.advance(Duration::from_mins(1));
    let job = quick.service.jobs().remove(0);
    assert!(!job.run(quick.cx()).await.unwrap());
    assert_eq!(quick.status_and_amounts(1).await, (Status::Refunded, "9.00".into(), "9.00".into()));
    quick.cancel(1).await.unwrap();
    assert_eq!(quick.payment(1).await.refunds.len(), 1);
    quick.verify();
}

#[tokio::test]
async fn an_end_that_could_not_be_stored_can_be_repeated() {
    let shop = Shop::open();
    shop.take(1, "tok_visa", "9.00").await.unwrap();
    shop.engine.refuse_writes(true);
    shop.cancel(1).await.unwrap_err();
    shop.engine.refuse_writes(false);
    shop.cancel(1).await.unwrap();
    assert_eq!(shop.status_and_amounts(1).await.0, Status::Refunded);
    shop.verify();
}
