//! Every step of a checkout fails before it acts, fails after it acts, is refused and is repeated; every write is refused once;
//! and every step of a compensation likewise. Whatever happens, the saga ends: with everything held and paid for once, or with
//! nothing held and no money kept.

use std::sync::Arc;

use futures_util::FutureExt as _;
use promox_contract::campaign::{HoldBudgets, ReleaseBudgets};
use promox_contract::coupon::{HoldCoupons, ReleaseCoupons};
use promox_contract::flashsale::{HoldFlashPieces, ReleaseFlashPieces};
use promox_contract::ids::{CampaignId, FlashReservationId, FlashSaleId, OrderId, PromotionId};
use promox_contract::inventory::{HoldStock, ReleaseStock};
use promox_contract::order::OrderStatus;
use promox_contract::payment::{CancelPayment, GetOrderPayment, PaymentChoice, PaymentStatus, TakePayment};
use promox_contract::promotion::{AppliedPromotion, HoldUses, PromotionUse, ReleaseUses};
use promox_contract::reward::{HoldPoints, ReleasePoints};
use promox_kernel::{Amount, Op};

use super::desk::{Desk, Line, draft};
use super::others::{Fault, Others};
use crate::checkout::Driver;
use crate::checkout::draft::Draft;
use crate::checkout::transitions::Resumable;
use crate::records::Order;

const LINES: [Line; 2] = [("A", 2, "1.50", "0.00"), ("B", 1, "4.00", "1.00")];

/// The steps that go forward, by the operations that they ask of others.
const FORWARD: [&str; 7] = [
    HoldStock::NAME,
    HoldUses::NAME,
    HoldBudgets::NAME,
    HoldCoupons::NAME,
    HoldPoints::NAME,
    HoldFlashPieces::NAME,
    TakePayment::NAME,
];

/// The steps that go back.
const BACK: [&str; 8] = [
    CancelPayment::NAME,
    ReleaseFlashPieces::NAME,
    ReleasePoints::NAME,
    ReleaseCoupons::NAME,
    ReleaseBudgets::NAME,
    ReleaseUses::NAME,
    ReleaseStock::NAME,
    GetOrderPayment::NAME,
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

/// A saga that was begun, among these other services.
async fn begun(others: &Arc<Others>) -> (Desk, OrderId) {
    let desk = Desk::open_among(|setup| others.register(setup));
    let (lease, _) = desk.begin_with(everything(), None).await;
    (desk, lease.order_id)
}

/// Resumes a saga as a start and then the sweeper do, until it has ended.
async fn drive(desk: &Desk, id: OrderId) {
    let _ = desk.service.resume(&desk.cx(), id, Resumable::Always).await;
    for _ in 0..20 {
        let Some(saga) = desk.saga(id).await else { return };
        let now = desk.node.clock.now();
        desk.advance(saga.due_at.since(now));
        let due = Resumable::DueAt(desk.node.clock.now());
        let _ = desk.service.resume(&desk.cx(), id, due).await;
    }
    panic!("a saga without an end");
}

/// The saga has ended in one of the two ways that there are; whether its order is confirmed.
async fn ended(desk: &Desk, others: &Others, id: OrderId, tag: &str) -> bool {
    let order = desk.db.read(|tx| tx.get::<Order>(&id)).await.unwrap();
    let confirmed = order.as_ref().is_some_and(|order| order.status == OrderStatus::Confirmed);
    if confirmed {
        let all = ["campaign", "coupon", "flashsale", "inventory", "promotion", "reward"];
        assert_eq!(others.held(), all, "{tag}");
        assert_eq!((others.payment(), *others.charges.lock()), (Some(PaymentStatus::Captured), 1), "{tag}");
    } else {
        assert!(order.is_none_or(|order| order.status == OrderStatus::Failed), "{tag}");
        assert_eq!(others.held(), [""; 0], "{tag}");
        assert_ne!(others.payment(), Some(PaymentStatus::Captured), "{tag}");
    }
    desk.verify();
    confirmed
}

#[tokio::test]
async fn a_checkout_ends_whatever_step_fails() {
    for step in FORWARD {
        for fault in [Fault::Before, Fault::After, Fault::Refused] {
            let tag = format!("{step} {fault:?}");
            let others = Others::failing(step, fault);
            let (desk, id) = begun(&others).await;
            drive(&desk, id).await;
            let confirmed = ended(&desk, &others, id, &tag).await;
            let only_late = step == TakePayment::NAME && fault != Fault::Refused;
            assert_eq!(
                confirmed, only_late,
                "{tag}: a payment is asked for again, a hold that failed ends the checkout"
            );
        }
    }
}

#[tokio::test]
async fn a_checkout_ends_whatever_write_the_store_is_too_busy_for() {
    let mut confirmed = 0;
    for nth in 1..=8 {
        let others = Arc::new(Others::default());
        let (desk, id) = begun(&others).await;
        desk.engine.refuse_write(nth);
        drive(&desk, id).await;
        confirmed += u32::from(ended(&desk, &others, id, &format!("write {nth}")).await);
    }
    assert_eq!(confirmed, 8, "a store that is busy for a moment costs nobody an order");
}

#[tokio::test]
async fn a_compensation_ends_whatever_step_fails() {
    for step in BACK {
        for fault in [Fault::Before, Fault::After] {
            let tag = format!("{step} {fault:?}");
            let others = Others::failing(TakePayment::NAME, Fault::Refused);
            let (desk, id) = begun(&others).await;
            others.fail_too(step, fault);
            drive(&desk, id).await;
            assert!(!ended(&desk, &others, id, &tag).await, "{tag}");
            assert_eq!(desk.status(id).await, OrderStatus::Failed, "{tag}");
        }
    }
}

#[tokio::test]
async fn a_refused_hold_releases_the_others_whatever_step_fails() {
    for step in BACK {
        for fault in [Fault::Before, Fault::After] {
            let tag = format!("{step} {fault:?}");
            let others = Others::failing(HoldCoupons::NAME, Fault::Refused);
            let (desk, id) = begun(&others).await;
            others.fail_too(step, fault);
            drive(&desk, id).await;
            // A release that failed has the saga hold again, and a refusal that was of the moment may be gone by then.
            let confirmed = ended(&desk, &others, id, &tag).await;
            assert!(!confirmed || step == ReleaseFlashPieces::NAME, "{tag}");
        }
    }
}

/// A checkout whose process ends somewhere on its way, and what it left when the next one has gone on with it.
async fn ended_and_resumed(others: &Arc<Others>, writes: Option<u32>, tag: &str) -> bool {
    let desk = Desk::open_among(|setup| others.register(setup));
    let (cx, lease) = (desk.cx(), desk.new_lease().await);
    let id = lease.order_id;
    if let Some(writes) = writes {
        desk.engine.end_after(writes);
    }
    let placed = Driver::new(&desk.service, &cx, lease).place(&everything(), None).now_or_never();
    assert!(placed.is_none(), "{tag}: {:?}", placed.map(|placed| placed.map(drop)));
    desk.engine.start_again();
    drive(&desk, id).await;
    ended(&desk, others, id, tag).await
}

/// The chain that begins, holds and opens may be done up to any of its links when the process ends, and so may what follows it.
#[tokio::test]
async fn a_checkout_goes_on_from_whatever_part_of_its_chain_is_done() {
    for step in FORWARD {
        let confirmed = ended_and_resumed(&Others::failing(step, Fault::Ended), None, step).await;
        assert!(confirmed, "{step}: nothing was refused");
    }
    for writes in 0..3 {
        let tag = format!("{writes} writes");
        let confirmed = ended_and_resumed(&Arc::default(), Some(writes), &tag).await;
        assert_eq!(confirmed, writes > 0, "{tag}: what has begun ends well, and what has not leaves nothing");
    }
}

/// A link that is refused ends the first chain: what was held before it is released, and what comes after it was never asked for.
#[tokio::test]
async fn a_refusal_releases_what_the_chain_held_before_it() {
    for (number, step) in FORWARD[..6].iter().enumerate() {
        let others = Others::failing(step, Fault::Refused);
        let desk = Desk::open_among(|setup| others.register(setup));
        let (cx, lease) = (desk.cx(), desk.new_lease().await);
        let id = lease.order_id;
        let refusal = Driver::new(&desk.service, &cx, lease).place(&everything(), None).await.unwrap_err();
        assert_eq!(refusal.code(), "REFUSED", "{step}");
        assert!(desk.saga(id).await.is_none(), "{step}");
        assert!(!ended(&desk, &others, id, step).await, "{step}");
        // Refused stock needs no release, and what was never asked for needs none either.
        assert_eq!(others.released().len(), if number == 0 { 0 } else { number + 1 }, "{step}");
    }
}
