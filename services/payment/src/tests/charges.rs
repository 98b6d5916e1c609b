//! Charges: the sandbox's tokens, timeouts, repeated requests, and access to payments.

use std::time::Duration;

use promox_contract::ids::{OrderId, PaymentId};
use promox_contract::payment::{CaptureAt, GetOrderPayment, PaymentStatus as Status, TakePayment};
use promox_contract::user::ExportPayments;
use promox_kernel::{Currency, Kind, Limit};

use super::shop::{OWNER, Shop};
use crate::api::{AttemptOutcome, CapturePayment, ConfirmPayment, GetPayment, ListPayments, VoidPayment};

#[tokio::test]
async fn every_sandbox_token_has_its_outcome() {
    let shop = Shop::open();
    let cases = [
        ("tok_visa", Status::Captured, None, 1),
        ("tok_declined", Status::Failed, Some("CARD_DECLINED"), 1),
        ("tok_insufficient_funds", Status::Failed, Some("INSUFFICIENT_FUNDS"), 1),
        ("tok_requires_action", Status::RequiresAction, None, 1),
        ("tok_timeout", Status::Pending, None, 1),
        ("tok_flaky", Status::Captured, None, 3),
        ("tok_unknown", Status::Failed, Some("INVALID_TOKEN"), 1),
    ];
    for (order, (token, status, code, attempts)) in (1..).zip(cases) {
        let outcome = shop.take(order, token, "19.90").await.unwrap();
        assert_eq!((outcome.status, outcome.decline_code.as_deref()), (status, code), "{token}");
        assert_eq!(outcome.undecided, status == Status::Pending, "{token}");
        assert_eq!(outcome.action.is_some(), status == Status::RequiresAction, "{token}");
        let captured = if status == Status::Captured { "19.90" } else { "0.00" };
        assert_eq!(outcome.captured.to_string(), captured, "{token}");
        let payment = shop.payment(outcome.id.0).await;
        assert_eq!(payment.attempts.len(), attempts, "{token}");
        let again = shop.call(GetOrderPayment { order_id: OrderId(order) }).await.unwrap();
        assert_eq!(again, outcome, "{token}");
        if status != Status::Pending {
            assert_eq!(shop.take(order, token, "19.90").await.unwrap(), outcome, "{token} again");
        }
    }
    let failed = shop.event_types("PAYMENT").await.iter().filter(|kind| *kind == "PAYMENT_FAILED").count();
    assert_eq!((shop.event_types("PAYMENT").await.len(), failed), (5, 3));
    shop.verify();
}

#[tokio::test]
async fn a_charge_without_an_answer_is_repeated_with_the_same_key() {
    let shop = Shop::open();
    let start = shop.node.clock.now();
    let unanswered = shop.take(1, "tok_timeout", "5.00").await.unwrap();
    assert!(unanswered.undecided);
    assert_eq!(shop.node.clock.now().since(start).as_secs(), 10);
    assert_eq!(shop.payment(1).await.attempts[0].outcome, AttemptOutcome::NoAnswer);
    let decided = shop.take(1, "tok_timeout", "5.00").await.unwrap();
    assert_eq!(
        (decided.id, decided.status, decided.captured.to_string()),
        (unanswered.id, Status::Captured, "5.00".into())
    );
    assert_eq!(shop.event_types("PAYMENT").await, ["PAYMENT_CAPTURED"]);
    shop.verify();
}

#[tokio::test]
async fn attempts_are_kept_over_a_restart() {
    let shop = Shop::open();
    assert!(shop.take(1, "tok_timeout", "5.00").await.unwrap().undecided);
    let restarted = shop.reopen(Duration::ZERO);
    assert_eq!(restarted.take(1, "tok_timeout", "5.00").await.unwrap().status, Status::Captured);
    restarted.verify();
}

#[tokio::test]
async fn a_request_never_waits_past_its_deadline() {
    let shop = Shop::open();
    let start = shop.node.clock.now();
    let cx = promox_kernel::Cx::system(&shop.node, "test", Duration::from_secs(2));
    let choice = promox_contract::payment::PaymentChoice {
        method: "CARD".into(),
        provider: Some("sandbox".into()),
        token: Some("tok_timeout".into()),
    };
    let amount = "1".parse().unwrap();
    let (order_id, currency, capture_at) = (OrderId(1), Currency::GBP, CaptureAt::Order);
    let op = TakePayment { order_id, amount, currency, choice, user_id: None, capture_at };
    assert!(shop.ticking(shop.run(cx, op)).await.unwrap().undecided);
    assert!(shop.node.clock.now().since(start) <= Duration::from_millis(1550));
}

#[tokio::test]
async fn a_charge_whose_outcome_could_not_be_stored_can_be_repeated() {
    let shop = Shop::open();
    shop.engine.refuse_writes(true);
    assert_eq!(shop.take(1, "tok_visa", "5.00").await.unwrap_err().kind(), Kind::Unavailable);
    shop.engine.refuse_writes(false);
    assert_eq!(shop.call(GetOrderPayment { order_id: OrderId(1) }).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(shop.take(1, "tok_visa", "5.00").await.unwrap().captured.to_string(), "5.00");
    assert_eq!(shop.event_types("PAYMENT").await, ["PAYMENT_CAPTURED"]);
    shop.verify();
}

#[tokio::test]
async fn concurrent_requests_pay_an_order_once() {
    let shop = Shop::open();
    let (a, b) = tokio::join!(shop.take(1, "tok_visa", "5.00"), shop.take(1, "tok_visa", "5.00"));
    assert_eq!(a.unwrap(), b.unwrap());
    assert_eq!(shop.event_types("PAYMENT").await, ["PAYMENT_CAPTURED"]);
    assert_eq!(shop.take(1, "tok_visa", "6.00").await.unwrap_err().code(), "PAYMENT_MISMATCH");
    shop.verify();
}

#[tokio::test]
async fn amounts_must_have_the_currencys_digits() {
    let shop = Shop::open();
    let yen: Currency = "JPY".parse().unwrap();
    let outcome = shop.take_in(1, Some("tok_visa"), "CARD", ("1500", yen)).await.unwrap();
    assert_eq!(outcome.captured.to_string(), "1500");
    for (amount, currency) in [("1500.5", yen), ("19.999", Currency::GBP), ("0", Currency::GBP), ("-1", yen)] {
        let error = shop.take_in(2, Some("tok_visa"), "CARD", (amount, currency)).await.unwrap_err();
        assert_eq!(error.errors()[0].pointer, "/amount");
    }
    shop.verify();
}

#[tokio::test]
async fn a_payment_that_requires_action_is_captured_after_the_confirmation() {
    let shop = Shop::open();
    let waiting = shop.take(1, "tok_requires_action", "5.00").await.unwrap();
    assert_eq!(waiting.action.map(|action| action.kind).as_deref(), Some("REDIRECT"));
    let op = || ConfirmPayment { id: waiting.id };
    assert_eq!(shop.run(shop.user(8), op()).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(shop.run(shop.user(OWNER.0), op()).await.unwrap().status, Status::Captured);
    assert_eq!(shop.run(shop.user(OWNER.0), op()).await.unwrap().status, Status::Captured);
    assert_eq!(shop.event_types("PAYMENT").await, ["PAYMENT_CAPTURED"]);
    shop.take(2, "tok_declined", "5.00").await.unwrap();
    assert_eq!(shop.call(ConfirmPayment { id: PaymentId(2) }).await.unwrap_err().code(), "INVALID_TRANSITION");
    shop.verify();
}

#[tokio::test]
async fn a_manual_payment_is_captured_or_voided_by_an_administrator() {
    let shop = Shop::open();
    let paid = shop.take_manual(1, "30.00").await;
    assert_eq!((paid.status, paid.undecided), (Status::Pending, false));
    assert_eq!(shop.take_manual(1, "30.00").await, paid);
    let capture = |id: PaymentId| shop.call(CapturePayment { id });
    assert_eq!(capture(paid.id).await.unwrap().captured.to_string(), "30.00");
    assert_eq!(capture(paid.id).await.unwrap_err().code(), "INVALID_TRANSITION");
    assert_eq!(shop.call(VoidPayment { id: paid.id }).await.unwrap_err().code(), "INVALID_TRANSITION");
    let voided = shop.take_manual(2, "30.00").await;
    assert_eq!(shop.call(VoidPayment { id: voided.id }).await.unwrap().status, Status::Voided);
    assert_eq!(capture(voided.id).await.unwrap_err().code(), "INVALID_TRANSITION");
    shop.take(3, "tok_visa", "1.00").await.unwrap();
    assert_eq!(capture(PaymentId(3)).await.unwrap_err().code(), "INVALID_TRANSITION");
    assert_eq!(capture(PaymentId(99)).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(shop.event_types("PAYMENT").await, ["PAYMENT_CAPTURED", "PAYMENT_CAPTURED"]);
    shop.verify();
}

#[tokio::test]
async fn a_payment_is_visible_to_its_owner_and_to_administrators_only() {
    let shop = Shop::open();
    shop.take(1, "tok_visa", "1.00").await.unwrap();
    shop.take(100, "tok_visa", "2.00").await.unwrap();
    let get = |cx, id| shop.run(cx, GetPayment { id: PaymentId(id) });
    assert!(get(shop.user(OWNER.0), 1).await.is_ok() && get(shop.guest("guest"), 2).await.is_ok());
    for (cx, id) in [(shop.user(8), 1), (shop.user(OWNER.0), 2), (shop.guest("guess"), 2), (shop.guest("guest"), 1)] {
        assert_eq!(get(cx, id).await.unwrap_err().kind(), Kind::NotFound);
    }
    let list = async |cx, order: Option<i64>| {
        let op = ListPayments { order_id: order.map(OrderId), limit: Limit::default(), cursor: None };
        let page = shop.run(cx, op).await;
        page.map(|page| page.items.iter().map(|item| item.id.0).collect::<Vec<_>>())
    };
    assert_eq!(list(shop.cx(), None).await.unwrap(), [2, 1]);
    assert_eq!(list(shop.cx(), Some(100)).await.unwrap(), [2]);
    assert_eq!(list(shop.user(OWNER.0), None).await.unwrap(), [1]);
    assert_eq!(list(shop.user(8), None).await.unwrap(), [0_i64; 0]);
    assert_eq!(list(shop.guest("guest"), Some(100)).await.unwrap(), [2]);
    assert_eq!(list(shop.guest("guest"), None).await.unwrap_err().kind(), Kind::Schema);
    assert_eq!(list(shop.user(OWNER.0), Some(100)).await.unwrap_err().kind(), Kind::NotFound);
    let all = shop.call(ExportPayments { user_id: OWNER }).await.unwrap().0;
    assert_eq!((all[0]["orderId"].as_i64(), all.as_array().map(Vec::len)), (Some(1), Some(1)));
    assert!(!all.to_string().contains("tok_visa"));
}

#[tokio::test]
async fn lists_are_ordered_by_time_and_not_by_id() {
    let shop = Shop::open();
    let now = shop.node.clock.now();
    for (order, ago) in [(1, 30), (2, 60), (3, 10)] {
        let choice = promox_contract::payment::PaymentChoice {
            method: "CARD".into(),
            provider: None,
            token: Some("tok_visa".into()),
        };
        let (order_id, amount, currency) = (OrderId(order), "1".parse().unwrap(), Currency::GBP);
        let (user_id, capture_at) = (Some(OWNER), CaptureAt::Order);
        let op = TakePayment { order_id, amount, currency, choice, user_id, capture_at };
        let cx = promox_kernel::Cx { now: now - Duration::from_secs(ago), ..shop.cx() };
        shop.run(cx, op).await.unwrap();
    }
    let list = || ListPayments { order_id: None, limit: Limit::default(), cursor: None };
    for cx in [shop.cx(), shop.user(OWNER.0)] {
        let page = shop.run(cx, list()).await.unwrap();
        assert_eq!(page.items.iter().map(|item| item.order_id.0).collect::<Vec<_>>(), [3, 1, 2]);
    }
    shop.verify();
}
