//! Faults in every step of a checkout, of a compensation, and in every write: failures, refusals and crashes. The saga
//! must always end, either with everything held and paid once, or with nothing held and no money kept.

use std::sync::Arc;

use parking_lot::Mutex;
use promox_contract::campaign::{HoldBudgets, ReleaseBudgets};
use promox_contract::coupon::{HoldCoupons, ReleaseCoupons};
use promox_contract::flashsale::{HoldFlashReservations, ReleaseFlashReservations};
use promox_contract::ids::{CampaignId, FlashReservationId, FlashSaleId, OrderId, PromotionId};
use promox_contract::inventory::{HoldStock, ReleaseStock};
use promox_contract::order::OrderStatus;
use promox_contract::payment::{CancelPayment, GetOrderPayment, PaymentChoice, PaymentStatus, TakePayment};
use promox_contract::promotion::{AppliedPromotion, HoldUses, PromotionUse, ReleaseUses};
use promox_contract::reward::{HoldPoints, ReleasePoints};
use promox_kernel::{Amount, Error, Op};
use promox_testkit::saga::{Fault, Faults, Saga, run_steps, run_writes};

use super::fixture::{Fixture, Line, draft};
use super::stub_services::StubServices;
use crate::checkout::Driver;
use crate::checkout::draft::Draft;
use crate::checkout::transitions::{Resumable, SagaLease};
use crate::records::Order;

const LINES: [Line; 2] = [("A", 2, "1.50", "0.00"), ("B", 1, "4.00", "1.00")];

/// The forward steps, by the operations that they call.
const FORWARD: [&str; 7] = [
    HoldStock::NAME,
    HoldUses::NAME,
    HoldBudgets::NAME,
    HoldCoupons::NAME,
    HoldPoints::NAME,
    HoldFlashReservations::NAME,
    TakePayment::NAME,
];

/// The steps that release holds, in the order in which they are carried out.
const RELEASES: [&str; 6] = [
    ReleaseFlashReservations::NAME,
    ReleasePoints::NAME,
    ReleaseCoupons::NAME,
    ReleaseBudgets::NAME,
    ReleaseUses::NAME,
    ReleaseStock::NAME,
];

/// A draft that needs a hold in every service.
fn draft_with_all_holds() -> Draft {
    let mut draft = draft(&LINES);
    draft.choice = Some(PaymentChoice { method: "CARD".into(), provider: None, token: None });
    let one: Amount = "1.00".parse().unwrap();
    let order = draft.order.as_mut().unwrap();
    order.priced.lines[1].flash_sale_id = Some(FlashSaleId(4));
    order.priced.applied = vec![AppliedPromotion {
        promotion_id: PromotionId(1),
        name: "One off".into(),
        code: None,
        coupon_code: Some("ONE".into()),
        amount: one,
        shipping_amount: Amount::ZERO,
    }];
    order.priced.totals.points_redeemed = 100;
    order.priced.totals.points_value = one;
    order.priced.totals.total -= one;
    order.entitlements.flash_reservations = vec![FlashReservationId(9)];
    order.entitlements.uses = vec![PromotionUse {
        promotion_id: PromotionId(1),
        campaign_id: Some(CampaignId(2)),
        coupon_code: Some("ONE".into()),
        named: true,
        amount: one,
    }];
    draft
}

/// A checkout that has begun, and needs a hold in every service.
struct Checkout {
    fixture: Fixture,
    services: Arc<StubServices>,
    id: OrderId,
}

impl Saga for Checkout {
    async fn begin(faults: Arc<Faults>) -> Self {
        let services = StubServices::with_faults(faults.clone());
        let fixture = Fixture::open_with(faults, |setup| services.register(setup));
        services.record_in(&fixture.db);
        let (lease, _) = fixture.begin_with(draft_with_all_holds(), None).await;
        Self { fixture, services, id: lease.order_id }
    }

    async fn resume(&self, at_start: bool) {
        let Some(saga) = self.fixture.saga(self.id).await else { return };
        let resumable = if at_start {
            Resumable::Always
        } else {
            self.fixture.advance(saga.due_at.since(self.fixture.node.clock.now()));
            Resumable::DueAt(self.fixture.node.clock.now())
        };
        let _ = self.fixture.service.resume(&self.fixture.cx(), self.id, resumable).await;
    }

    async fn has_ended(&self) -> bool {
        self.fixture.saga(self.id).await.is_none()
    }

    async fn check(&self, tag: &str) -> bool {
        let (fixture, services) = (&self.fixture, &self.services);
        let id = self.id;
        let order = fixture.db.read(|tx| tx.get::<Order>(&id)).await.unwrap();
        let confirmed = order.as_ref().is_some_and(|order| order.status == OrderStatus::Confirmed);
        if confirmed {
            let all = ["campaign", "coupon", "flashsale", "inventory", "promotion", "reward"];
            assert_eq!(services.held(), all, "{tag}");
            assert_eq!((services.payment(), *services.charges.lock()), (Some(PaymentStatus::Captured), 1), "{tag}");
        } else {
            let payment_was_requested = services.payment().is_some();
            assert!(order.map_or(!payment_was_requested, |order| order.status == OrderStatus::Failed), "{tag}");
            assert_eq!(services.held(), [""; 0], "{tag}");
            assert_ne!(services.payment(), Some(PaymentStatus::Captured), "{tag}");
        }
        fixture.verify();
        confirmed
    }
}

/// A checkout that begins with its first chain, which begins the saga, takes the holds and opens the order.
struct NewCheckout {
    checkout: Checkout,
    /// The lease; `None` once the checkout has begun.
    lease: Mutex<Option<SagaLease>>,
}

impl NewCheckout {
    async fn place(&self) -> Result<(), Error> {
        let (fixture, lease) = (&self.checkout.fixture, self.lease.lock().take());
        let (cx, lease) = (fixture.cx(), lease.unwrap());
        Driver::new(&fixture.service, &cx, lease).place(&draft_with_all_holds(), None).await.map(drop)
    }
}

impl Saga for NewCheckout {
    async fn begin(faults: Arc<Faults>) -> Self {
        let services = StubServices::with_faults(faults.clone());
        let fixture = Fixture::open_with(faults, |setup| services.register(setup));
        services.record_in(&fixture.db);
        let lease = fixture.new_lease().await;
        let id = lease.order_id;
        Self { checkout: Checkout { fixture, services, id }, lease: Mutex::new(Some(lease)) }
    }

    async fn resume(&self, at_start: bool) {
        let is_new = self.lease.lock().is_some();
        if is_new {
            let _ = self.place().await;
        } else {
            self.checkout.resume(at_start).await;
        }
    }

    async fn has_ended(&self) -> bool {
        self.checkout.has_ended().await
    }

    async fn check(&self, tag: &str) -> bool {
        self.checkout.check(tag).await
    }
}

/// The number of writes of a checkout: it begins or is resumed, opens the order, records the payment, and confirms the
/// order.
const WRITES: u32 = 4;

#[tokio::test]
async fn a_checkout_ends_whichever_step_fails() {
    run_steps::<Checkout>(&[], &FORWARD, &Fault::ALL, |run| {
        let is_payment_retried = run.step == TakePayment::NAME && run.fault != Fault::Refused;
        let expected = run.fault.is_crash() || is_payment_retried;
        let why = "a payment is retried, a failed hold ends the checkout, and a crash is recovered from";
        assert_eq!((run.reached, run.done), (true, expected), "{}: {why}", run.tag());
    })
    .await;
}

#[tokio::test]
async fn a_checkout_ends_whichever_write_fails() {
    let faults = [Fault::FailsBefore, Fault::CrashesBefore, Fault::CrashesAfter];
    run_writes::<Checkout>(WRITES, &faults, |nth, fault, confirmed| {
        assert!(confirmed, "write {nth} {fault:?}: no order is lost while the store is unavailable for a moment");
    })
    .await;
}

#[tokio::test]
async fn a_compensation_ends_whichever_step_fails() {
    let steps = [&[CancelPayment::NAME][..], &RELEASES, &[GetOrderPayment::NAME]].concat();
    run_steps::<Checkout>(&[(TakePayment::NAME, Fault::Refused)], &steps, &Fault::TRANSIENT, |run| {
        assert_eq!((run.reached, run.done), (true, false), "{}", run.tag());
    })
    .await;
}

#[tokio::test]
async fn a_refused_hold_releases_the_others_whichever_step_fails() {
    run_steps::<Checkout>(&[(HoldCoupons::NAME, Fault::Refused)], &RELEASES, &Fault::TRANSIENT, |run| {
        // After a failed release the saga takes its holds again, and by then the refusal may have passed.
        assert!(run.reached && (!run.done || run.step == ReleaseFlashReservations::NAME), "{}", run.tag());
    })
    .await;
}

#[tokio::test]
async fn a_checkout_continues_after_a_crash_at_any_link_of_its_first_chain() {
    run_steps::<NewCheckout>(&[], &FORWARD, &[Fault::CrashesBefore, Fault::CrashesAfter], |run| {
        assert_eq!((run.reached, run.done), (true, true), "{}: nothing was refused", run.tag());
    })
    .await;
    run_writes::<NewCheckout>(WRITES, &[Fault::CrashesBefore, Fault::CrashesAfter], |nth, fault, confirmed| {
        let begun = (nth, fault) != (1, Fault::CrashesBefore);
        assert_eq!(
            confirmed, begun,
            "write {nth} {fault:?}: a checkout that has begun is confirmed, another leaves nothing"
        );
    })
    .await;
}

#[tokio::test]
async fn a_refusal_releases_the_holds_that_the_chain_took_before_it() {
    for (number, step) in FORWARD[..6].iter().enumerate() {
        let faults = Arc::new(Faults::default());
        faults.plan(step, Fault::Refused);
        let placed = NewCheckout::begin(faults).await;
        let refusal = placed.place().await.unwrap_err();
        assert_eq!(refusal.code(), "REFUSED", "{step}");
        assert!(placed.has_ended().await && !placed.check(step).await, "{step}");
        // Refused stock needs no release, and neither do holds that were never requested.
        let released = placed.checkout.services.released().len();
        assert_eq!(released, if number == 0 { 0 } else { number + 1 }, "{step}");
    }
}
