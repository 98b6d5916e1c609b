//! The status of an order: allowed transitions, and the status that follows from shipped and delivered units.

use promox_contract::order::OrderStatus::{
    self, Cancelled, Confirmed, Delivered, Failed, NeedsReview, Pending, Processing, Refunded, Shipped,
};

use crate::records::OrderItem;

/// Whether an order's status may change from one to another.
pub(crate) fn may_follow(from: OrderStatus, to: OrderStatus) -> bool {
    match from {
        Pending => matches!(to, Confirmed | Failed | Cancelled | NeedsReview),
        Confirmed => matches!(to, Processing | Shipped | Delivered | Cancelled | NeedsReview | Refunded),
        Processing => matches!(to, Shipped | Delivered | Refunded | NeedsReview),
        Shipped => matches!(to, Delivered | Refunded),
        Delivered => matches!(to, Refunded),
        NeedsReview => matches!(to, Confirmed | Cancelled | Failed),
        Cancelled | Failed | Refunded => false,
    }
}

/// Whether units of an order with this status may be returned. In a REFUNDED order only units without a price, mainly
/// gifts, can be left.
pub(crate) fn returnable(status: OrderStatus) -> bool {
    matches!(status, Confirmed | Processing | Shipped | Delivered | Refunded)
}

/// Whether the units of a line are consistent: delivered ≤ shipped, shipped + withdrawn ≤ ordered, and
/// withdrawn ≤ returned ≤ shipped + withdrawn.
pub(crate) fn units_fit(line: &OrderItem) -> bool {
    let shipped_fits = line.delivered <= line.shipped && line.shipped.saturating_add(line.withdrawn) <= line.quantity;
    shipped_fits && line.withdrawn <= line.returned && line.returned - line.withdrawn <= line.shipped
}

/// The status of an order that follows from the numbers of ordered, shipped and delivered units, without the units that
/// were returned before they were shipped. An order of which nothing is left to ship or to deliver has ended.
pub(crate) fn by_units(ordered: u32, shipped: u32, delivered: u32) -> OrderStatus {
    match (shipped, delivered) {
        (_, delivered) if delivered == ordered => Delivered,
        (0, _) => Confirmed,
        (shipped, _) if shipped == ordered => Shipped,
        _ => Processing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_determine_the_status() {
        for (ordered, shipped, delivered, want) in [
            (5, 0, 0, Confirmed),
            (5, 1, 0, Processing),
            (5, 1, 1, Processing),
            (5, 5, 0, Shipped),
            (5, 5, 4, Shipped),
            (5, 5, 5, Delivered),
            (0, 0, 0, Delivered),
        ] {
            assert_eq!(by_units(ordered, shipped, delivered), want, "{ordered} {shipped} {delivered}");
        }
    }

    #[test]
    fn a_final_status_does_not_change() {
        for end in [Cancelled, Failed, Refunded] {
            assert!(OrderStatus::ALL.iter().all(|to| !may_follow(end, *to)));
        }
        assert!(!may_follow(Processing, Cancelled) && !may_follow(Shipped, Cancelled));
    }
}
