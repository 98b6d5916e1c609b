//! What events mean to analytics.

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

/// What an event makes analytics do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum News {
    /// An order was placed, may count, or count no more, or for something else: its figures are read.
    Order(i64),
    /// A credit note came or changed: its figures are read.
    CreditNote(i64),
    /// A coupon was redeemed.
    Redeemed { redemption: i64, at: Timestamp },
    /// A redemption was given back.
    Released { redemption: i64 },
    /// Something that only adds up: coupons issued, points, visits.
    Sum { kind: crate::records::EntryKind, position: i64, at: Timestamp, measures: Box<Measures> },
}

/// What an event of either log means; nothing, for most.
pub(crate) fn news(event: &Event) -> Result<Option<News>, StoreError> {
    if let Some(news) = of_orders(event) {
        return Ok(Some(news));
    }
    if event.is::<CouponRedeemed>() {
        return Ok(Some(News::Redeemed { redemption: event.aggregate_id, at: event.occurred_at }));
    }
    if event.is::<CouponReleased>() {
        return Ok(Some(News::Released { redemption: event.aggregate_id }));
    }
    sum(event)
}

fn of_orders(event: &Event) -> Option<News> {
    let changes = event.is::<OrderCreated>()
        || event.is::<OrderConfirmed>()
        || event.is::<OrderImported>()
        || event.is::<OrderCancelled>()
        || event.is::<OrderFailed>()
        || event.is::<OrderReturned>()
        || event.is::<OrderRefunded>();
    if changes {
        return Some(News::Order(event.aggregate_id));
    }
    event.is::<CreditNoteImported>().then_some(News::CreditNote(event.aggregate_id))
}

fn sum(event: &Event) -> Result<Option<News>, StoreError> {
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
        (Visit, visit(&event.fact()?))
    } else {
        return Ok(None);
    };
    let (position, at) = (event.position, event.occurred_at);
    Ok(Some(News::Sum { kind, position, at, measures: Box::new(measures) }))
}

fn visit(fact: &VisitAdvanced) -> Measures {
    let mut measures = Measures { visits: i64::from(fact.first), ..Measures::default() };
    match fact.stage {
        VisitStage::ProductViewed => measures.views = 1,
        VisitStage::CartAdded => measures.carts = 1,
        VisitStage::CheckoutStarted => measures.checkouts = 1,
    }
    measures
}
