//! A saga's steps: each is written once, by the driver that holds it, and the key's answer with the last one.

use promox_contract::ids::PaymentId;
use promox_contract::order::OrderStatus;
use promox_contract::payment::{PaymentFailed, PaymentOutcome, PaymentStatus};
use promox_storage::Recall;

use super::desk::{Desk, Line, claim, paid};
use crate::api::ShipOrder;
use crate::checkout::steps;
use crate::commands::{cancel, fulfil};
use crate::records::SagaStep;

const LINES: [Line; 2] = [("A", 2, "1.50", "0.00"), ("B", 1, "4.00", "1.00")];

#[tokio::test]
async fn a_checkout_goes_from_its_claim_to_its_answer() {
    let desk = Desk::open();
    let (held, draft) = desk.begin(&LINES, Some(claim("k"))).await;
    let recalled = desk.db.recall(&claim("k")).await.unwrap();
    assert!(matches!(recalled, Recall::Undecided(id) if id == held.order_id.0));
    desk.open_order(&held, &draft).await.unwrap();
    assert_eq!(desk.status(held.order_id).await, OrderStatus::Pending);
    let saga = desk.saga(held.order_id).await.unwrap();
    assert_eq!(saga.step, SagaStep::Paying);
    assert!(saga.draft.open().unwrap().order.is_none(), "the order's own rows say it now");
    let view = desk.confirm(&held).await.unwrap();
    assert_eq!((view.status, view.totals.total.to_string()), (OrderStatus::Confirmed, "6.00".to_owned()));
    assert!(desk.saga(held.order_id).await.is_none());
    assert!(matches!(desk.db.recall(&claim("k")).await.unwrap(), Recall::Decided(answer) if answer.status == 201));
    assert_eq!(desk.told().await, ["ORDER_CREATED", "ORDER_CONFIRMED"]);
    desk.verify();
}

#[tokio::test]
async fn what_is_made_ready_outside_is_what_would_be_written_inside() {
    let (inside, outside) = (Desk::open(), Desk::open());
    let mut left = Vec::new();
    for (desk, ready) in [(&inside, false), (&outside, true)] {
        let (held, draft) = desk.begin(&LINES, Some(claim("k"))).await;
        let opening = desk.open_order(&held, &draft).await.unwrap();
        let view = if ready {
            desk.confirm_opened(&held, &opening).await.unwrap().unwrap()
        } else {
            desk.confirm(&held).await.unwrap()
        };
        let Recall::Decided(kept) = desk.db.recall(&claim("k")).await.unwrap() else { panic!("nothing is kept") };
        let order = desk.db.read(|tx| steps::order(tx, held.order_id)).await.unwrap();
        left.push((format!("{order:?} {kept:?}"), serde_json::to_value(view).unwrap(), desk.told().await));
        assert!(desk.saga(held.order_id).await.is_none());
        desk.verify();
    }
    assert_eq!(left[0], left[1]);
}

#[tokio::test]
async fn an_order_that_somebody_changed_is_not_confirmed_as_it_was_opened() {
    let desk = Desk::open();
    let (held, draft) = desk.begin(&LINES, None).await;
    let opening = desk.open_order(&held, &draft).await.unwrap();
    let id = held.order_id;
    let erase = move |tx: &mut promox_storage::Tx<'_>| {
        let mut order = steps::order(tx, id)?;
        order.email = None;
        steps::touch(tx, &mut order)
    };
    desk.write(erase).await.unwrap();
    assert!(desk.confirm_opened(&held, &opening).await.unwrap().is_none());
    assert_eq!(desk.status(id).await, OrderStatus::Pending);
    assert_eq!(desk.confirm(&held).await.unwrap().email, None);
    assert!(desk.confirm_opened(&held, &opening).await.is_err(), "the saga is over");
    desk.verify();
}

#[tokio::test]
async fn the_same_key_begins_one_saga() {
    let desk = Desk::open();
    let (held, draft) = desk.begin(&LINES, Some(claim("k"))).await;
    let sealed = promox_kernel::Sealed::of(&draft).unwrap();
    let again = desk.write(move |tx| steps::begin(tx, &sealed, Some(&claim("k")), None)).await.unwrap();
    assert!(matches!(again, steps::Begun::Claimed(id) if id == held.order_id));
}

#[tokio::test]
async fn a_driver_that_lost_its_saga_writes_nothing_more() {
    let desk = Desk::open();
    let (first, draft) = desk.begin(&LINES, None).await;
    let id = first.order_id;
    let (second, step) = desk.write(move |tx| steps::take_up(tx, id)).await.unwrap().unwrap();
    assert_eq!(step, SagaStep::Holding);
    assert!(desk.open_order(&first, &draft).await.is_err());
    assert!(desk.db.read(|tx| steps::order(tx, id)).await.is_err(), "no order by the first");
    desk.open_order(&second, &draft).await.unwrap();
    assert!(desk.confirm(&first).await.is_err());
    assert_eq!(desk.status(id).await, OrderStatus::Pending);
    desk.confirm(&second).await.unwrap();
    assert!(desk.confirm(&second).await.is_err(), "confirmed once");
    desk.verify();
}

#[tokio::test]
async fn a_refusal_before_the_payment_leaves_no_order_and_no_claim() {
    let desk = Desk::open();
    let (held, _) = desk.begin(&LINES, Some(claim("k"))).await;
    desk.write(move |tx| steps::abandon(tx, &held)).await.unwrap();
    assert!(matches!(desk.db.recall(&claim("k")).await.unwrap(), Recall::New));
    assert_eq!(desk.told().await, [""; 0]);
    desk.verify();
}

#[tokio::test]
async fn a_decline_leaves_a_failed_order_that_is_undone_once() {
    let desk = Desk::open();
    let (held, draft) = desk.begin(&LINES, None).await;
    desk.open_order(&held, &draft).await.unwrap();
    let outcome = PaymentOutcome { status: PaymentStatus::Failed, decline_code: Some("DO_NOT_HONOR".into()), ..paid() };
    let driver = held.clone();
    desk.write(move |tx| steps::fail(tx, &driver, Some(&outcome), "The payment was declined.")).await.unwrap();
    assert_eq!(desk.status(held.order_id).await, OrderStatus::Failed);
    let saga = desk.saga(held.order_id).await.unwrap();
    assert_eq!(saga.step, SagaStep::Undoing);
    assert_eq!(saga.draft.open().unwrap().undo.unwrap().reason, "The payment was declined.");
    let driver = held.clone();
    desk.write(move |tx| steps::undone(tx, &driver, None)).await.unwrap();
    let driver = held.clone();
    assert!(desk.write(move |tx| steps::undone(tx, &driver, None)).await.is_err());
    assert_eq!(desk.told().await, ["ORDER_CREATED", "ORDER_FAILED"]);
    desk.verify();
}

#[tokio::test]
async fn a_cancel_takes_a_waiting_saga_over_and_leaves_a_running_one_alone() {
    let desk = Desk::open();
    let (held, draft) = desk.begin(&LINES, None).await;
    desk.open_order(&held, &draft).await.unwrap();
    let (id, cx) = (held.order_id, desk.buyer());
    let cancel = move |cx: promox_kernel::Cx| {
        move |tx: &mut promox_storage::Tx<'_>| cancel::cancel(tx, &cx, id, "changed my mind")
    };
    assert!(desk.write(cancel(cx.clone())).await.is_err(), "its payment is being taken");
    let (driver, waiting) = (held.clone(), PaymentOutcome { status: PaymentStatus::RequiresAction, ..paid() });
    desk.write(move |tx| steps::await_action(tx, &driver, &waiting)).await.unwrap();
    assert!(desk.write(cancel(cx.clone())).await.unwrap().is_some());
    assert!(desk.confirm(&held).await.is_err(), "a late yes finds another driver");
    assert!(desk.write(cancel(cx)).await.unwrap().is_none(), "cancelling again changes nothing");
    assert_eq!(desk.status(id).await, OrderStatus::Cancelled);
    assert_eq!(desk.told().await, ["ORDER_CREATED", "ORDER_CANCELLED"]);
    desk.verify();
}

#[tokio::test]
async fn an_order_whose_payment_is_voided_by_its_provider_is_cancelled_unless_goods_have_left() {
    for (ships, status) in [(false, OrderStatus::Cancelled), (true, OrderStatus::Shipped)] {
        let desk = Desk::open();
        let (held, draft) = desk.begin(&LINES, None).await;
        desk.open_order(&held, &draft).await.unwrap();
        let (driver, authorized) = (held.clone(), PaymentOutcome { status: PaymentStatus::Authorized, ..paid() });
        desk.write(move |tx| steps::confirm(tx, &driver, Some(&authorized))).await.unwrap();
        let id = held.order_id;
        if ships {
            let (cx, parcel) = (desk.cx(), ("Post".to_owned(), "1".to_owned()));
            let op = ShipOrder { id, items: None, carrier: parcel.0, tracking_number: parcel.1, confirm: false };
            desk.write(move |tx| fulfil::ship(tx, &cx, &op, Some(&paid()))).await.unwrap();
        }
        let failed = PaymentFailed { payment_id: PaymentId(1), order_id: id, code: "VOIDED".into() };
        desk.write(move |tx| Ok(tx.emit(1, &failed)?)).await.unwrap();
        desk.follow().await;
        assert_eq!(desk.status(id).await, status);
        let saga = desk.saga(id).await;
        assert_eq!(saga.is_some(), !ships, "what was held is given back by the saga that the sweeper finds");
        assert!(saga.is_none_or(|saga| saga.due_at <= desk.node.clock.now()));
        desk.verify();
    }
}
