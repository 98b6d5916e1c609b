//! Prices a request: queries other services about its goods, codes, buyer and points, and combines the results.

use std::collections::HashMap;

use promox_contract::buyer::Buyer;
use promox_contract::cart::{CartContents, GetCartForCheckout};
use promox_contract::codes;
use promox_contract::coupon::ResolveCodes;
use promox_contract::hook::{HookKind, HookRecord};
use promox_contract::inventory::SkuQuantity;
use promox_contract::order_line::OrderLine;
use promox_contract::promotion::{CartLine, EvaluateCart, Evaluation, Offer};
use promox_contract::reward::ValuePoints;
use promox_contract::settings::{Settings, TaxSettings};
use promox_kernel::{Amount, Cx, Email, Error, Kind, move_for_lines};

use super::entitlements::Entitlements;
use super::hooks;
use super::lines::{Reserved, describe, flash_lines, gift_lines};
use super::request::{NamedCode, PricingRequest, Strictness};
use crate::rules::price::{self, Basket, Priced};
use crate::rules::shipping::ShippingOption;
use crate::rules::{request, shipping};

/// The warning for a price without an e-mail address.
const LIMITS_UNCHECKED: &str = "Without an e-mail address, limits per user are not checked.";

/// A priced request, with what an order or a quote needs to know about it.
pub(crate) struct Assessment {
    /// Whether shipping or tax depends on a shipping address.
    pub(crate) needs_address: bool,
    /// The caller's cart, if its items are ordered.
    pub(crate) cart: Option<CartContents>,
    pub(crate) codes: Vec<NamedCode>,
    /// The e-mail address of the order: the requested one or the account's.
    pub(crate) email: Option<Email>,
    /// The shipping methods, cheapest first.
    pub(crate) options: Vec<ShippingOption>,
    pub(crate) priced: Priced,
    /// The number of gifts, which are the last lines.
    gifts: usize,
    /// The tax class of each line, by its folded SKU.
    pub(crate) tax_classes: HashMap<String, String>,
    pub(crate) offers: Vec<Offer>,
    pub(crate) entitlements: Entitlements,
    pub(crate) warnings: Vec<String>,
}

impl Assessment {
    /// The requested lines, without gifts.
    pub(crate) fn requested_lines(&self) -> impl Iterator<Item = &OrderLine> {
        let lines = &self.priced.lines;
        lines.iter().take(lines.len().saturating_sub(self.gifts))
    }
}

/// Prices a request under these settings. Nothing is held or stored. Errors are refusals of the request, depending on
/// `strictness`, and failures of other services.
pub(crate) async fn assess(
    cx: &Cx,
    request: &PricingRequest,
    strictness: Strictness,
    settings: &Settings,
) -> Result<Assessment, Error> {
    let strict = strictness == Strictness::Order;
    let (items, cart) = match &request.items {
        Some(items) => (items.clone(), None),
        None => cart_or_reservations(cart(cx).await, request)?,
    };
    move_for_lines(items.len()).await;
    let codes = request.codes(cart.as_ref());
    let all_known = strict || strictness == Strictness::Quote && request.items.is_some();
    let mut lines = describe(cx, request::merge(items)?, request.channel.as_deref(), all_known).await?;
    let Reserved { lines: reserved, campaigns: flash_campaigns, mut warnings } =
        flash_lines(cx, &request.reservations, strict).await?;
    lines.extend(reserved);
    if lines.is_empty() {
        return Err(Error::field("/items", "no item can be bought"));
    }
    check_tax_classes(&lines, &settings.taxes, strict, &mut warnings)?;
    let buyer = Buyer::identify(cx, cx.principal.user(), request.email.clone()).await?;
    let email = buyer.email().cloned();
    let evaluator = Evaluator { cx, request, buyer: &buyer, settings, lines: &lines, codes: &codes };
    let EvaluatedWithShipping { options, chosen, mut evaluation, hooks } =
        evaluator.evaluate_with_shipping(strictness != Strictness::Cart).await?;
    let offers = std::mem::take(&mut evaluation.offers);
    warnings.append(&mut evaluation.warnings);
    let entitlements = Entitlements {
        buyer: Some(buyer).filter(|_| !evaluation.uses.is_empty() || request.is_quoted),
        uses: std::mem::take(&mut evaluation.uses),
        flash_reservations: request.reservations.clone(),
        flash_campaigns,
        address_key: request.address_key(),
        points_multiplier: evaluation.points_multiplier,
    };
    let gift_lines = gift_lines(cx, &evaluation.gifts).await?;
    let gifts = gift_lines.len();
    lines.extend(gift_lines);
    let basket = Basket {
        lines: &lines,
        currency: settings.store.currency,
        address: request.shipping_address.as_ref(),
        taxes: &settings.taxes,
        shipping: chosen.as_ref(),
        asked_tax: None,
        points: 0,
        points_value: Amount::ZERO,
    };
    let priced = price_with_tax_and_points(cx, request, settings, basket, evaluation, hooks).await?;
    if email.is_none() && !warnings.iter().any(|known| known == LIMITS_UNCHECKED) {
        warnings.push(LIMITS_UNCHECKED.to_owned());
    }
    let tax_classes = lines.into_iter().map(|line| (line.item.sku.fold(), line.item.tax_class)).collect();
    Ok(Assessment {
        needs_address: needs_address(settings),
        cart,
        codes,
        email,
        options,
        priced,
        gifts,
        tax_classes,
        offers,
        entitlements,
        warnings,
    })
}

/// Whether prices depend on the address.
fn needs_address(settings: &Settings) -> bool {
    let is_asked = [HookKind::Tax, HookKind::ShippingRates].iter().any(|kind| settings.hooks.contains(kind));
    is_asked || !settings.shipping.zones.is_empty() || !settings.taxes.rates.is_empty()
}

/// Prices a basket without tax hook and points, and then with them. `hooks` are the questions asked so far.
async fn price_with_tax_and_points(
    cx: &Cx,
    request: &PricingRequest,
    settings: &Settings,
    basket: Basket<'_>,
    evaluation: Evaluation,
    mut hooks: Vec<HookRecord>,
) -> Result<Priced, Error> {
    let mut priced = price::price(&basket, evaluation.clone())?;
    let asked = Box::pin(hooks::tax(cx, request, settings, (&basket, &priced), &mut hooks)).await?;
    let mut basket = Basket { asked_tax: asked.as_ref(), ..basket };
    if asked.is_some() {
        priced = price::price(&basket, evaluation.clone())?;
    }
    if let Some(points) = request.points.filter(|points| *points > 0) {
        basket.points_value = points_value(cx, points, &priced).await?;
        basket.points = points;
        priced = price::price(&basket, evaluation)?;
    }
    Ok(Priced { hooks, ..priced })
}

/// The caller's cart and its items.
async fn cart(cx: &Cx) -> Result<(Vec<SkuQuantity>, Option<CartContents>), Error> {
    if cx.principal.user().is_none() && cx.cart_token.is_none() {
        return Err(Error::field("/items", "name the items, send a cart token, or log in to order your cart"));
    }
    let cart = cx.call(GetCartForCheckout {}).await?;
    Ok((cart.items.clone(), Some(cart)))
}

/// The caller's cart and its items. If the request has flash sale reservations, a missing or empty cart is not an
/// error: the reservations are ordered alone.
fn cart_or_reservations(
    cart: Result<(Vec<SkuQuantity>, Option<CartContents>), Error>,
    request: &PricingRequest,
) -> Result<(Vec<SkuQuantity>, Option<CartContents>), Error> {
    let is_empty = |error: &Error| error.kind() == Kind::NotFound || error.code() == codes::CART_EMPTY;
    match cart {
        Err(error) if is_empty(&error) && !request.reservations.is_empty() => Ok((Vec::new(), None)),
        cart => cart,
    }
}

/// Checks that the store has the tax class of every item; otherwise the tax is unknown and the item cannot be sold. An
/// unknown class is an error if `strict`, otherwise a warning.
fn check_tax_classes(
    lines: &[CartLine],
    taxes: &TaxSettings,
    strict: bool,
    warnings: &mut Vec<String>,
) -> Result<(), Error> {
    if taxes.rates.is_empty() {
        return Ok(());
    }
    let untaxed = lines.iter().map(|line| &line.item).find(|item| !taxes.has_class(&item.tax_class));
    let Some(item) = untaxed else { return Ok(()) };
    let message = format!("{} has the tax class \"{}\", which the store does not have.", item.sku, item.tax_class);
    if strict {
        return Err(Error::refused(codes::UNKNOWN_TAX_CLASS, message)
            .with("sku", &item.sku)
            .with("taxClass", &item.tax_class));
    }
    warnings.push(message);
    Ok(())
}

/// The evaluated promotions and the shipping method, which depend on each other.
struct EvaluatedWithShipping {
    options: Vec<ShippingOption>,
    chosen: Option<ShippingOption>,
    evaluation: Evaluation,
    /// The question for the shipping rates, if a hook was asked.
    hooks: Vec<HookRecord>,
}

/// The inputs of the evaluation of promotions.
#[derive(Clone, Copy)]
struct Evaluator<'a> {
    cx: &'a Cx,
    request: &'a PricingRequest,
    buyer: &'a Buyer,
    settings: &'a Settings,
    lines: &'a [CartLine],
    codes: &'a [NamedCode],
}

impl Evaluator<'_> {
    /// Evaluates promotions and chooses the shipping method. Shipping rates depend on the goods' total after discounts,
    /// so if the discounts lead to another rate, promotions are evaluated once more with it. If the goods cannot be
    /// shipped as requested, that is an error if `refuse`; otherwise no shipping is charged.
    async fn evaluate_with_shipping(self, refuse: bool) -> Result<EvaluatedWithShipping, Error> {
        let Self { cx, request, settings, lines, .. } = self;
        let (address, requested) = (request.shipping_address.as_ref(), request.shipping_method.as_deref());
        let mut hooks = Vec::new();
        let asked = Box::pin(hooks::shipping(cx, request, settings, lines, &mut hooks)).await?;
        let options_for = |goods| match &asked {
            Some(options) => options.clone(),
            None => shipping::options(&settings.shipping, address, goods, settings.store.currency),
        };
        let subtotal = price::subtotal(self.lines, settings.store.currency)?;
        let options = options_for(subtotal);
        // Without an address the methods are unknown, unless there are no zones and one method serves every address.
        // The price of a quote replaces this one, with a method that the store's own rates may not have.
        let is_hooked = settings.hooks.contains(&HookKind::ShippingRates);
        let are_options_known = match address {
            Some(_) => !(is_hooked && request.is_quoted),
            None => settings.shipping.zones.is_empty() && !is_hooked,
        };
        let chosen = match shipping::choose(&options, requested) {
            Err(error) if refuse && are_options_known => return Err(error),
            chosen => chosen.ok().cloned(),
        };
        let evaluation = self.evaluate(chosen.as_ref()).await?;
        let discount = evaluation.goods_discount();
        if discount.is_zero() {
            return Ok(EvaluatedWithShipping { options, chosen, evaluation, hooks });
        }
        let options = options_for(subtotal - discount);
        let chosen_after_discount = shipping::choose(&options, requested).ok().cloned();
        if chosen_after_discount == chosen {
            return Ok(EvaluatedWithShipping { options, chosen, evaluation, hooks });
        }
        let evaluation = self.evaluate(chosen_after_discount.as_ref()).await?;
        Ok(EvaluatedWithShipping { options, chosen: chosen_after_discount, evaluation, hooks })
    }

    /// Evaluates promotions with a shipping method.
    async fn evaluate(self, shipping: Option<&ShippingOption>) -> Result<Evaluation, Error> {
        let Self { cx, request, buyer, .. } = self;
        let codes: Vec<String> = self.codes.iter().map(|named| named.code.clone()).collect();
        let coupons = if codes.is_empty() {
            Vec::new()
        } else {
            let entered = self.codes.iter().filter(|named| named.is_entered).map(|named| named.code.clone()).collect();
            cx.call(ResolveCodes { codes: codes.clone(), buyer: buyer.clone(), entered }).await?.coupons
        };
        cx.call(EvaluateCart {
            lines: self.lines.to_vec(),
            currency: self.settings.store.currency,
            buyer: buyer.clone(),
            codes,
            coupons,
            shipping: shipping.map_or(Amount::ZERO, |option| option.amount),
            shipping_method: shipping.map(|option| option.method.clone()),
            country: request.shipping_address.as_ref().map(|address| address.country.clone()),
            payment_method: request.payment_method.clone(),
            channel: request.channel.clone(),
            attributes: request.attributes.clone(),
            address_key: request.address_key(),
        })
        .await
    }
}

/// The value of points in money. Refused if the buyer cannot spend that many on this order.
async fn points_value(cx: &Cx, points: u32, priced: &Priced) -> Result<Amount, Error> {
    let refused = |reason: &str| {
        Error::refused(codes::POINTS_INSUFFICIENT, format!("{points} points cannot be redeemed for this order."))
            .with("reason", reason)
    };
    let Some(user_id) = cx.principal.user() else { return Err(refused(codes::NOT_LOGGED_IN)) };
    let (total, currency) = (priced.totals.total, priced.currency);
    let value = cx.call(ValuePoints { user_id, points, total, currency }).await?;
    if value.spendable < points || value.value.is_zero() { Err(refused(codes::NOT_ENOUGH)) } else { Ok(value.value) }
}
