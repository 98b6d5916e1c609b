//! A saga's steps: each is written once, by the driver that holds it, and the key's answer with the last one.

use std::time::Duration;

use promox_contract::ids::PaymentId;
use promox_contract::order::{OrderStatus, ResumeCheckout};
use promox_contract::payment::{PaymentFailed, PaymentOutcome, PaymentStatus};
use promox_kernel::{Handle as _, Timestamp};
use promox_storage::Recall;

use super::desk::{Desk, Line, claim, paid};
use crate::api::ShipOrder;
use crate::checkout::transitions::{self, Resumable};
use crate::commands::{cancel, fulfil};
use crate::order_row;
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
    assert_eq!(desk.event_types("").await, ["ORDER_CREATED", "ORDER_CONFIRMED"]);
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
            let (used, view) = desk.confirm_prepared(&held, &opening).await.unwrap();
            assert!(used);
            view
        } else {
            desk.confirm(&held).await.unwrap()
        };
        let Recall::Decided(kept) = desk.db.recall(&claim("k")).await.unwrap() else { panic!("nothing is kept") };
        let order = desk.db.read(|tx| order_row::load(tx, held.order_id)).await.unwrap();
        left.push((format!("{order:?} {kept:?}"), serde_json::to_value(view).unwrap(), desk.event_types("").await));
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
        let mut order = order_row::load(tx, id)?;
        order.email = None;
        order_row::touch(tx, &mut order)
    };
    desk.write(erase).await.unwrap();
    let (used, view) = desk.confirm_prepared(&held, &opening).await.unwrap();
    assert!(!used, "what was made ready is of the order as it was opened");
    assert_eq!((view.status, view.email), (OrderStatus::Confirmed, None));
    assert!(desk.confirm_prepared(&held, &opening).await.is_err(), "the saga is over");
    desk.verify();
}

#[tokio::test]
async fn the_same_key_begins_one_saga() {
    let desk = Desk::open();
    let (held, draft) = desk.begin(&LINES, Some(claim("k"))).await;
    let (sealed, until) = (promox_kernel::Sealed::of(&draft).unwrap(), transitions::lease_end(&desk.cx()));
    let other = desk.new_lease().await.order_id;
    let again = desk.write(move |tx| transitions::begin(tx, other, &sealed, Some(&claim("k")), None, until)).await;
    assert_eq!(again.unwrap_err().code(), promox_contract::codes::CHECKOUT_IN_PROGRESS);
    assert!(desk.saga(other).await.is_none());
    assert!(matches!(desk.db.recall(&claim("k")).await.unwrap(), Recall::Undecided(id) if id == held.order_id.0));
}

#[tokio::test]
async fn a_driver_that_lost_its_saga_writes_nothing_more() {
    let desk = Desk::open();
    let (first, draft) = desk.begin(&LINES, None).await;
    let id = first.order_id;
    let until = transitions::lease_end(&desk.cx());
    let take_up = move |tx: &mut promox_storage::Tx<'_>| transitions::resume(tx, id, Resumable::Always, until);
    let (second, step) = desk.write(take_up).await.unwrap().unwrap();
    assert_eq!(step, SagaStep::Holding);
    assert!(desk.open_order(&first, &draft).await.is_err());
    assert!(desk.db.read(|tx| order_row::load(tx, id)).await.is_err(), "no order by the first");
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
    desk.write(move |tx| transitions::abandon(tx, &held)).await.unwrap();
    assert!(matches!(desk.db.recall(&claim("k")).await.unwrap(), Recall::New));
    assert_eq!(desk.event_types("").await, [""; 0]);
    desk.verify();
}

#[tokio::test]
async fn a_decline_leaves_a_failed_order_that_is_undone_once() {
    let desk = Desk::open();
    let (held, draft) = desk.begin(&LINES, None).await;
    desk.open_order(&held, &draft).await.unwrap();
    let outcome = PaymentOutcome { status: PaymentStatus::Failed, decline_code: Some("DO_NOT_HONOR".into()), ..paid() };
    let driver = held.clone();
    desk.write(move |tx| transitions::fail(tx, &driver, Some(&outcome), "The payment was declined.")).await.unwrap();
    assert_eq!(desk.status(held.order_id).await, OrderStatus::Failed);
    let saga = desk.saga(held.order_id).await.unwrap();
    assert_eq!(saga.step, SagaStep::Undoing);
    assert_eq!(saga.draft.open().unwrap().undo.unwrap().reason, "The payment was declined.");
    let driver = held.clone();
    desk.write(move |tx| transitions::compensated(tx, &driver, None)).await.unwrap();
    let driver = held.clone();
    assert!(desk.write(move |tx| transitions::compensated(tx, &driver, None)).await.is_err());
    assert_eq!(desk.event_types("").await, ["ORDER_CREATED", "ORDER_FAILED"]);
    desk.verify();
}

#[tokio::test]
async fn a_cancel_takes_a_waiting_saga_over_and_leaves_a_running_one_alone() {
    let desk = Desk::open();
    let (held, draft) = desk.begin(&LINES, None).await;
    desk.open_order(&held, &draft).await.unwrap();
    let (id, cx) = (held.order_id, desk.buyer());
    let cancel = move |cx: promox_kernel::Cx| {
        move |tx: &mut promox_storage::Tx<'_>| {
            cancel::cancel(tx, &cx, id, "changed my mind", transitions::lease_end(&cx))
        }
    };
    assert!(desk.write(cancel(cx.clone())).await.is_err(), "its payment is being taken");
    let (driver, waiting) = (held.clone(), PaymentOutcome { status: PaymentStatus::RequiresAction, ..paid() });
    desk.write(move |tx| transitions::await_action(tx, &driver, &waiting)).await.unwrap();
    assert!(desk.write(cancel(cx.clone())).await.unwrap().is_some());
    assert!(desk.confirm(&held).await.is_err(), "a late yes finds another driver");
    assert!(desk.write(cancel(cx)).await.unwrap().is_none(), "cancelling again changes nothing");
    assert_eq!(desk.status(id).await, OrderStatus::Cancelled);
    assert_eq!(desk.event_types("").await, ["ORDER_CREATED", "ORDER_CANCELLED"]);
    desk.verify();
}

#[tokio::test]
async fn an_order_whose_payment_is_voided_by_its_provider_is_cancelled_unless_goods_have_left() {
    for (ships, status) in [(false, OrderStatus::Cancelled), (true, OrderStatus::Shipped)] {
        let desk = Desk::open();
        let (held, draft) = desk.begin(&LINES, None).await;
        desk.open_order(&held, &draft).await.unwrap();
        let (driver, authorized) = (held.clone(), PaymentOutcome { status: PaymentStatus::Authorized, ..paid() });
        desk.write(move |tx| transitions::confirm(tx, &driver, Some(&authorized), None)).await.unwrap();
        let id = held.order_id;
        if ships {
            let (cx, parcel) = (desk.cx(), ("Post".to_owned(), "1".to_owned()));
            let op = ShipOrder { id, items: None, carrier: parcel.0, tracking_number: parcel.1, confirm: false };
            desk.write(move |tx| fulfil::ship(tx, &cx, &op, Some(&paid()))).await.unwrap();
        }
        let failed = PaymentFailed { payment_id: PaymentId(1), order_id: id, code: "VOIDED".into() };
        desk.write(move |tx| Ok(tx.emit(1, &failed)?)).await.unwrap();
        desk.consume().await;
        assert_eq!(desk.status(id).await, status);
        let saga = desk.saga(id).await;
        assert_eq!(saga.is_some(), !ships, "what was held is given back by the saga that the sweeper finds");
        assert!(saga.is_none_or(|saga| saga.due_at <= desk.node.clock.now()));
        desk.verify();
    }
}

#[tokio::test]
async fn a_lease_ends_with_its_driver() {
    let desk = Desk::open();
    let now = desk.node.clock.now();
    for limit in [Duration::ZERO, Duration::from_millis(1_500), Duration::from_secs(30)] {
        let cx = promox_kernel::Cx::system(&desk.node, "test", limit);
        let held_for = transitions::lease_end(&cx).since(now);
        let most = limit + Duration::from_secs(1);
        assert!(held_for >= Duration::from_secs(1) && held_for <= most, "{limit:?} {held_for:?}");
    }
}

#[tokio::test]
async fn a_saga_is_taken_up_when_it_is_due_and_by_one() {
    let desk = Desk::open();
    let (held, _) = desk.begin(&LINES, None).await;
    let (id, due) = (held.order_id, desk.saga(held.order_id).await.unwrap().due_at);
    let take_up = async |at: Timestamp| {
        let until = at + Duration::from_secs(30);
        desk.write(move |tx| transitions::resume(tx, id, Resumable::DueAt(at), until)).await.unwrap()
    };
    assert!(take_up(due - Duration::from_micros(1)).await.is_none(), "it is driven");
    assert_eq!(take_up(due).await.unwrap().0.attempt, 2);
    assert!(take_up(due).await.is_none(), "somebody has it");
}

#[tokio::test]
async fn a_driver_that_cannot_go_on_hands_its_saga_over_at_once() {
    let desk = Desk::open();
    let (held, _) = desk.begin(&LINES, None).await;
    // Nobody answers for stock and payments here.
    for (tries, pause) in [(1, 1), (2, 2), (3, 4)] {
        desk.service.resume(&desk.cx(), held.order_id, Resumable::Always).await.unwrap_err();
        let saga = desk.saga(held.order_id).await.unwrap();
        let wait = saga.due_at.since(desk.node.clock.now()).as_secs();
        assert_eq!((saga.tries, wait, saga.last_error.is_some()), (tries, pause, true));
    }
    desk.verify();
}

#[tokio::test]
async fn a_checkout_that_is_resumed_is_taken_up_only_when_nobody_drives_it() {
    let desk = Desk::open();
    let (held, draft) = desk.begin(&LINES, None).await;
    let (id, attempt) = (held.order_id, |saga: Option<crate::records::Saga>| saga.map(|saga| saga.attempt));
    let resume = async || desk.service.handle(&desk.cx(), ResumeCheckout { order_id: id }).await;
    assert_eq!(resume().await.unwrap().again_at, None, "its payment is not to be taken yet");
    desk.open_order(&held, &draft).await.unwrap();
    let due = desk.saga(id).await.unwrap().due_at;
    assert_eq!(resume().await.unwrap().again_at, Some(due));
    assert_eq!(attempt(desk.saga(id).await), Some(1), "its driver is left alone");
    desk.advance(due.since(desk.node.clock.now()));
    assert_eq!(resume().await.unwrap().again_at, None, "it was driven to its end");
    assert_eq!((desk.status(id).await, attempt(desk.saga(id).await)), (OrderStatus::Confirmed, None));
    desk.verify();
}

#[tokio::test]
async fn a_key_outlives_its_day_until_it_is_decided() {
    let desk = Desk::open();
    let (held, draft) = desk.begin(&LINES, Some(claim("k"))).await;
    desk.open_order(&held, &draft).await.unwrap();
    let day = Duration::from_hours(30);
    desk.advance(day);
    assert!(!desk.db.prune_keys(&desk.cx()).await.unwrap());
    let recalled = desk.db.recall(&claim("k")).await.unwrap();
    assert!(matches!(recalled, Recall::Undecided(id) if id == held.order_id.0), "the same request is not done twice");
    desk.confirm(&held).await.unwrap();
    desk.advance(day);
    desk.db.prune_keys(&desk.cx()).await.unwrap();
    assert!(matches!(desk.db.recall(&claim("k")).await.unwrap(), Recall::New));
    desk.verify();
}

#[tokio::test]
async fn a_checkout_whose_last_step_the_store_was_too_busy_for_is_decided_a_second_later() {
    let desk = Desk::open();
    let (held, draft) = desk.begin(&LINES, Some(claim("k"))).await;
    desk.open_order(&held, &draft).await.unwrap();
    // It is taken up by the first write; the second, its last step, is refused.
    desk.engine.refuse_write(2);
    let refused = desk.service.resume(&desk.cx(), held.order_id, Resumable::Always).await.unwrap_err();
    assert!(refused.will_pass(), "{refused}");
    let twin = async || desk.service.present(held.order_id).await.unwrap();
    assert!(twin().await.undecided, "the same key is told the present state");
    desk.advance(Duration::from_secs(1));
    let now = desk.node.clock.now();
    desk.service.resume(&desk.cx(), held.order_id, Resumable::DueAt(now)).await.unwrap();
    assert_eq!((twin().await.status, twin().await.undecided), (OrderStatus::Confirmed, false));
    assert!(matches!(desk.db.recall(&claim("k")).await.unwrap(), Recall::Decided(answer) if answer.status == 201));
    desk.verify();
}
