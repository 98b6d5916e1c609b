//! The audit's facts about the discounts of orders, which promotions, coupons and flash sales must agree with.

use promox_contract::analytics::{FLASH_SALES, below_list};
use promox_contract::campaign::BUDGETED;
use promox_contract::coupon::REDEEMED;
use promox_contract::flashsale::TAKEN;
use promox_contract::ids::OrderId;
use promox_contract::inventory::units_out;
use promox_contract::order::OrderStatus;
use promox_contract::order_line::is_gift;
use promox_contract::promotion::{USED, shares};
use promox_kernel::Amount;
use promox_storage::Report;

use crate::records::{Order, OrderItem};

/// Reports the discounts of an order that has not failed and was not cancelled.
pub(crate) fn report_discounts(order: &Order, lines: &[OrderItem], report: &mut Report) {
    if order.imported || matches!(order.status, OrderStatus::Failed | OrderStatus::Cancelled) {
        return;
    }
    let applied = &order.details.applied;
    if !applied.is_empty() {
        let discounts =
            applied.iter().map(|applied| (applied.promotion_id.0, applied.amount + applied.shipping_amount));
        report.left(USED, order.id, shares(discounts));
    }
    // A gift's price is deducted from its promotion's budget, and the line does not say which promotion that is.
    if lines.iter().any(|line| is_gift(line.unit_price, line.list_price)) {
        report.open(USED, order.id);
    }
    let coupons = applied.iter().filter(|applied| applied.coupon_code.is_some());
    let coupons = shares(coupons.map(|coupon| (coupon.promotion_id.0, Amount::ZERO)));
    if !coupons.is_empty() {
        report.left(REDEEMED, order.id, coupons);
    }
    let flash = lines
        .iter()
        .filter_map(|line| Some((format!("{}:{}", line.flash_sale_id?, line.variant_id?), i64::from(line.quantity))));
    let flash = units_out(flash);
    if !flash.is_empty() {
        report.left(TAKEN, order.id, flash);
    }
    if order.status == OrderStatus::NeedsReview {
        exclude(order.id, report);
    }
}

/// Reports what an order that counts as a sale bought in the flash sales of campaigns.
pub(crate) fn report_campaign_sales(order: &Order, lines: &[OrderItem], report: &mut Report) {
    let sold = lines.iter().filter_map(|line| {
        let campaign = line.campaign_id.filter(|_| line.flash_sale_id.is_some())?;
        Some((campaign.0, below_list(line.list_price, line.unit_price, line.quantity)))
    });
    let sold = shares(sold);
    if !sold.is_empty() {
        report.left(FLASH_SALES, order.id, sold);
    }
}

/// Excludes an order from the comparison, because it takes or releases its holds step by step.
pub(crate) fn exclude(order_id: OrderId, report: &mut Report) {
    for invariant in [USED, REDEEMED, TAKEN, BUDGETED] {
        report.open(invariant, order_id);
    }
}
