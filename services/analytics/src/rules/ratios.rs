//! Ratios, with their definitions.

use promox_kernel::{Amount, Currency, round_half_up};
use rust_decimal::Decimal;

/// Digits of a ratio.
const DIGITS: u32 = 4;

/// What the answers say about how ROI comes about.
pub(crate) const ROI: &str = "(attributed revenue − cost) ÷ cost. Attributed revenue: goods after discounts, \
     without tax and shipping, before points, of every counted order that it had an effect on. Cost: its \
     discounts on goods and shipping, and gifts at their catalog price.";

/// What the answers say about how a campaign's ROI comes about.
pub(crate) const CAMPAIGN_ROI: &str = "(attributed revenue − cost) ÷ cost. Attributed revenue: goods after \
     discounts, without tax and shipping, before points, of every counted order that one of its promotions had \
     an effect on or that has a unit of one of its flash sales. Cost: the discounts of its promotions on goods \
     and shipping, gifts at their catalog price, and the list prices of its flash sale units less what was paid \
     for them.";

/// One number in relation to another, null without any to relate to.
pub(crate) fn ratio(part: impl Into<Decimal>, whole: impl Into<Decimal>) -> Option<Amount> {
    let ratio = part.into().checked_div(whole.into())?;
    let mut ratio = round_half_up(ratio, DIGITS);
    ratio.rescale(DIGITS);
    Some(Amount(ratio))
}

/// What came back for what it cost, null where it cost nothing.
pub(crate) fn roi(revenue: Amount, cost: Amount) -> Option<Amount> {
    ratio((revenue - cost).0, cost.0)
}

/// The average of a sum; zero of nothing.
pub(crate) fn average(sum: Amount, count: i64, currency: Currency) -> Amount {
    sum.0.checked_div(Decimal::from(count)).map_or_else(|| currency.zero(), |average| currency.round(average))
}
