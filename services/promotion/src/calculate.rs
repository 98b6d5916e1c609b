//! Prices a cart with the store's catalog and promotions, or with data that the caller supplies.

use std::collections::HashMap;
use std::sync::Arc;

use promox_contract::buyer::Buyer;
use promox_contract::codes;
use promox_contract::coupon::ResolveCodes;
use promox_contract::ids::{ProductId, PromotionId};
use promox_contract::order::Totals;
use promox_contract::order_line::tax_of;
use promox_contract::product::{DescribeSkus, SkuDescription};
use promox_contract::promotion::{Customer, Evaluation, GetPricingTerms, PricingTerms};
use promox_contract::store::GetStoreProfile;
use promox_kernel::{Amount, Currency, Cx, Error, Faults, FieldError, Kind, Sku};
use rust_decimal::Decimal;

use crate::api::{CalculateCart, CalculateItem, CalculatedCart, CalculatedLine};
use crate::pricing::{PricingRequest, needs_of};
use crate::rules::{
    Cart, Detail, EvaluationContext, GiftStock, Line, LineInput, NamedCode, Promotion, Rule, RuleSet, evaluate,
    normal_code, to_amount,
};
use crate::{Promotions, facts};

/// Maximum lines of a request.
const MAX_LINES: usize = 1_000;
/// Maximum codes of a request.
const MAX_CODES: usize = 50;
/// Maximum promotions of a request.
const MAX_INLINE: usize = 1_000;
/// Maximum units of a line.
const MAX_UNITS: u32 = 9_999;

/// A line, with data for the reply that the evaluator does not need.
struct RequestedLine {
    input: LineInput,
    product_id: Option<ProductId>,
    name: Option<String>,
    tax_class: String,
    tax_rate: Option<Amount>,
}

impl Promotions {
    /// Prices a cart with discounts, taxes and totals, as an order would have them.
    pub(crate) async fn calculate(&self, cx: &Cx, op: CalculateCart) -> Result<CalculatedCart, Error> {
        check(cx, &op)?;
        let currency = match op.currency {
            Some(currency) => currency,
            None => cx.call(GetStoreProfile {}).await?.currency,
        };
        let mut cx = cx.clone();
        cx.now = op.at.unwrap_or(cx.now);
        let lines = describe(&cx, &op.items, currency).await?;
        let listed = lines.iter().filter_map(|line| line.input.list_price.times(i64::from(line.input.quantity))).sum();
        let mut terms = terms(&cx, &op, &lines, listed).await?;
        let mut priced = self.price_and_evaluate(&cx, &op, &lines, &terms, currency).await?;
        // The shipping cost depends on the discounted total of the goods, which is known only now.
        let paid = priced.0.goods() - priced.1.goods_discount();
        if paid != listed {
            let new_terms = self::terms(&cx, &op, &lines, paid).await?;
            if (new_terms.shipping, &new_terms.shipping_method) != (terms.shipping, &terms.shipping_method) {
                terms = new_terms;
                priced = self.price_and_evaluate(&cx, &op, &lines, &terms, currency).await?;
            }
        }
        let (cart, answer) = priced;
        Ok(price(&cx, &op, &lines, &terms, (&cart, answer)))
    }

    /// The cart at catalog prices and its evaluation, on these terms.
    async fn price_and_evaluate(
        &self,
        cx: &Cx,
        op: &CalculateCart,
        lines: &[RequestedLine],
        terms: &PricingTerms,
        currency: Currency,
    ) -> Result<(Cart, Evaluation), Error> {
        let request = build_request(cx, op, lines, terms, currency).await?;
        match &op.promotions {
            None => self.evaluate_at_list_prices(cx, request).await,
            Some(promotions) => evaluate_inline(cx, request, promotions, terms.max_discount_percent).await,
        }
    }
}

/// Checks the permission to supply data, and the limits on the request.
fn check(cx: &Cx, op: &CalculateCart) -> Result<(), Error> {
    let overrides_catalog = |item: &CalculateItem| {
        item.unit_price.is_some()
            || item.category_ids.is_some()
            || item.attributes.is_some()
            || item.tax_rate.is_some()
            || item.floor_price.is_some()
            || item.discountable.is_some()
    };
    let shipping =
        op.shipping.as_ref().is_some_and(|shipping| shipping.amount.is_some() || shipping.tax_rate.is_some());
    let own_terms = op.currency.is_some() || op.prices_include_tax.is_some() || op.customer.is_some();
    let privileged =
        shipping || own_terms || op.at.is_some() || op.promotions.is_some() || op.items.iter().any(overrides_catalog);
    if privileged && !cx.principal.allows("promotion:write") {
        let message = "Supplying prices, customers, times or promotions requires the permission promotion:write.";
        return Err(Error::new(Kind::Forbidden, codes::FORBIDDEN, message));
    }
    let mut faults = Faults::default();
    let counts = [
        ("/items", op.items.len(), 1, MAX_LINES),
        ("/codes", op.codes.len(), 0, MAX_CODES),
        ("/promotions", op.promotions.as_ref().map_or(0, Vec::len), 0, MAX_INLINE),
    ];
    for (pointer, count, least, most) in counts {
        if !(least..=most).contains(&count) {
            faults.note(pointer, format!("must have {least} to {most} entries"));
        }
    }
    let shipping_rate = op.shipping.as_ref().and_then(|shipping| shipping.tax_rate);
    if shipping_rate.is_some_and(|rate| !is_rate(rate)) {
        faults.note("/shipping/taxRate", "must be a rate from 0 to 100 percent");
    }
    for (i, item) in op.items.iter().enumerate() {
        if !(1..=MAX_UNITS).contains(&item.quantity) {
            faults.note(format!("/items/{i}/quantity"), format!("must be from 1 to {MAX_UNITS}"));
        }
    }
    faults.finish()
}

/// Builds the lines, one per SKU, from the catalog's data and the caller's overrides.
async fn describe(cx: &Cx, items: &[CalculateItem], currency: Currency) -> Result<Vec<RequestedLine>, Error> {
    let mut skus: Vec<Sku> =
        items.iter().filter(|item| item.unit_price.is_none()).map(|entry| entry.sku.clone()).collect();
    skus.sort();
    skus.dedup();
    let found = if skus.is_empty() { HashMap::new() } else { cx.call(DescribeSkus { skus }).await?.by_sku() };
    let mut lines: Vec<RequestedLine> = Vec::with_capacity(items.len());
    let mut places: HashMap<Sku, usize> = HashMap::with_capacity(items.len());
    let mut faults = Faults::default();
    for (i, item) in items.iter().enumerate() {
        match line(item, found.get(&item.sku), currency) {
            Err((member, code, detail)) => {
                faults.add(FieldError::coded(format!("/items/{i}/{member}"), code, detail));
            }
            Ok(line) => match places.get(&line.input.sku).and_then(|place| lines.get_mut(*place)) {
                Some(known) if known.input.list_price == line.input.list_price => {
                    known.input.quantity += line.input.quantity;
                }
                Some(_) => faults.note(
                    format!("/items/{i}/unitPrice"),
                    format!("{} has another price in an earlier line", item.sku),
                ),
                None => {
                    places.insert(line.input.sku.clone(), lines.len());
                    lines.push(line);
                }
            },
        }
    }
    faults.finish().map(|()| lines)
}

/// Whether a percentage is a valid tax rate.
fn is_rate(percent: Amount) -> bool {
    (Decimal::ZERO..=Decimal::ONE_HUNDRED).contains(&percent.0)
}

/// A fault of an item: its member, code and detail.
type Fault = (&'static str, &'static str, String);

fn line(item: &CalculateItem, known: Option<&SkuDescription>, currency: Currency) -> Result<RequestedLine, Fault> {
    let amount = |member: &'static str, amount: Option<Amount>| match amount {
        Some(amount) if amount.is_negative() || currency.minor_units(amount).is_none() => {
            let digits = currency.exponent();
            let detail =
                format!("must be an amount of {currency}, not negative, with at most {digits} digits after the point");
            Err((member, codes::INVALID_VALUE, detail))
        }
        amount => Ok(amount),
    };
    if item.tax_rate.is_some_and(|rate| !is_rate(rate)) {
        return Err(("taxRate", codes::INVALID_VALUE, "must be a rate from 0 to 100 percent".to_owned()));
    }
    let (price, floor) = (amount("unitPrice", item.unit_price)?, amount("floorPrice", item.floor_price)?);
    let mut input = match (price, known) {
        (Some(price), _) => external_item(item, price),
        (None, Some(known)) => {
            let mut input = LineInput::of(known.clone(), item.quantity, None);
            input.unit_price = input.list_price;
            input
        }
        (None, None) => return Err(("sku", codes::UNKNOWN_SKU, format!("\"{}\" is not sold here", item.sku))),
    };
    input.category_ids = item.category_ids.clone().unwrap_or(input.category_ids);
    input.attributes = item.attributes.clone().unwrap_or(input.attributes);
    input.floor_price = floor.or(input.floor_price);
    input.discountable = item.discountable.unwrap_or(input.discountable);
    let known = known.filter(|_| price.is_none());
    Ok(RequestedLine {
        input,
        product_id: known.map(|known| known.product_id),
        name: known.map(|known| known.name.clone()),
        tax_class: known.map(|known| known.tax_class.clone()).unwrap_or_default(),
        tax_rate: item.tax_rate.or(price.map(|_| Amount::ZERO)),
    })
}

/// An item at a price of the caller, without any data from the catalog.
fn external_item(item: &CalculateItem, price: Amount) -> LineInput {
    LineInput {
        sku: item.sku.clone(),
        former_skus: Vec::new(),
        product_id: None,
        category_ids: Vec::new(),
        attributes: std::collections::BTreeMap::new(),
        quantity: item.quantity,
        list_price: price,
        unit_price: price,
        floor_price: None,
        discountable: true,
        flash_sale_id: None,
    }
}

/// The pricing terms for this cart: shipping, tax and the cap on discounts. The caller's data overrides the store's.
async fn terms(cx: &Cx, op: &CalculateCart, lines: &[RequestedLine], subtotal: Amount) -> Result<PricingTerms, Error> {
    let shipping = op.shipping.clone().unwrap_or_default();
    let query = GetPricingTerms {
        country: shipping.country,
        region: None,
        shipping_method: shipping.method.clone(),
        subtotal,
        tax_classes: lines.iter().map(|line| line.tax_class.clone()).collect(),
    };
    let mut terms = cx.call(query).await?;
    terms.prices_include_tax = op.prices_include_tax.unwrap_or(terms.prices_include_tax);
    terms.shipping = shipping.amount.unwrap_or(terms.shipping);
    terms.shipping_method = shipping.method.or(terms.shipping_method);
    terms.shipping_tax_percent = shipping.tax_rate.unwrap_or(terms.shipping_tax_percent);
    Ok(terms)
}

/// Builds the request to the evaluator.
async fn build_request(
    cx: &Cx,
    op: &CalculateCart,
    lines: &[RequestedLine],
    terms: &PricingTerms,
    currency: Currency,
) -> Result<PricingRequest, Error> {
    let cart_lines: Option<Vec<Line>> = lines.iter().map(|line| Line::new(line.input.clone(), currency)).collect();
    let cart_lines = cart_lines.ok_or_else(|| Error::field("/items", "the line's total is too large"))?;
    if terms.shipping.is_negative() || currency.minor_units(terms.shipping).is_none() {
        return Err(Error::field("/shipping/amount", format!("must be an amount of {currency}, not negative")));
    }
    let mut cart = Cart::new(currency, cart_lines, terms.shipping)?;
    cart.shipping_method.clone_from(&terms.shipping_method);
    cart.country =
        op.shipping.as_ref().and_then(|shipping| shipping.country.as_ref()).map(|country| country.to_uppercase());
    cart.payment_method.clone_from(&op.payment_method);
    cart.channel = op.channel.clone().unwrap_or(cart.channel);
    cart.attributes.clone_from(&op.attributes);
    let (user, email) = match &op.customer {
        Some(customer) => (customer.id, customer.email.clone()),
        None => (cx.principal.user(), None),
    };
    let buyer = Buyer::identify(cx, user, email).await?;
    let coupons = if op.codes.is_empty() || op.promotions.is_some() {
        Vec::new()
    } else {
        let op = ResolveCodes { codes: op.codes.clone(), buyer: buyer.clone(), entered: op.codes.clone() };
        cx.call(op).await?.coupons
    };
    Ok(PricingRequest {
        cart,
        buyer,
        address_key: None,
        codes: op.codes.clone(),
        coupons,
        customer: op.customer.clone(),
        detail: Detail::Everything,
    })
}

/// Evaluates the caller's own promotions on the cart. Nothing is stored or counted, so all limits are unused.
async fn evaluate_inline(
    cx: &Cx,
    request: PricingRequest,
    promotions: &[Promotion],
    max_discount_percent: Option<Amount>,
) -> Result<(Cart, Evaluation), Error> {
    let mut cart = request.cart;
    let rules = compile_inline(promotions, cart.currency())?;
    let set = RuleSet::new(rules.iter().cloned());
    let guest = Customer { is_guest: true, ..Customer::default() };
    let gift_skus = needs_of(&rules).gifts;
    let mut gifts = facts::gifts(cx, gift_skus.clone()).await?;
    for sku in gift_skus {
        // A gift that is not in the catalog has the price that the caller supplied, and unlimited stock.
        let price = cart.list_price_of(&sku).unwrap_or_default();
        gifts.entry(sku.clone()).or_insert(GiftStock { sku, price, available: u32::MAX });
    }
    let context = EvaluationContext {
        now: cx.now,
        customer: request.customer.unwrap_or(guest),
        gifts,
        max_discount_percent,
        ..EvaluationContext::default()
    };
    set.apply_catalog_prices(&mut cart, &context);
    let mut named: Vec<NamedCode> = Vec::with_capacity(request.codes.len());
    for code in request.codes {
        let normal = normal_code(&code);
        if named.iter().all(|known| normal_code(&known.code) != normal) {
            named.push(NamedCode { code, promotion: set.by_code(&normal), coupon: false, refused: None });
        }
    }
    let answer = evaluate(&set, &cart, &context, &named, Detail::Everything);
    Ok((cart, answer))
}

/// Compiles the caller's promotions. Their campaigns are ignored.
fn compile_inline(promotions: &[Promotion], currency: Currency) -> Result<Vec<Arc<Rule>>, Error> {
    let (mut rules, mut faults) = (Vec::with_capacity(promotions.len()), Faults::default());
    let (mut ids, mut codes) = (Vec::new(), Vec::new());
    for (i, promotion) in (0..).zip(promotions) {
        let id = promotion.id.unwrap_or(i + 1);
        let code = promotion.code.as_deref().map(normal_code);
        if id < 1 || ids.contains(&id) {
            faults.note(format!("/promotions/{i}/id"), "ids must be positive and unique");
        }
        if code.as_ref().is_some_and(|code| codes.contains(code)) {
            faults.note(format!("/promotions/{i}/code"), "another of these promotions has this code");
        }
        ids.push(id);
        codes.extend(code);
        let without_campaign = Promotion { campaign_id: None, ..promotion.clone() };
        match Rule::compile(PromotionId(id), &without_campaign, currency, &format!("/promotions/{i}")) {
            Ok(rule) => rules.push(Arc::new(rule)),
            Err(found) => faults.extend(found),
        }
    }
    faults.finish().map(|()| rules)
}

/// Adds taxes and totals to an evaluated cart, as an order would have them.
fn price(
    cx: &Cx,
    op: &CalculateCart,
    described: &[RequestedLine],
    terms: &PricingTerms,
    (cart, answer): (&Cart, Evaluation),
) -> CalculatedCart {
    let (currency, inside) = (cart.currency(), terms.prices_include_tax);
    let percents = terms.tax_percents.iter().copied().chain(std::iter::repeat(Amount::ZERO));
    let mut lines: Vec<CalculatedLine> = Vec::with_capacity(described.len());
    for ((i, line), (discounts, percent)) in
        described.iter().enumerate().zip(answer.line_discounts.into_iter().zip(percents))
    {
        let (unit, subtotal) = cart.prices_of(i);
        let discount: Amount = discounts.iter().map(|discount| discount.amount).sum();
        let paid = subtotal - discount;
        let tax = tax_of(paid, line.tax_rate.unwrap_or(percent), inside, currency);
        lines.push(CalculatedLine {
            sku: line.input.sku.clone(),
            product_id: line.product_id,
            name: line.name.clone(),
            quantity: line.input.quantity,
            unit_price: unit,
            list_price: currency.round(line.input.list_price.0),
            subtotal,
            discount: currency.round(discount.0),
            discounts,
            tax,
            total: currency.round(if inside { paid.0 } else { paid.0 + tax.0 }),
        });
    }
    lines.extend(answer.gifts.iter().map(|gift| gift_line(gift, currency)));
    let mut rejected_promotions = answer.rejected;
    if op.promotions.is_none() && !cx.principal.allows("promotion:read") {
        rejected_promotions.truncate(MAX_CODES);
    }
    CalculatedCart {
        currency,
        prices_include_tax: inside,
        totals: totals(&lines, terms, answer.shipping_discount, currency),
        lines,
        applied_promotions: answer.applied,
        rejected_promotions,
        offers: answer.offers,
        points_multiplier: answer.points_multiplier,
        warnings: answer.warnings,
    }
}

/// A gift as a line with price zero.
fn gift_line(gift: &promox_contract::promotion::Gift, currency: Currency) -> CalculatedLine {
    let zero = currency.zero();
    CalculatedLine {
        sku: gift.sku.clone(),
        product_id: None,
        name: None,
        quantity: gift.quantity,
        unit_price: zero,
        list_price: gift.value,
        subtotal: zero,
        discount: zero,
        discounts: Vec::new(),
        tax: zero,
        total: zero,
    }
}

fn totals(lines: &[CalculatedLine], terms: &PricingTerms, shipping_discount: Amount, currency: Currency) -> Totals {
    let inside = terms.prices_include_tax;
    let shipping_paid = terms.shipping - shipping_discount;
    let shipping_tax = tax_of(shipping_paid, terms.shipping_tax_percent, inside, currency);
    let added_tax = if inside { currency.zero() } else { shipping_tax };
    let sum = |of: fn(&CalculatedLine) -> Amount| lines.iter().map(of).sum::<Amount>();
    Totals {
        subtotal: currency.round(sum(|line| line.subtotal).0),
        discount: currency.round(sum(|line| line.discount).0),
        shipping: currency.round(terms.shipping.0),
        shipping_discount: currency.round(shipping_discount.0),
        tax: currency.round((sum(|line| line.tax) + shipping_tax).0),
        points_redeemed: 0,
        points_value: currency.zero(),
        total: currency.round((sum(|line| line.total) + shipping_paid + added_tax).0),
    }
}

impl Cart {
    /// The unit price and the subtotal of a line before cart promotions.
    fn prices_of(&self, i: usize) -> (Amount, Amount) {
        let (unit, subtotal) = self.line_prices(i);
        (to_amount(unit, self.currency()), to_amount(subtotal, self.currency()))
    }
}
