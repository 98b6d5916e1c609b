//! What the merchant's own service is asked while a request is priced: shipping rates, then tax. A store without hooks
//! asks nothing.

use promox_contract::hook::{
    AskHook, HookAddress, HookAnswer, HookKind, HookLine, HookQuestion, HookRate, HookRecord, RatesQuestion, TaxAnswer,
    TaxQuestion,
};
use promox_contract::order_line::OrderLine;
use promox_contract::promotion::CartLine;
use promox_contract::settings::Settings;
use promox_kernel::{Amount, Cx, Error};

use super::request::PricingRequest;
use crate::address::Address;
use crate::rules::price::{Basket, Priced};
use crate::rules::shipping::ShippingOption;

/// The part of an address that hooks are told.
pub(crate) fn hook_address(address: &Address) -> HookAddress {
    HookAddress {
        country: address.country.clone(),
        region: address.region.clone(),
        postal_code: address.postal_code.clone(),
        city: address.city.clone(),
    }
}

/// Asks a hook. The record of the question is added to `records`.
pub(crate) async fn ask(
    cx: &Cx,
    question: HookQuestion,
    records: &mut Vec<HookRecord>,
) -> Result<Option<HookAnswer>, Error> {
    let record = cx.call(AskHook { question }).await?.record;
    let answer = record.as_ref().and_then(|record| record.answer.clone());
    records.extend(record);
    Ok(answer)
}

/// The shipping methods by the merchant's service, cheapest first; `None` if the store's own rates apply. Without an
/// address there are none yet.
pub(super) async fn shipping(
    cx: &Cx,
    request: &PricingRequest,
    settings: &Settings,
    lines: &[CartLine],
    records: &mut Vec<HookRecord>,
) -> Result<Option<Vec<ShippingOption>>, Error> {
    if !settings.hooks.contains(&HookKind::ShippingRates) || request.is_quoted {
        return Ok(None);
    }
    let Some(address) = &request.shipping_address else { return Ok(Some(Vec::new())) };
    let line = |line: &CartLine| HookLine {
        sku: line.item.sku.clone(),
        quantity: line.quantity,
        tax_class: Some(line.item.tax_class.clone()),
        amount: line.item.price.times(i64::from(line.quantity)).unwrap_or(Amount::ZERO),
    };
    let question = RatesQuestion {
        currency: settings.store.currency,
        address: hook_address(address),
        lines: lines.iter().map(line).collect(),
    };
    let answer = ask(cx, HookQuestion::ShippingRates(question), records).await?;
    let options = answer.and_then(|answer| answer.rates).map(|rates| {
        let option = |HookRate { method, name, amount, .. }| ShippingOption { method, name, amount };
        let mut options: Vec<ShippingOption> = rates.methods.into_iter().map(option).collect();
        options.sort_by_key(|option| option.amount);
        options
    });
    Ok(options)
}

/// The tax by the merchant's service of goods that are priced without it; `None` if the store's own rates apply.
pub(super) async fn tax(
    cx: &Cx,
    request: &PricingRequest,
    settings: &Settings,
    (basket, priced): (&Basket<'_>, &Priced),
    records: &mut Vec<HookRecord>,
) -> Result<Option<TaxAnswer>, Error> {
    let is_asked = settings.hooks.contains(&HookKind::Tax) && !request.is_quoted;
    let Some(address) = request.shipping_address.as_ref().filter(|_| is_asked) else { return Ok(None) };
    let question = TaxQuestion {
        currency: settings.store.currency,
        prices_include_tax: settings.taxes.prices_include_tax,
        address: hook_address(address),
        lines: priced.lines.iter().zip(basket.lines).map(|(line, described)| discounted(line, described)).collect(),
        shipping: priced.totals.shipping - priced.totals.shipping_discount,
    };
    Ok(ask(cx, HookQuestion::Tax(question), records).await?.and_then(|answer| answer.tax))
}

/// A line with the price of its units after discounts.
fn discounted(line: &OrderLine, described: &CartLine) -> HookLine {
    HookLine {
        sku: line.sku.clone(),
        quantity: line.quantity,
        tax_class: Some(described.item.tax_class.clone()),
        amount: line.subtotal - line.discount,
    }
}
