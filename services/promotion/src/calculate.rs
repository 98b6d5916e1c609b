//! Prices a cart on request: with this shop's catalog and promotions, or with data that the caller supplies.

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
use crate::pricing::{Question, needs_of};
use crate::rules::{
    Cart, Detail, EvaluationContext, GiftStock, Line, LineInput, NamedCode, Promotion, Rule, RuleSet, evaluate,
    normal_code, to_amount,
};
use crate::{Promotions, facts};

/// Maximum lines, codes and promotions of a request.
const MAX_LINES: usize = 1_000;
const MAX_CODES: usize = 50;
const MAX_INLINE: usize = 1_000;
const MAX_UNITS: u32 = 9_999;

/// A line with the data that the evaluator does not need.
struct Described {
    input: LineInput,
    product_id: Option<ProductId>,
    name: Option<String>,
    tax_class: String,
    tax_rate: Option<Amount>,
}

impl Promotions {
    /// Prices a cart: discounts, taxes and totals, as an order would have them.
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
        let mut worked_out = self.work_out(&cx, &op, &lines, &terms, currency).await?;
        // The cost of shipping depends on the goods' total after discounts, which is known only now.
        let paid = worked_out.0.goods() - worked_out.1.goods_discount();
        if paid != listed {
            let cheaper = self::terms(&cx, &op, &lines, paid).await?;
            if (cheaper.shipping, &cheaper.shipping_method) != (terms.shipping, &terms.shipping_method) {
                terms = cheaper;
                worked_out = self.work_out(&cx, &op, &lines, &terms, currency).await?;
            }
        }
        let (cart, answer) = worked_out;
        Ok(price(&cx, &op, &lines, &terms, (&cart, answer)))
    }

    /// The cart at catalog prices and its discounts, on these terms.
    async fn work_out(
        &self,
        cx: &Cx,
        op: &CalculateCart,
        lines: &[Described],
        terms: &PricingTerms,
        currency: Currency,
    ) -> Result<(Cart, Evaluation), Error> {
        let question = question(cx, op, lines, terms, currency).await?;
        match &op.promotions {
            None => self.answer_from_list(cx, question).await,
            Some(promotions) => inline(cx, question, promotions, terms.max_discount_percent).await,
        }
    }
}

/// Checks the permission for supplied data, and all limits.
fn check(cx: &Cx, op: &CalculateCart) -> Result<(), Error> {
    let foreign = |item: &CalculateItem| {
        item.unit_price.is_some()
            || item.category_ids.is_some()
            || item.attributes.is_some()
            || item.tax_rate.is_some()
            || item.floor_price.is_some()
            || item.discountable.is_some()
    };
    let shipping =
        op.shipping.as_ref().is_some_and(|shipping| shipping.amount.is_some() || shipping.tax_rate.is_some());
    let own_facts = op.currency.is_some() || op.prices_include_tax.is_some() || op.customer.is_some();
    let privileged =
        shipping || own_facts || op.at.is_some() || op.promotions.is_some() || op.items.iter().any(foreign);
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

/// The lines, each SKU once: the catalog's data, with the caller's overrides.
async fn describe(cx: &Cx, items: &[CalculateItem], currency: Currency) -> Result<Vec<Described>, Error> {
    let mut own: Vec<Sku> =
        items.iter().filter(|item| item.unit_price.is_none()).map(|entry| entry.sku.clone()).collect();
    own.sort();
    own.dedup();
    let found = if own.is_empty() { HashMap::new() } else { cx.call(DescribeSkus { skus: own }).await?.by_sku() };
    let mut lines: Vec<Described> = Vec::with_capacity(items.len());
    let mut places: HashMap<Sku, usize> = HashMap::with_capacity(items.len());
    let mut faults = Faults::default();
    for (i, item) in items.iter().enumerate() {
        match line(item, found.get(&item.sku), currency) {
            Err((member, code, detail)) => {
                faults.add(FieldError { pointer: format!("/items/{i}/{member}"), code: code.into(), detail });
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

/// Whether it is a valid tax rate.
fn is_rate(percent: Amount) -> bool {
    (Decimal::ZERO..=Decimal::ONE_HUNDRED).contains(&percent.0)
}

type Fault = (&'static str, &'static str, String);

fn line(item: &CalculateItem, known: Option<&SkuDescription>, currency: Currency) -> Result<Described, Fault> {
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
        (Some(price), _) => foreign(item, price),
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
    Ok(Described {
        input,
        product_id: known.map(|known| known.product_id),
        name: known.map(|known| known.name.clone()),
        tax_class: known.map(|known| known.tax_class.clone()).unwrap_or_default(),
        tax_rate: item.tax_rate.or(price.map(|_| Amount::ZERO)),
    })
}

/// Goods that are not in this shop's catalog.
fn foreign(item: &CalculateItem, price: Amount) -> LineInput {
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

/// The store's terms for this cart: shipping, tax, the cap. The caller's data takes precedence.
async fn terms(cx: &Cx, op: &CalculateCart, lines: &[Described], subtotal: Amount) -> Result<PricingTerms, Error> {
    let shipping = op.shipping.clone().unwrap_or_default();
    let asked = GetPricingTerms {
        country: shipping.country,
        region: None,
        shipping_method: shipping.method.clone(),
        subtotal,
        tax_classes: lines.iter().map(|line| line.tax_class.clone()).collect(),
    };
    let mut terms = cx.call(asked).await?;
    terms.prices_include_tax = op.prices_include_tax.unwrap_or(terms.prices_include_tax);
    terms.shipping = shipping.amount.unwrap_or(terms.shipping);
    terms.shipping_method = shipping.method.or(terms.shipping_method);
    terms.shipping_tax_percent = shipping.tax_rate.unwrap_or(terms.shipping_tax_percent);
    Ok(terms)
}

async fn question(
    cx: &Cx,
    op: &CalculateCart,
    lines: &[Described],
    terms: &PricingTerms,
    currency: Currency,
) -> Result<Question, Error> {
    let built: Option<Vec<Line>> = lines.iter().map(|line| Line::new(line.input.clone(), currency)).collect();
    let built = built.ok_or_else(|| Error::field("/items", "the line's total is too large"))?;
    if terms.shipping.is_negative() || currency.minor_units(terms.shipping).is_none() {
        return Err(Error::field("/shipping/amount", format!("must be an amount of {currency}, not negative")));
    }
    let mut cart = Cart::new(currency, built, terms.shipping)?;
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
        cx.call(ResolveCodes { codes: op.codes.clone(), buyer: buyer.clone() }).await?.coupons
    };
    Ok(Question {
        cart,
        buyer,
        address_key: None,
        codes: op.codes.clone(),
        coupons,
        customer: op.customer.clone(),
        detail: Detail::Everything,
    })
}

/// Evaluates the caller's own promotions on the cart: nothing is stored or counted, so all limits are unused.
async fn inline(
    cx: &Cx,
    question: Question,
    promotions: &[Promotion],
    max_discount_percent: Option<Amount>,
) -> Result<(Cart, Evaluation), Error> {
    let mut cart = question.cart;
    let rules = compile_inline(promotions, cart.currency())?;
    let set = RuleSet::new(rules.iter().cloned());
    let guest = Customer { is_guest: true, ..Customer::default() };
    let wanted = needs_of(&rules).gifts;
    let mut gifts = facts::gifts(cx, wanted.clone()).await?;
    for sku in wanted {
        // For facts that this shop does not know, the caller's data is used.
        let price = cart.list_price_of(&sku).unwrap_or_default();
        gifts.entry(sku.clone()).or_insert(GiftStock { sku, price, available: u32::MAX });
    }
    let context = EvaluationContext {
        now: cx.now,
        customer: question.customer.unwrap_or(guest),
        gifts,
        max_discount_percent,
        ..EvaluationContext::default()
    };
    set.apply_catalogue_prices(&mut cart, &context);
    let mut named: Vec<NamedCode> = Vec::with_capacity(question.codes.len());
    for code in question.codes {
        let normal = normal_code(&code);
        if named.iter().all(|known| normal_code(&known.code) != normal) {
            named.push(NamedCode { code, promotion: set.by_code(&normal), coupon: false, refused: None });
        }
    }
    let answer = evaluate(&set, &cart, &context, &named, Detail::Everything);
    Ok((cart, answer))
}

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
        let unbound = Promotion { campaign_id: None, ..promotion.clone() };
        match Rule::compile(PromotionId(id), &unbound, currency, &format!("/promotions/{i}")) {
            Ok(rule) => rules.push(Arc::new(rule)),
            Err(found) => faults.extend(found),
        }
    }
    faults.finish().map(|()| rules)
}

/// The cart with its discounts, taxes and totals, as an order would have them.
fn price(
    cx: &Cx,
    op: &CalculateCart,
    described: &[Described],
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
        let left = subtotal - discount;
        let tax = tax_of(left, line.tax_rate.unwrap_or(percent), inside, currency);
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
            total: currency.round(if inside { left.0 } else { left.0 + tax.0 }),
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

/// A gift as a line at zero.
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

fn totals(lines: &[CalculatedLine], terms: &PricingTerms, off: Amount, currency: Currency) -> Totals {
    let inside = terms.prices_include_tax;
    let shipped = terms.shipping - off;
    let shipping_tax = tax_of(shipped, terms.shipping_tax_percent, inside, currency);
    let on_top = if inside { currency.zero() } else { shipping_tax };
    let sum = |of: fn(&CalculatedLine) -> Amount| lines.iter().map(of).sum::<Amount>();
    Totals {
        subtotal: currency.round(sum(|line| line.subtotal).0),
        discount: currency.round(sum(|line| line.discount).0),
        shipping: currency.round(terms.shipping.0),
        shipping_discount: currency.round(off.0),
        tax: currency.round((sum(|line| line.tax) + shipping_tax).0),
        points_redeemed: 0,
        points_value: currency.zero(),
        total: currency.round((sum(|line| line.total) + shipped + on_top).0),
    }
}

impl Cart {
    /// The unit price and total of a line, before cart promotions.
    fn prices_of(&self, i: usize) -> (Amount, Amount) {
        let (unit, subtotal) = self.line_prices(i);
        (to_amount(unit, self.currency()), to_amount(subtotal, self.currency()))
    }
}
