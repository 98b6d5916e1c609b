//! The steps of a saga: each is written once, by the driver with the lease; the last one stores the reply.

use std::time::Duration;

use promox_contract::ids::{OrderId, PaymentId};
use promox_contract::order::{OrderStatus, ResumeCheckout};
use promox_contract::payment::{PaymentFailed, PaymentOutcome, PaymentStatus};
use promox_contract::user::ExportOrders;
use promox_kernel::{Handle as _, Timestamp};
use promox_storage::{Recall, Tx};

use super::fixture::{BUYER, Fixture, Line, claim, paid};
use crate::api::ShipOrder;
use crate::checkout::transitions::{self, Resumable};
use crate::commands::{cancel, fulfil};
use crate::order_row;
use crate::records::{Order, SagaStep};

const LINES: [Line; 2] = [("A", 2, "1.50", "0.00"), ("B", 1, "4.00", "1.00")];

#[tokio::test]
async fn a_checkout_claims_its_key_and_stores_its_reply() {
    let fixture = Fixture::open();
    let (lease, draft) = fixture.begin(&LINES, Some(claim("k"))).await;
    let recalled = fixture.db.recall(&claim("k")).await.unwrap();
    assert!(matches!(recalled, Recall::Undecided(id) if id == lease.order_id.0));
    fixture.open_order(&lease, &draft).await.unwrap();
    assert_eq!(fixture.status(lease.order_id).await, OrderStatus::Pending);
    let saga = fixture.saga(lease.order_id).await.unwrap();
    assert_eq!(saga.step, SagaStep::Paying);
    assert!(saga.draft.decode().unwrap().order.is_none(), "the order has rows of its own now");
    let view = fixture.confirm(&lease).await.unwrap();
    assert_eq!((view.status, view.totals.total.to_string()), (OrderStatus::Confirmed, "6.00".to_owned()));
    assert!(fixture.saga(lease.order_id).await.is_none());
    assert!(matches!(fixture.db.recall(&claim("k")).await.unwrap(), Recall::Decided(answer) if answer.status == 201));
    assert_eq!(fixture.event_types("").await, ["ORDER_CREATED", "ORDER_CONFIRMED"]);
    fixture.verify();
}

#[tokio::test]
async fn prepared_rows_equal_those_of_a_confirmation_without_them() {
    let (without, with) = (Fixture::open(), Fixture::open());
    let mut results = Vec::new();
    for (fixture, is_prepared) in [(&without, false), (&with, true)] {
        let (lease, draft) = fixture.begin(&LINES, Some(claim("k"))).await;
        let pending = fixture.open_order(&lease, &draft).await.unwrap();
        let view = if is_prepared {
            let (used, view) = fixture.confirm_prepared(&lease, &pending).await.unwrap();
            assert!(used);
            view
        } else {
            fixture.confirm(&lease).await.unwrap()
        };
        let Recall::Decided(reply) = fixture.db.recall(&claim("k")).await.unwrap() else {
            panic!("no reply is stored")
        };
        let order = fixture.db.read(|tx| order_row::load(tx, lease.order_id)).await.unwrap();
        results.push((
            format!("{order:?} {reply:?}"),
            serde_json::to_value(view).unwrap(),
            fixture.event_types("").await,
        ));
        assert!(fixture.saga(lease.order_id).await.is_none());
        fixture.verify();
    }
    assert_eq!(results[0], results[1]);
}

#[tokio::test]
async fn prepared_rows_are_not_used_for_an_order_that_has_changed() {
    let fixture = Fixture::open();
    let (lease, draft) = fixture.begin(&LINES, None).await;
    let pending = fixture.open_order(&lease, &draft).await.unwrap();
    let id = lease.order_id;
    let erase = move |tx: &mut promox_storage::Tx<'_>| {
        let mut order = order_row::load(tx, id)?;
        order.email = None;
        order_row::touch(tx, &mut order)
    };
    fixture.write(erase).await.unwrap();
    let (used, view) = fixture.confirm_prepared(&lease, &pending).await.unwrap();
    assert!(!used, "the prepared rows are those of the unchanged order");
    assert_eq!((view.status, view.email), (OrderStatus::Confirmed, None));
    assert!(fixture.confirm_prepared(&lease, &pending).await.is_err(), "the saga has ended");
    fixture.verify();
}

#[tokio::test]
async fn a_key_begins_one_saga() {
    let fixture = Fixture::open();
    let (lease, draft) = fixture.begin(&LINES, Some(claim("k"))).await;
    let (sealed, lease_end) =
        (promox_kernel::EncodedJson::encode(&draft).unwrap(), transitions::lease_end(&fixture.cx()));
    let other = fixture.new_lease().await.order_id;
    let again =
        fixture.write(move |tx| transitions::begin(tx, other, &sealed, Some(&claim("k")), None, lease_end)).await;
    assert_eq!(again.unwrap_err().code(), promox_contract::codes::CHECKOUT_IN_PROGRESS);
    assert!(fixture.saga(other).await.is_none());
    assert!(matches!(fixture.db.recall(&claim("k")).await.unwrap(), Recall::Undecided(id) if id == lease.order_id.0));
}

#[tokio::test]
async fn a_driver_that_lost_its_lease_cannot_write() {
    let fixture = Fixture::open();
    let (first, draft) = fixture.begin(&LINES, None).await;
    let id = first.order_id;
    let lease_end = transitions::lease_end(&fixture.cx());
    let resume = move |tx: &mut promox_storage::Tx<'_>| transitions::resume(tx, id, Resumable::Always, lease_end);
    let (second, step) = fixture.write(resume).await.unwrap().unwrap();
    assert_eq!(step, SagaStep::Holding);
    assert!(fixture.open_order(&first, &draft).await.is_err());
    assert!(fixture.db.read(|tx| order_row::load(tx, id)).await.is_err(), "the first driver wrote no order");
    fixture.open_order(&second, &draft).await.unwrap();
    assert!(fixture.confirm(&first).await.is_err());
    assert_eq!(fixture.status(id).await, OrderStatus::Pending);
    fixture.confirm(&second).await.unwrap();
    assert!(fixture.confirm(&second).await.is_err(), "an order is confirmed once");
    fixture.verify();
}

#[tokio::test]
async fn a_refusal_before_the_payment_leaves_no_order_and_no_claim() {
    let fixture = Fixture::open();
    let (lease, _) = fixture.begin(&LINES, Some(claim("k"))).await;
    fixture.write(move |tx| transitions::abandon(tx, &lease)).await.unwrap();
    assert!(matches!(fixture.db.recall(&claim("k")).await.unwrap(), Recall::New));
    assert_eq!(fixture.event_types("").await, [""; 0]);
    fixture.verify();
}

#[tokio::test]
async fn a_declined_payment_leaves_a_failed_order_that_is_compensated_once() {
    let fixture = Fixture::open();
    let (lease, draft) = fixture.begin(&LINES, None).await;
    fixture.open_order(&lease, &draft).await.unwrap();
    let outcome = PaymentOutcome { status: PaymentStatus::Failed, decline_code: Some("DO_NOT_HONOR".into()), ..paid() };
    let driver = lease.clone();
    fixture.write(move |tx| transitions::fail(tx, &driver, Some(&outcome), "The payment was declined.")).await.unwrap();
    assert_eq!(fixture.status(lease.order_id).await, OrderStatus::Failed);
    let saga = fixture.saga(lease.order_id).await.unwrap();
    assert_eq!(saga.step, SagaStep::Undoing);
    assert_eq!(saga.draft.decode().unwrap().undo.unwrap().reason, "The payment was declined.");
    let driver = lease.clone();
    fixture.write(move |tx| transitions::compensated(tx, &driver, None)).await.unwrap();
    let driver = lease.clone();
    assert!(fixture.write(move |tx| transitions::compensated(tx, &driver, None)).await.is_err());
    assert_eq!(fixture.event_types("").await, ["ORDER_CREATED", "ORDER_FAILED"]);
    fixture.verify();
}

#[tokio::test]
async fn a_cancel_takes_over_a_waiting_saga_and_is_refused_during_a_running_one() {
    let fixture = Fixture::open();
    let (lease, draft) = fixture.begin(&LINES, None).await;
    fixture.open_order(&lease, &draft).await.unwrap();
    let (id, cx) = (lease.order_id, fixture.buyer());
    let cancel = move |cx: promox_kernel::Cx| {
        move |tx: &mut promox_storage::Tx<'_>| {
            cancel::cancel(tx, &cx, id, "changed my mind", transitions::lease_end(&cx))
        }
    };
    assert!(fixture.write(cancel(cx.clone())).await.is_err(), "the payment is being taken");
    let (driver, waiting) = (lease.clone(), PaymentOutcome { status: PaymentStatus::RequiresAction, ..paid() });
    fixture.write(move |tx| transitions::await_action(tx, &driver, &waiting)).await.unwrap();
    assert!(fixture.write(cancel(cx.clone())).await.unwrap().is_some());
    assert!(fixture.confirm(&lease).await.is_err(), "a late confirmation finds another lease");
    assert!(fixture.write(cancel(cx)).await.unwrap().is_none(), "cancelling again changes nothing");
    assert_eq!(fixture.status(id).await, OrderStatus::Cancelled);
    assert_eq!(fixture.event_types("").await, ["ORDER_CREATED", "ORDER_CANCELLED"]);
    fixture.verify();
}

#[tokio::test]
async fn an_order_whose_payment_is_voided_is_cancelled_unless_goods_were_shipped() {
    for (ships, status) in [(false, OrderStatus::Cancelled), (true, OrderStatus::Shipped)] {
        let fixture = Fixture::open();
        let (lease, draft) = fixture.begin(&LINES, None).await;
        fixture.open_order(&lease, &draft).await.unwrap();
        let (driver, authorized) = (lease.clone(), PaymentOutcome { status: PaymentStatus::Authorized, ..paid() });
        fixture.write(move |tx| transitions::confirm(tx, &driver, Some(&authorized), None)).await.unwrap();
        let id = lease.order_id;
        if ships {
            let (cx, parcel) = (fixture.cx(), ("Post".to_owned(), "1".to_owned()));
            let op = ShipOrder { id, items: None, carrier: parcel.0, tracking_number: parcel.1, confirm: false };
            fixture.write(move |tx| fulfil::ship(tx, &cx, &op, Some(&paid()))).await.unwrap();
        }
        let failed = PaymentFailed { payment_id: PaymentId(1), order_id: id, code: "VOIDED".into() };
        fixture.write(move |tx| Ok(tx.emit(1, &failed)?)).await.unwrap();
        fixture.consume().await;
        assert_eq!(fixture.status(id).await, status);
        let saga = fixture.saga(id).await;
        assert_eq!(saga.is_some(), !ships, "the job finds a saga that releases the holds");
        assert!(saga.is_none_or(|saga| saga.due_at <= fixture.node.clock.now()));
        fixture.verify();
    }
}

#[tokio::test]
async fn a_lease_ends_shortly_after_its_drivers_deadline() {
    let fixture = Fixture::open();
    let now = fixture.node.clock.now();
    for limit in [Duration::ZERO, Duration::from_millis(1_500), Duration::from_secs(30)] {
        let cx = promox_kernel::Cx::system(&fixture.node, "test", limit);
        let duration = transitions::lease_end(&cx).since(now);
        let max = limit + Duration::from_secs(1);
        assert!(duration >= Duration::from_secs(1) && duration <= max, "{limit:?} {duration:?}");
    }
}

#[tokio::test]
async fn a_due_saga_is_resumed_by_one_driver() {
    let fixture = Fixture::open();
    let (lease, _) = fixture.begin(&LINES, None).await;
    let (id, due) = (lease.order_id, fixture.saga(lease.order_id).await.unwrap().due_at);
    let resume = async |at: Timestamp| {
        let lease_end = at + Duration::from_secs(30);
        fixture.write(move |tx| transitions::resume(tx, id, Resumable::DueAt(at), lease_end)).await.unwrap()
    };
    assert!(resume(due - Duration::from_micros(1)).await.is_none(), "its lease has not ended");
    assert_eq!(resume(due).await.unwrap().0.attempt, 2);
    assert!(resume(due).await.is_none(), "another driver has the lease");
}

#[tokio::test]
async fn a_driver_that_cannot_continue_ends_its_lease_at_once() {
    let fixture = Fixture::open();
    let (lease, _) = fixture.begin(&LINES, None).await;
    // No service for stock and payments is registered here.
    for (tries, pause) in [(1, 1), (2, 2), (3, 4)] {
        fixture.service.resume(&fixture.cx(), lease.order_id, Resumable::Always).await.unwrap_err();
        let saga = fixture.saga(lease.order_id).await.unwrap();
        let wait = saga.due_at.since(fixture.node.clock.now()).as_secs();
        assert_eq!((saga.tries, wait, saga.last_error.is_some()), (tries, pause, true));
    }
    fixture.verify();
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_asked_less_and_less_often() {
    let fixture = Fixture::open();
    let (mut lease, draft) = fixture.begin(&LINES, None).await;
    fixture.open_order(&lease, &draft).await.unwrap();
    for (tries, pause) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 32)] {
        let driver = lease.clone();
        let order = fixture.write(move |tx| transitions::retry_payment_later(tx, &driver, None)).await.unwrap();
        assert!(order.undecided);
        let saga = fixture.saga(lease.order_id).await.unwrap();
        let wait = saga.due_at.since(fixture.node.clock.now()).as_secs();
        assert_eq!((saga.tries, wait, saga.last_error.is_some()), (tries, pause, true));
        fixture.advance(Duration::from_secs(pause));
        let (id, now) = (lease.order_id, fixture.node.clock.now());
        let take = move |tx: &mut Tx<'_>| transitions::resume(tx, id, Resumable::DueAt(now), now);
        (lease, _) = fixture.write(take).await.unwrap().unwrap();
    }
    fixture.confirm(&lease).await.unwrap();
    fixture.verify();
}

#[tokio::test]
async fn a_checkout_is_resumed_only_after_its_lease_has_ended() {
    let fixture = Fixture::open();
    let (lease, draft) = fixture.begin(&LINES, None).await;
    let (id, attempt) = (lease.order_id, |saga: Option<crate::records::Saga>| saga.map(|saga| saga.attempt));
    let resume = async || fixture.service.handle(&fixture.cx(), ResumeCheckout { order_id: id }).await;
    assert_eq!(resume().await.unwrap().again_at, None, "the payment is not being taken yet");
    fixture.open_order(&lease, &draft).await.unwrap();
    let due = fixture.saga(id).await.unwrap().due_at;
    assert_eq!(resume().await.unwrap().again_at, Some(due));
    assert_eq!(attempt(fixture.saga(id).await), Some(1), "the running driver keeps its lease");
    fixture.advance(due.since(fixture.node.clock.now()));
    assert_eq!(resume().await.unwrap().again_at, None, "the checkout has ended");
    assert_eq!((fixture.status(id).await, attempt(fixture.saga(id).await)), (OrderStatus::Confirmed, None));
    fixture.verify();
}

#[tokio::test]
async fn a_key_is_kept_until_its_checkout_is_decided() {
    let fixture = Fixture::open();
    let (lease, draft) = fixture.begin(&LINES, Some(claim("k"))).await;
    fixture.open_order(&lease, &draft).await.unwrap();
    let day = Duration::from_hours(30);
    fixture.advance(day);
    assert!(!fixture.db.prune_keys(&fixture.cx()).await.unwrap());
    let recalled = fixture.db.recall(&claim("k")).await.unwrap();
    assert!(
        matches!(recalled, Recall::Undecided(id) if id == lease.order_id.0),
        "a repeated request does not begin another checkout"
    );
    fixture.confirm(&lease).await.unwrap();
    fixture.advance(day);
    fixture.db.prune_keys(&fixture.cx()).await.unwrap();
    assert!(matches!(fixture.db.recall(&claim("k")).await.unwrap(), Recall::New));
    fixture.verify();
}

#[tokio::test]
async fn a_checkout_whose_last_write_was_refused_is_decided_a_second_later() {
    let fixture = Fixture::open();
    let (lease, draft) = fixture.begin(&LINES, Some(claim("k"))).await;
    fixture.open_order(&lease, &draft).await.unwrap();
    // The first write resumes the saga; the second, its last step, is refused.
    fixture.engine.refuse_write(2);
    let refused = fixture.service.resume(&fixture.cx(), lease.order_id, Resumable::Always).await.unwrap_err();
    assert!(refused.is_transient(), "{refused}");
    let repeat = async || fixture.service.present(lease.order_id).await.unwrap();
    assert!(repeat().await.undecided, "a repeated request gets the current state");
    fixture.advance(Duration::from_secs(1));
    let now = fixture.node.clock.now();
    fixture.service.resume(&fixture.cx(), lease.order_id, Resumable::DueAt(now)).await.unwrap();
    assert_eq!((repeat().await.status, repeat().await.undecided), (OrderStatus::Confirmed, false));
    assert!(matches!(fixture.db.recall(&claim("k")).await.unwrap(), Recall::Decided(answer) if answer.status == 201));
    fixture.verify();
}

#[tokio::test]
async fn the_personal_export_has_every_order() {
    let fixture = Fixture::open();
    let id = fixture.confirmed_order(&[("A", 1, "1.00", "0")]).await;
    let own = fixture.db.read(|tx| order_row::load(tx, id)).await.unwrap();
    for first in (1..=10_000).step_by(1_000) {
        let own = own.clone();
        let copies = move |tx: &mut Tx<'_>| {
            (first..first + 1_000).try_for_each(|n| {
                let copy = Order { id: OrderId(id.0 + n), number: format!("{n}"), ..own.clone() };
                Ok(tx.insert(&copy)?)
            })
        };
        fixture.write(copies).await.unwrap();
    }
    let exported = fixture.call(ExportOrders { user_id: BUYER }).await.unwrap().0;
    assert_eq!(exported.as_array().map(Vec::len), Some(10_001));
}
