//! Refunds: in full, in part, of returns, with an idempotency key, and concurrently. They never exceed the capture.

use std::time::Duration;

use promox_contract::ids::OrderId;
use promox_contract::payment::{PaymentStatus as Status, ReturnSettlement, SETTLED, SettleReturn, return_effect};
use promox_kernel::{Amount, Error, Kind, Reply};
use promox_storage::{Recall, Service};
use tokio::task::JoinSet;

use super::shop::{Shop, refund_op};

async fn for_return(shop: &Shop, order: i64, (id, amount): (i64, &str)) -> Result<ReturnSettlement, Error> {
    settle(shop, order, (id, amount, "0.00"), false).await
}

async fn settle(
    shop: &Shop,
    order: i64,
    (return_id, amount, fee): (i64, &str, &str),
    whole: bool,
) -> Result<ReturnSettlement, Error> {
    let (amount, fee) = (amount.parse().unwrap(), fee.parse().unwrap());
    let op = settle_op(order, (return_id, amount, fee), whole);
    shop.ticking(shop.call(op)).await
}

/// A return of shipped goods.
fn settle_op(order: i64, (return_id, amount, fee): (i64, Amount, Amount), whole: bool) -> SettleReturn {
    let (order_id, reason) = (OrderId(order), "returned".into());
    SettleReturn { order_id, return_id, amount, fee, whole, unshipped: Amount::ZERO, complete: false, reason }
}

#[tokio::test]
async fn a_refund_is_limited_to_what_is_left_of_the_capture() {
    let shop = Shop::open();
    shop.take(1, "tok_visa", "10.00").await.unwrap();
    for (amount, want) in [
        (Some("4.00"), Ok((Status::PartiallyRefunded, "4.00"))),
        (Some("6.01"), Err((Kind::Refused, "REFUND_EXCEEDS_CAPTURED"))),
        (Some("0.001"), Err((Kind::Schema, "VALIDATION_FAILED"))),
        (Some("0"), Err((Kind::Schema, "VALIDATION_FAILED"))),
        (Some("-1"), Err((Kind::Schema, "VALIDATION_FAILED"))),
        (None, Ok((Status::Refunded, "10.00"))),
        (None, Err((Kind::Refused, "REFUND_EXCEEDS_CAPTURED"))),
    ] {
        let got = shop.refund(1, amount).await;
        let got = got.as_ref().map(|item| (item.status, item.refunded.to_string()));
        let got = got.map_err(|error| (error.kind(), error.code()));
        assert_eq!(got, want.map(|(status, refunded)| (status, refunded.to_owned())), "{amount:?}");
    }
    shop.take_manual(2, "5.00").await;
    assert_eq!(shop.refund(2, Some("1")).await.unwrap_err().code(), "REFUND_EXCEEDS_CAPTURED");
    assert_eq!(shop.refund(99, None).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(shop.event_types("PAYMENT").await, ["PAYMENT_CAPTURED", "PAYMENT_REFUNDED", "PAYMENT_REFUNDED"]);
    shop.verify();
}

#[tokio::test]
async fn a_return_is_refunded_once_up_to_what_is_left() {
    let shop = Shop::open();
    assert_eq!(for_return(&shop, 1, (1, "1")).await.unwrap_err().kind(), Kind::NotFound);
    shop.take(1, "tok_visa", "10.00").await.unwrap();
    for _ in 0..2 {
        let settled = for_return(&shop, 1, (1, "3.50")).await.unwrap();
        assert_eq!(settled.refund.to_string(), "3.50");
        assert_eq!(
            (settled.payment.status, settled.payment.left.to_string()),
            (Status::PartiallyRefunded, "6.50".into())
        );
    }
    let again = for_return(&shop, 1, (1, "4.00")).await.unwrap();
    assert_eq!(again.refund.to_string(), "3.50", "it was decided before");
    for (id, want) in [(2, "6.50"), (3, "0.00"), (2, "6.50"), (3, "0.00")] {
        let settled = for_return(&shop, 1, (id, "8.00")).await.unwrap();
        assert_eq!((settled.refund.to_string(), settled.payment.status), (want.into(), Status::Refunded), "{id}");
    }
    assert_eq!(shop.payment(1).await.refunds.len(), 2, "a return without money opens no refund");
    shop.verify();
}

#[tokio::test]
async fn a_return_before_the_capture_reduces_the_amount_due() {
    let shop = Shop::open();
    shop.take_manual(1, "16.96").await;
    let first = settle(&shop, 1, (1, "6.00", "1.00"), false).await.unwrap();
    assert_eq!(
        (first.refund.to_string(), first.voided.to_string(), first.fee.to_string()),
        ("0.00".into(), "5.00".into(), "1.00".into())
    );
    assert_eq!(first.payment.status, Status::Pending);
    let captured = shop.call(crate::api::CapturePayment { id: promox_contract::ids::PaymentId(1) }).await.unwrap();
    assert_eq!((captured.captured.to_string(), captured.voided.to_string()), ("11.96".into(), "5.00".into()));
    let second = settle(&shop, 1, (2, "6.00", "0"), true).await.unwrap();
    assert_eq!((second.refund.to_string(), second.voided.to_string()), ("6.00".into(), "0.00".into()));
    shop.take_manual(2, "16.96").await;
    for _ in 0..2 {
        let all = settle(&shop, 2, (3, "12.00", "0"), true).await.unwrap();
        assert_eq!(
            (all.voided.to_string(), all.payment.status),
            ("16.96".into(), Status::Voided),
            "shipping is no longer due either"
        );
    }
    assert_eq!(shop.event_types("PAYMENT").await, ["PAYMENT_CAPTURED", "PAYMENT_REFUNDED"]);
    shop.verify();
}

#[tokio::test]
async fn a_return_is_answered_before_the_provider_has_refunded_it() {
    let quick = Shop::open();
    quick.take(1, "tok_visa", "10.00").await.unwrap();
    let slow = quick.reopen(Duration::from_hours(1));
    let settled = for_return(&slow, 1, (1, "4.00")).await.unwrap();
    assert_eq!((settled.refund.to_string(), settled.payment.left.to_string()), ("4.00".into(), "6.00".into()));
    assert_eq!(slow.status_and_amounts(1).await.2, "0.00");
    quick.node.clock.advance(Duration::from_mins(1));
    quick.service.jobs().remove(0).run(quick.cx()).await.unwrap();
    assert_eq!(quick.status_and_amounts(1).await.2, "4.00");
    quick.verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_refunds_never_exceed_the_capture() {
    let shop = Shop::open();
    shop.take(1, "tok_visa", "10.00").await.unwrap();
    let mut requests = JoinSet::new();
    for n in 0..40_i64 {
        let cx = shop.cx();
        requests.spawn(async move {
            if n % 2 == 0 {
                return cx.call(refund_op(1, Some("3.00"))).await.is_ok();
            }
            let op = settle_op(1, (n, "3.00".parse().unwrap(), Amount::ZERO), false);
            !cx.call(op).await.unwrap().refund.is_zero()
        });
    }
    let succeeded = requests.join_all().await.into_iter().filter(|succeeded| *succeeded).count();
    let refunded = shop.status_and_amounts(1).await.2;
    // Three refunds of 3.00 leave 1.00, which only a return can take: a manual refund is not reduced to what is left.
    assert!(matches!((succeeded, refunded.as_str()), (4, "10.00")), "{succeeded} {refunded}");
    shop.verify();
}

#[tokio::test]
async fn a_key_names_one_refund_even_while_the_provider_does_not_answer() {
    let quick = Shop::open();
    quick.take(1, "tok_visa", "10.00").await.unwrap();
    let slow = quick.reopen(Duration::from_hours(1));
    let view = slow.ticking(slow.run(slow.keyed("k"), refund_op(1, Some("2.00")))).await.unwrap();
    assert_eq!((view.refunded.to_string(), view.refunds.len()), ("0.00".into(), 1));
    assert_eq!(view.respond(201).unwrap().status, 202);
    let again = quick.keyed("k");
    let view = quick.run(again.clone(), refund_op(1, Some("2.00"))).await.unwrap();
    assert_eq!((view.refunded.to_string(), view.refunds.len()), ("2.00".into(), 1));
    assert_eq!(view.respond(201).unwrap().status, 201);
    let claim = again.claim.unwrap();
    assert!(claim.recorded.get().is_some(), "the answer is kept with the key");
    assert!(matches!(quick.db.recall(&claim).await.unwrap(), Recall::Decided(_)));
    quick.verify();
}

#[tokio::test]
async fn a_refund_whose_outcome_was_not_stored_is_completed_by_the_job() {
    let shop = Shop::open();
    shop.take(1, "tok_visa", "10.00").await.unwrap();
    let slow = shop.reopen(Duration::from_secs(1));
    let refund = slow.run(slow.keyed("k"), refund_op(1, None));
    let disk_failure = async {
        tokio::task::yield_now().await;
        slow.engine.refuse_writes(true);
        slow.advance(Duration::from_secs(1));
    };
    let (refunded, ()) = tokio::join!(refund, disk_failure);
    assert_eq!(refunded.unwrap_err().kind(), Kind::Unavailable);
    shop.engine.refuse_writes(false);
    assert_eq!(shop.status_and_amounts(1).await.2, "0.00");
    shop.advance(Duration::from_mins(1));
    shop.service.jobs().remove(0).run(shop.cx()).await.unwrap();
    assert_eq!(shop.status_and_amounts(1).await, (Status::Refunded, "10.00".into(), "10.00".into()));
    let view = shop.run(shop.keyed("k"), refund_op(1, None)).await.unwrap();
    assert_eq!(view.refunds.len(), 1, "the key leads to the same refund");
    shop.verify();
}

#[tokio::test]
async fn the_audit_finds_a_return_that_differs_from_its_refund() {
    let shop = Shop::open();
    shop.take(1, "tok_visa", "16.96").await.unwrap();
    shop.refund(1, Some("10.00")).await.unwrap();
    assert_eq!(for_return(&shop, 1, (7, "12.00")).await.unwrap().refund.to_string(), "6.96");
    for (stated, found) in [("12.00", true), ("6.96", false)] {
        let findings = shop.findings_with(|report| {
            report.left(SETTLED, 7, return_effect(stated.parse().unwrap(), promox_kernel::Currency::GBP.zero()));
        });
        assert_eq!(findings.iter().any(|finding| finding.invariant == SETTLED), found, "{stated}: {findings:?}");
    }
}
