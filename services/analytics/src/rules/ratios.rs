//! Ratios and averages, with the definitions that replies show.

use promox_kernel::{Amount, Currency, round_half_up};
use rust_decimal::Decimal;

/// The number of decimal digits of a ratio.
const DIGITS: u32 = 4;

/// The definition of ROI in replies.
pub(crate) const ROI: &str = "(attributed revenue − cost) ÷ cost. Attributed revenue: goods after discounts, \
     without tax and shipping, before points, of every counted order that it had an effect on. Cost: its \
     discounts on goods and shipping, and gifts at their catalog price.";

/// The definition of a campaign's ROI in replies.
pub(crate) const CAMPAIGN_ROI: &str = "(attributed revenue − cost) ÷ cost. Attributed revenue: goods after \
     discounts, without tax and shipping, before points, of every counted order that one of its promotions had \
     an effect on or that has a unit of one of its flash sales. Cost: the discounts of its promotions on goods \
     and shipping, gifts at their catalog price, and the list prices of its flash sale units less what was paid \
     for them.";

/// The ratio of two numbers; `None` if the second is zero.
pub(crate) fn ratio(part: impl Into<Decimal>, whole: impl Into<Decimal>) -> Option<Amount> {
    let ratio = part.into().checked_div(whole.into())?;
    let mut ratio = round_half_up(ratio, DIGITS);
    ratio.rescale(DIGITS);
    Some(Amount(ratio))
}

/// The return on investment, (revenue − cost) ÷ cost; `None` if the cost is zero.
pub(crate) fn roi(revenue: Amount, cost: Amount) -> Option<Amount> {
    ratio((revenue - cost).0, cost.0)
}

/// The average of `count` amounts with this sum; zero if there are none.
pub(crate) fn average(sum: Amount, count: i64, currency: Currency) -> Amount {
    sum.0.checked_div(Decimal::from(count)).map_or_else(|| currency.zero(), |average| currency.round(average))
}
