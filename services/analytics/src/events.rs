//! The effects of events on the figures.

use promox_contract::analytics::{VisitAdvanced, VisitStage};
use promox_contract::coupon::{CouponRedeemed, CouponReleased, CouponsIssued};
use promox_contract::order::{
    CreditNoteImported, OrderCancelled, OrderConfirmed, OrderCreated, OrderFailed, OrderImported, OrderRefunded,
    OrderReturned,
};
use promox_contract::reward::{PointsAwarded, PointsExpired, PointsRedeemed, PointsRestored, PointsRevoked};
use promox_kernel::Timestamp;
use promox_storage::{Event, StoreError};

use crate::rules::measures::Measures;

/// The effect of an event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// An order was placed or its figures may have changed. The figures are queried.
    Order(i64),
    /// A credit note was created or changed. Its figures are queried.
    CreditNote(i64),
    /// A coupon was redeemed.
    Redeemed { redemption: i64, at: Timestamp },
    /// A redemption was released.
    Released { redemption: i64 },
    /// Measures that are only ever added: coupons issued, points, visits.
    Sum { kind: crate::records::EntryKind, position: i64, at: Timestamp, measures: Box<Measures> },
}

/// The effect of an event of either log; `None` for most events.
pub(crate) fn change_of(event: &Event) -> Result<Option<Change>, StoreError> {
    if let Some(change) = order_change(event) {
        return Ok(Some(change));
    }
    if event.is::<CouponRedeemed>() {
        return Ok(Some(Change::Redeemed { redemption: event.aggregate_id, at: event.occurred_at }));
    }
    if event.is::<CouponReleased>() {
        return Ok(Some(Change::Released { redemption: event.aggregate_id }));
    }
    sum_change(event)
}

/// The effect of an event about an order or a credit note; `None` for other events.
fn order_change(event: &Event) -> Option<Change> {
    let changes_order = event.is::<OrderCreated>()
        || event.is::<OrderConfirmed>()
        || event.is::<OrderImported>()
        || event.is::<OrderCancelled>()
        || event.is::<OrderFailed>()
        || event.is::<OrderReturned>()
        || event.is::<OrderRefunded>();
    if changes_order {
        return Some(Change::Order(event.aggregate_id));
    }
    event.is::<CreditNoteImported>().then_some(Change::CreditNote(event.aggregate_id))
}

/// The effect of an event whose measures are only added; `None` for other events.
fn sum_change(event: &Event) -> Result<Option<Change>, StoreError> {
    use crate::records::EntryKind::{CouponsIssued as Coupons, Points, Visit};
    let none = Measures::default();
    let (kind, measures) = if event.is::<CouponsIssued>() {
        (Coupons, Measures { coupons_issued: event.fact::<CouponsIssued>()?.count, ..none })
    } else if event.is::<PointsAwarded>() {
        (Points, Measures { points_awarded: event.fact::<PointsAwarded>()?.0.points, ..none })
    } else if event.is::<PointsRedeemed>() {
        (Points, Measures { points_redeemed: event.fact::<PointsRedeemed>()?.0.points, ..none })
    } else if event.is::<PointsExpired>() {
        (Points, Measures { points_expired: event.fact::<PointsExpired>()?.0.points, ..none })
    } else if event.is::<PointsRestored>() {
        (Points, Measures { points_restored: event.fact::<PointsRestored>()?.0.points, ..none })
    } else if event.is::<PointsRevoked>() {
        (Points, Measures { points_revoked: event.fact::<PointsRevoked>()?.0.points, ..none })
    } else if event.is::<VisitAdvanced>() {
        (Visit, visit_measures(&event.fact()?))
    } else {
        return Ok(None);
    };
    let (position, at) = (event.position, event.occurred_at);
    Ok(Some(Change::Sum { kind, position, at, measures: Box::new(measures) }))
}

fn visit_measures(fact: &VisitAdvanced) -> Measures {
    let mut measures = Measures { visits: i64::from(fact.first), ..Measures::default() };
    match fact.stage {
        VisitStage::ProductViewed => measures.views = 1,
        VisitStage::CartAdded => measures.carts = 1,
        VisitStage::CheckoutStarted => measures.checkouts = 1,
    }
    measures
}
