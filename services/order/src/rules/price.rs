//! The price of an order: lines, promotions, shipping, tax and points, rounded to the currency's digits.

use promox_contract::codes;
use promox_contract::hook::{HookRecord, TaxAnswer};
use promox_contract::order::Totals;
use promox_contract::order_line::{OrderLine, tax_of};
use promox_contract::promotion::{AppliedPromotion, CartLine, Evaluation, RejectedPromotion};
use promox_contract::settings::TaxSettings;
use promox_kernel::{Amount, Currency, Error};
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::rules::shipping::ShippingOption;
use crate::rules::tax_rate::tax_rate;

/// The inputs of the price of an order.
#[derive(Debug)]
pub(crate) struct Basket<'a> {
    pub(crate) lines: &'a [CartLine],
    pub(crate) currency: Currency,
    pub(crate) address: Option<&'a Address>,
    pub(crate) taxes: &'a TaxSettings,
    pub(crate) shipping: Option<&'a ShippingOption>,
    /// The tax by the merchant's service, in place of the store's rates.
    pub(crate) asked_tax: Option<&'a TaxAnswer>,
    pub(crate) points: u32,
    pub(crate) points_value: Amount,
}

/// The price of an order, which sagas and quotes store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Priced {
    pub(crate) currency: Currency,
    pub(crate) prices_include_tax: bool,
    pub(crate) lines: Vec<OrderLine>,
    pub(crate) totals: Totals,
    pub(crate) shipping_method: Option<String>,
    pub(crate) applied: Vec<AppliedPromotion>,
    pub(crate) rejected: Vec<RejectedPromotion>,
    /// What the merchant's service was asked for this price.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) hooks: Vec<HookRecord>,
}

/// The total of the goods before cart promotions. Refused with 422 `AMOUNT_TOO_LARGE` above 10^18 minor units.
pub(crate) fn subtotal(lines: &[CartLine], currency: Currency) -> Result<Amount, Error> {
    let sum = lines.iter().try_fold(Amount::ZERO, |sum, line| {
        line.item.price.times(i64::from(line.quantity)).and_then(|amount| sum.plus(amount)).ok_or_else(too_large)
    })?;
    within_bounds(sum, currency)
}

/// Refuses an amount above 10^18 minor units.
fn within_bounds(amount: Amount, currency: Currency) -> Result<Amount, Error> {
    currency.minor_units(currency.round(amount.0)).map(|_| amount).ok_or_else(too_large)
}

fn too_large() -> Error {
    let message = "The order exceeds 10^18 of the currency's smallest unit: reduce the quantities.";
    Error::refused(codes::AMOUNT_TOO_LARGE, message)
}

/// Prices an order: combines prices, discounts, shipping, tax and points.
pub(crate) fn price(basket: &Basket<'_>, evaluation: Evaluation) -> Result<Priced, Error> {
    let currency = basket.currency;
    let goods_total = subtotal(basket.lines, currency)?;
    let discounts = evaluation.line_discounts.into_iter().chain(std::iter::repeat(Vec::new()));
    let lines: Vec<OrderLine> = basket
        .lines
        .iter()
        .zip(discounts)
        .enumerate()
        .map(|(n, (line, given))| price_line(basket, n, line, given))
        .collect();
    let shipping = basket.shipping.map_or(currency.zero(), |option| option.amount);
    let shipping_paid = shipping - evaluation.shipping_discount;
    let prices_include_tax = basket.taxes.prices_include_tax;
    let shipping_rate = tax_rate(basket.taxes, basket.address, &basket.taxes.shipping_tax_class);
    let by_rate = || tax_of(shipping_paid, shipping_rate, prices_include_tax, currency);
    let shipping_tax = basket.asked_tax.map_or_else(by_rate, |asked| asked.shipping);
    let added_tax = if prices_include_tax { currency.zero() } else { shipping_tax };
    let line_totals: Amount = lines.iter().map(|line| line.total).sum();
    let totals = Totals {
        subtotal: currency.round(goods_total.0),
        discount: currency.round(lines.iter().map(|line| line.discount).sum::<Amount>().0),
        shipping,
        shipping_discount: currency.round(evaluation.shipping_discount.0),
        tax: currency.round((lines.iter().map(|line| line.tax).sum::<Amount>() + shipping_tax).0),
        points_redeemed: i64::from(basket.points),
        points_value: currency.round(basket.points_value.0),
        total: currency.round((line_totals + shipping_paid + added_tax - basket.points_value).0),
    };
    within_bounds(totals.total, currency)?;
    Ok(Priced {
        currency,
        prices_include_tax,
        lines,
        totals,
        shipping_method: basket.shipping.map(|option| option.method.clone()),
        applied: evaluation.applied,
        rejected: evaluation.rejected,
        hooks: Vec::new(),
    })
}

/// Prices the line with this number, from 0, with its discounts and tax.
fn price_line(
    basket: &Basket<'_>,
    number: usize,
    line: &CartLine,
    discounts: Vec<promox_contract::promotion::LineDiscount>,
) -> OrderLine {
    let (item, currency) = (&line.item, basket.currency);
    let prices_include_tax = basket.taxes.prices_include_tax;
    let subtotal = item.price.times(i64::from(line.quantity)).unwrap_or(Amount::ZERO);
    let discount: Amount = discounts.iter().map(|discount| discount.amount).sum();
    let discounted = subtotal - discount;
    let rate = tax_rate(basket.taxes, basket.address, &item.tax_class);
    let asked = basket.asked_tax.and_then(|asked| asked.lines.get(number).copied());
    let tax = asked.unwrap_or_else(|| tax_of(discounted, rate, prices_include_tax, currency));
    OrderLine {
        sku: item.sku.clone(),
        variant_id: Some(item.variant_id),
        product_id: Some(item.product_id),
        name: item.name.clone(),
        quantity: line.quantity,
        unit_price: item.price,
        list_price: item.list_price,
        flash_sale_id: line.flash_sale_id,
        subtotal: currency.round(subtotal.0),
        discount: currency.round(discount.0),
        discounts,
        tax,
        total: currency.round(if prices_include_tax { discounted.0 } else { discounted.0 + tax.0 }),
    }
}
