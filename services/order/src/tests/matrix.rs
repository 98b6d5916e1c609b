//! The matrix of the checkout: every step fails, is refused, crashes and is repeated; so does every step of a compensation, and
//! every write. Whatever happens, the saga ends: with everything held and paid for once, or with nothing held and no money kept.

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

use super::desk::{Desk, Line, draft};
use super::others::Others;
use crate::checkout::Driver;
use crate::checkout::draft::Draft;
use crate::checkout::transitions::{Resumable, SagaLease};
use crate::records::Order;

const LINES: [Line; 2] = [("A", 2, "1.50", "0.00"), ("B", 1, "4.00", "1.00")];

/// The steps that go forward, by the operations that they ask of others.
const FORWARD: [&str; 7] = [
    HoldStock::NAME,
    HoldUses::NAME,
    HoldBudgets::NAME,
    HoldCoupons::NAME,
    HoldPoints::NAME,
    HoldFlashReservations::NAME,
    TakePayment::NAME,
];

/// The steps that release holds, in their order.
const RELEASES: [&str; 6] = [
    ReleaseFlashReservations::NAME,
    ReleasePoints::NAME,
    ReleaseCoupons::NAME,
    ReleaseBudgets::NAME,
    ReleaseUses::NAME,
    ReleaseStock::NAME,
];

/// A draft that holds something in every service.
fn everything() -> Draft {
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

/// A checkout that holds something in every service.
struct Checkout {
    desk: Desk,
    others: Arc<Others>,
    id: OrderId,
}

impl Saga for Checkout {
    async fn begin(faults: Arc<Faults>) -> Self {
        let others = Others::among(faults.clone());
        let desk = Desk::open_among(faults, |setup| others.register(setup));
        let (lease, _) = desk.begin_with(everything(), None).await;
        Self { desk, others, id: lease.order_id }
    }

    async fn resume(&self, at_start: bool) {
        let Some(saga) = self.desk.saga(self.id).await else { return };
        let resumable = if at_start {
            Resumable::Always
        } else {
            self.desk.advance(saga.due_at.since(self.desk.node.clock.now()));
            Resumable::DueAt(self.desk.node.clock.now())
        };
        let _ = self.desk.service.resume(&self.desk.cx(), self.id, resumable).await;
    }

    async fn has_ended(&self) -> bool {
        self.desk.saga(self.id).await.is_none()
    }

    async fn check(&self, tag: &str) -> bool {
        let (desk, others) = (&self.desk, &self.others);
        let id = self.id;
        let order = desk.db.read(|tx| tx.get::<Order>(&id)).await.unwrap();
        let confirmed = order.as_ref().is_some_and(|order| order.status == OrderStatus::Confirmed);
        if confirmed {
            let all = ["campaign", "coupon", "flashsale", "inventory", "promotion", "reward"];
            assert_eq!(others.held(), all, "{tag}");
            assert_eq!((others.payment(), *others.charges.lock()), (Some(PaymentStatus::Captured), 1), "{tag}");
        } else {
            let asked_to_pay = others.payment().is_some();
            assert!(order.map_or(!asked_to_pay, |order| order.status == OrderStatus::Failed), "{tag}");
            assert_eq!(others.held(), [""; 0], "{tag}");
            assert_ne!(others.payment(), Some(PaymentStatus::Captured), "{tag}");
        }
        desk.verify();
        confirmed
    }
}

/// A checkout from its first chain, which begins it, holds, and opens the order.
struct Placed {
    checkout: Checkout,
    /// The lease of a checkout that has not been placed yet.
    lease: Mutex<Option<SagaLease>>,
}

impl Placed {
    async fn place(&self) -> Result<(), Error> {
        let (desk, lease) = (&self.checkout.desk, self.lease.lock().take());
        let (cx, lease) = (desk.cx(), lease.unwrap());
        Driver::new(&desk.service, &cx, lease).place(&everything(), None).await.map(drop)
    }
}

impl Saga for Placed {
    async fn begin(faults: Arc<Faults>) -> Self {
        let others = Others::among(faults.clone());
        let desk = Desk::open_among(faults, |setup| others.register(setup));
        let lease = desk.new_lease().await;
        let id = lease.order_id;
        Self { checkout: Checkout { desk, others, id }, lease: Mutex::new(Some(lease)) }
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

/// The checkout's own writes: it begins or is resumed, opens the order, and decides it.
const WRITES: u32 = 3;

#[tokio::test]
async fn a_checkout_ends_whatever_step_fails() {
    run_steps::<Checkout>(&[], &FORWARD, &Fault::ALL, |run| {
        let is_asked_again = run.step == TakePayment::NAME && run.fault != Fault::Refused;
        let expected = run.fault.is_crash() || is_asked_again;
        let why = "a payment is asked for again, a hold that failed ends the checkout, a start goes on with it";
        assert_eq!((run.met, run.done), (true, expected), "{}: {why}", run.tag());
    })
    .await;
}

#[tokio::test]
async fn a_checkout_ends_whatever_write_fails() {
    let faults = [Fault::FailsBefore, Fault::CrashesBefore, Fault::CrashesAfter];
    run_writes::<Checkout>(WRITES, &faults, |nth, fault, confirmed| {
        assert!(confirmed, "write {nth} {fault:?}: a store that is busy or gone for a moment costs nobody an order");
    })
    .await;
}

#[tokio::test]
async fn a_compensation_ends_whatever_step_fails() {
    let steps = [&[CancelPayment::NAME][..], &RELEASES, &[GetOrderPayment::NAME]].concat();
    run_steps::<Checkout>(&[(TakePayment::NAME, Fault::Refused)], &steps, &Fault::TRANSIENT, |run| {
        assert_eq!((run.met, run.done), (true, false), "{}", run.tag());
    })
    .await;
}

#[tokio::test]
async fn a_refused_hold_releases_the_others_whatever_step_fails() {
    run_steps::<Checkout>(&[(HoldCoupons::NAME, Fault::Refused)], &RELEASES, &Fault::TRANSIENT, |run| {
        // After a failed release the saga holds again, and by then a momentary refusal may be gone.
        assert!(run.met && (!run.done || run.step == ReleaseFlashReservations::NAME), "{}", run.tag());
    })
    .await;
}

/// The chain that begins, holds and opens may be done up to any of its links when the process ends, and so may what follows it.
#[tokio::test]
async fn a_checkout_goes_on_from_whatever_part_of_its_chain_is_done() {
    run_steps::<Placed>(&[], &FORWARD, &[Fault::CrashesBefore, Fault::CrashesAfter], |run| {
        assert_eq!((run.met, run.done), (true, true), "{}: nothing was refused", run.tag());
    })
    .await;
    run_writes::<Placed>(WRITES, &[Fault::CrashesBefore, Fault::CrashesAfter], |nth, fault, confirmed| {
        let begun = (nth, fault) != (1, Fault::CrashesBefore);
        assert_eq!(confirmed, begun, "write {nth} {fault:?}: what has begun ends well, and the rest leaves nothing");
    })
    .await;
}

/// A link that is refused ends the first chain: what was held before it is released, and what comes after it was never asked for.
#[tokio::test]
async fn a_refusal_releases_what_the_chain_held_before_it() {
    for (number, step) in FORWARD[..6].iter().enumerate() {
        let faults = Arc::new(Faults::default());
        faults.plan(step, Fault::Refused);
        let placed = Placed::begin(faults).await;
        let refusal = placed.place().await.unwrap_err();
        assert_eq!(refusal.code(), "REFUSED", "{step}");
        assert!(placed.has_ended().await && !placed.check(step).await, "{step}");
        // Refused stock needs no release, and neither does what was never asked for.
        let released = placed.checkout.others.released().len();
        assert_eq!(released, if number == 0 { 0 } else { number + 1 }, "{step}");
    }
}
