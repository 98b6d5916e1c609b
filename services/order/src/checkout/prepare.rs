//! Before anything is held: what is bought, what it costs, how it is paid.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use promox_contract::buyer::Buyer;
use promox_contract::cart::{CartContents, CartForCheckout};
use promox_contract::coupon::ResolveCodes;
use promox_contract::flashsale::{FlashLines, ReservedLines};
use promox_contract::ids::{CampaignId, CartId, FlashSaleId};
use promox_contract::inventory::{AvailableStock, SkuQuantity};
use promox_contract::payment::CheckPaymentChoice;
use promox_contract::product::DescribeForSale;
use promox_contract::promotion::{CartLine, EvaluateCart, Evaluation, Gift, Offer, RejectReason};
use promox_contract::reward::{PointsFor, ValuePoints};
use promox_kernel::{Amount, Cx, Email, Error, FieldError, Kind};

use crate::Orders;
use crate::api::{Address, PlaceOrder, QuoteView, ShippingOption};
use crate::checkout::quotes::Asked;
use crate::checkout::{Draft, Extras, NewOrder, StoredClaim};
use crate::reject;
use crate::rules::pricing::{self, Basket, Priced};
use crate::rules::{request, shipping};
use crate::settings::{Settings, TaxSettings};

/// How long a quote is good.
const QUOTE_LIFE: Duration = Duration::from_mins(15);

/// The state of a cart that is being ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OrderedCart {
    pub(crate) id: CartId,
    pub(crate) version: i64,
}

/// For whom a request is priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// An order, which refuses whatever is not as it was asked for.
    Order,
    /// A quote, which reports what an order would refuse, but knows no more than an order what an unknown SKU costs.
    Quote,
    /// A cart, whose lines may have gone from the catalogue since.
    Cart,
}

/// A request with all that was asked about it.
pub(crate) struct Assessed {
    settings: Arc<Settings>,
    pub(crate) cart: Option<CartContents>,
    codes: Vec<(String, bool)>,
    /// Where the order would be confirmed to.
    email: Option<Email>,
    options: Vec<ShippingOption>,
    pub(crate) priced: Priced,
    /// How many of the lines, the last ones, are gifts.
    gifts: usize,
    offers: Vec<Offer>,
    extras: Extras,
    warnings: Vec<String>,
}

impl Orders {
    /// What an order of this request would be, checked as far as can be without holding anything.
    pub(crate) async fn prepare(&self, cx: &Cx, body: &PlaceOrder) -> Result<(Draft, Option<OrderedCart>), Error> {
        request::check(body)?;
        let settings = self.settings.get(&self.db).await?;
        let body = request::in_regions(body, &settings.taxes)?;
        let body = &*body;
        require_email(cx, body)?;
        let assessed = self.assess(cx, body, Asker::Order, settings).await?;
        let email = assessed.email.clone().ok_or_else(|| Error::not_found("user"))?;
        let (priced, extras) = match &body.quote_id {
            Some(id) => {
                let asked = what_was_asked(cx, body, &assessed, Some(&email));
                self.quotes.redeem(id, &asked, assessed.extras, cx.now)?
            }
            None => (assessed.priced, assessed.extras),
        };
        refuse_bad_codes(&priced, &assessed.codes)?;
        require_address(body, &assessed.settings)?;
        let choice = self.payment_choice(cx, body, priced.totals.total).await?;
        let guest = cx.principal.user().is_none();
        let points_earned = points_earned(cx, &priced, extras.points_multiplier).await?;
        let order = NewOrder {
            number: number(cx),
            user_id: cx.principal.user(),
            email,
            priced,
            shipping_address: body.shipping_address.clone(),
            billing_address: body.billing_address.clone(),
            channel: body.channel.clone(),
            note: body.note.clone(),
            attributes: body.attributes.clone(),
            extras,
            points_earned,
        };
        let draft = Draft {
            order: Some(Box::new(order)),
            choice,
            claim: cx.claim.as_deref().map(StoredClaim::of),
            token: guest.then(|| cx.node.entropy.token()),
            actor: cx.principal.name(),
            undo: None,
        };
        let cart = assessed.cart.map(|cart| OrderedCart { id: cart.cart_id, version: cart.version });
        Ok((draft, cart))
    }

    /// Prices a request by these settings.
    pub(crate) async fn assess(
        &self,
        cx: &Cx,
        body: &PlaceOrder,
        asker: Asker,
        settings: Arc<Settings>,
    ) -> Result<Assessed, Error> {
        let strict = asker == Asker::Order;
        let (items, cart) = match &body.items {
            Some(items) => (items.clone(), None),
            None => cart_or_reservations(self.cart(cx).await, body)?,
        };
        let codes = codes(body, cart.as_ref());
        let all_known = strict || asker == Asker::Quote && body.items.is_some();
        let mut lines = describe(cx, request::merge(items)?, body.channel.as_deref(), all_known).await?;
        let Reserved { lines: reserved, campaigns: flash_campaigns, mut warnings } =
            flash_lines(cx, body, strict).await?;
        lines.extend(reserved);
        if lines.is_empty() {
            return Err(Error::field("/items", "nothing that can be bought"));
        }
        check_classes(&lines, &settings.taxes, strict, &mut warnings)?;
        let currency = settings.store.currency;
        let buyer = Buyer::identify(cx, cx.principal.user(), body.email.clone()).await?;
        let Shipped { options, chosen, mut evaluation } =
            evaluate_shipped(cx, body, &buyer, &settings, &lines, &codes, strict).await?;
        let offers = std::mem::take(&mut evaluation.offers);
        warnings.append(&mut evaluation.warnings);
        let email = buyer.email().cloned();
        let extras = Extras {
            buyer: Some(buyer).filter(|_| !evaluation.uses.is_empty() || body.quote_id.is_some()),
            uses: std::mem::take(&mut evaluation.uses),
            flash_reservations: body.flash_sale_reservation_ids.clone(),
            flash_campaigns,
            address_key: body.shipping_address.as_ref().map(address_key),
            points_multiplier: evaluation.points_multiplier,
        };
        let given = gift_lines(cx, &evaluation.gifts).await?;
        let gifts = given.len();
        lines.extend(given);
        let mut basket = Basket {
            lines: &lines,
            currency,
            address: body.shipping_address.as_ref(),
            taxes: &settings.taxes,
            shipping: chosen.as_ref(),
            points: 0,
            points_value: Amount::ZERO,
        };
        let mut priced = pricing::price(&basket, evaluation.clone())?;
        if let Some(points) = body.points_to_redeem.filter(|points| *points > 0) {
            basket.points_value = points_value(cx, points, &priced).await?;
            basket.points = points;
            priced = pricing::price(&basket, evaluation)?;
        }
        let unchecked = "Without an e-mail address limits per user are left unchecked.";
        if email.is_none() && !warnings.iter().any(|known| known == unchecked) {
            warnings.push(unchecked.to_owned());
        }
        Ok(Assessed { settings, cart, codes, email, options, priced, gifts, offers, extras, warnings })
    }

    /// The price of a request, remembered for 15 minutes.
    pub(crate) async fn quote(&self, cx: &Cx, body: PlaceOrder) -> Result<QuoteView, Error> {
        request::check(&body)?;
        let settings = self.settings.get(&self.db).await?;
        let body = request::in_regions(&body, &settings.taxes)?;
        let assessed = self.assess(cx, &body, Asker::Quote, settings).await?;
        let expires_at = cx.now + QUOTE_LIFE;
        let quote_id = cx.node.entropy.token();
        let asked = what_was_asked(cx, &body, &assessed, body.email.as_ref());
        self.quotes.remember(&quote_id, &asked, &assessed.priced, &assessed.extras, (cx.now, expires_at));
        let mut warnings = assessed.warnings;
        if require_address(&body, &assessed.settings).is_err() {
            warnings.push("Shipping and tax are not in it: where it is shipped to decides them.".to_owned());
        }
        let priced = assessed.priced;
        Ok(QuoteView {
            currency: priced.currency,
            prices_include_tax: priced.prices_include_tax,
            lines: priced.lines,
            applied_promotions: priced.applied,
            rejected_promotions: priced.rejected,
            offers: assessed.offers,
            shipping_options: assessed.options,
            totals: priced.totals,
            warnings,
            quote_id,
            expires_at,
        })
    }

    async fn cart(&self, cx: &Cx) -> Result<(Vec<SkuQuantity>, Option<CartContents>), Error> {
        if cx.principal.user().is_none() && cx.cart_token.is_none() {
            return Err(Error::field("/items", "name the items, or send a cart token or log in to order your cart"));
        }
        let cart = cx.call(CartForCheckout {}).await?;
        Ok((cart.items.clone(), Some(cart)))
    }

    async fn payment_choice(
        &self,
        cx: &Cx,
        body: &PlaceOrder,
        total: Amount,
    ) -> Result<Option<promox_contract::payment::PaymentChoice>, Error> {
        if total.is_zero() {
            return Ok(None);
        }
        let Some(choice) = body.payment.clone() else {
            let detail = format!("how the {total} are paid");
            let missing = FieldError { pointer: "/payment".into(), code: "MISSING".into(), detail };
            return Err(Error::invalid(vec![missing]));
        };
        cx.call(CheckPaymentChoice { choice: choice.clone() }).await?;
        Ok(Some(choice))
    }
}

/// Goods of a tax class that the store does not have are not sold: nobody could say what tax they bear.
fn check_classes(
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
        return Err(Error::refused("UNKNOWN_TAX_CLASS", message)
            .with("sku", &item.sku)
            .with("taxClass", &item.tax_class));
    }
    warnings.push(message);
    Ok(())
}

/// What the caller's cart holds. Without anything in it an order of flash reservations is of those alone.
fn cart_or_reservations(
    cart: Result<(Vec<SkuQuantity>, Option<CartContents>), Error>,
    body: &PlaceOrder,
) -> Result<(Vec<SkuQuantity>, Option<CartContents>), Error> {
    let nothing = |error: &Error| error.kind() == Kind::NotFound || error.code() == "CART_EMPTY";
    match cart {
        Err(error) if nothing(&error) && !body.flash_sale_reservation_ids.is_empty() => Ok((Vec::new(), None)),
        cart => cart,
    }
}

/// An order's number: 50 random bits, readable aloud, so that none can be guessed from another.
fn number(cx: &Cx) -> String {
    let code = cx.node.entropy.code(10);
    let (left, right) = code.split_at(code.len() / 2);
    format!("{left}-{right}")
}

/// The codes that the buyer named, and whether as a coupon.
fn codes(body: &PlaceOrder, cart: Option<&CartContents>) -> Vec<(String, bool)> {
    let in_cart = cart.map(|cart| (cart.promotion_code.clone(), cart.coupon_codes.clone())).unwrap_or_default();
    let promotions = body.promotion_code.iter().chain(in_cart.0.iter()).map(|code| (code.clone(), false));
    let coupons = body.coupon_code.iter().chain(&body.coupon_codes).chain(&in_cart.1).map(|code| (code.clone(), true));
    let mut codes: Vec<(String, bool)> = Vec::new();
    for (code, is_coupon) in promotions.chain(coupons) {
        if !codes.iter().any(|(known, _)| *known == code) {
            codes.push((code, is_coupon));
        }
    }
    codes
}

async fn describe(
    cx: &Cx,
    items: Vec<SkuQuantity>,
    channel: Option<&str>,
    strict: bool,
) -> Result<Vec<CartLine>, Error> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let skus = items.iter().map(|item| item.sku.clone()).collect();
    let mut by_sku = cx.call(DescribeForSale { skus, channel: channel.map(str::to_owned) }).await?.by_sku();
    let mut lines: Vec<CartLine> = Vec::with_capacity(items.len());
    let mut faults = Vec::new();
    for (i, item) in items.into_iter().enumerate() {
        match by_sku.remove(&item.sku) {
            Some(found) => {
                // A variant may be named by its SKU and by a former one: that is one line.
                let again = |line: &&mut CartLine| line.item.variant_id == found.variant_id;
                let known = if found.former_skus.is_empty() { None } else { lines.iter_mut().find(again) };
                match known {
                    Some(line) => {
                        let at = format!("/items/{i}/quantity");
                        line.quantity = request::together(line.quantity, item.quantity, &at)?;
                    }
                    None => lines.push(CartLine { item: found, quantity: item.quantity, flash_sale_id: None }),
                }
            }
            None => faults.push(FieldError {
                pointer: format!("/items/{i}/sku"),
                code: "UNKNOWN_SKU".into(),
                detail: format!("\"{}\" is not sold here", item.sku),
            }),
        }
    }
    if strict && !faults.is_empty() { Err(Error::invalid(faults)) } else { Ok(lines) }
}

/// What reservations come to.
#[derive(Default)]
struct Reserved {
    lines: Vec<CartLine>,
    /// The campaigns that their sales are of.
    campaigns: BTreeMap<FlashSaleId, CampaignId>,
    warnings: Vec<String>,
}

/// The lines of the reservations that are named. Of one that is not good an order says why it is refused, a quote warns.
async fn flash_lines(cx: &Cx, body: &PlaceOrder, strict: bool) -> Result<Reserved, Error> {
    let named = &body.flash_sale_reservation_ids;
    if named.is_empty() {
        return Ok(Reserved::default());
    }
    let asked = ReservedLines { user_id: cx.principal.user(), reservation_ids: named.clone() };
    let FlashLines { lines: found, refused } = cx.call(asked).await?;
    let mut reserved = Reserved::default();
    for id in named.iter().filter(|id| !found.iter().any(|line| line.reservation_id == **id)) {
        let reason = refused.iter().find(|refused| refused.reservation_id == *id).map(|refused| refused.reason);
        let error = reject::reservation_refused(*id, reason.unwrap_or(RejectReason::Unknown));
        if strict {
            return Err(error);
        }
        reserved.warnings.push(error.message().to_owned());
    }
    for flash in found {
        reserved.campaigns.extend(flash.campaign_id.map(|campaign| (flash.flash_sale_id, campaign)));
        let item = SkuQuantity { sku: flash.sku, quantity: flash.quantity };
        let described = describe(cx, vec![item], None, false).await?;
        if described.is_empty() {
            let error = reject::reservation_refused(flash.reservation_id, RejectReason::NoMatchingItems);
            if strict {
                return Err(error);
            }
            reserved.warnings.push(error.message().to_owned());
        }
        for mut line in described {
            line.item.price = flash.sale_price;
            line.flash_sale_id = Some(flash.flash_sale_id);
            reserved.lines.push(line);
        }
    }
    Ok(reserved)
}

/// A cart with its promotions, and how it is shipped.
struct Shipped {
    options: Vec<ShippingOption>,
    chosen: Option<ShippingOption>,
    evaluation: Evaluation,
}

/// Evaluates promotions and chooses the way to ship. Thresholds look at the goods after discounts, so the amount that shipping
/// costs is settled by a second evaluation where the first one leaves goods of another rate.
async fn evaluate_shipped(
    cx: &Cx,
    body: &PlaceOrder,
    buyer: &Buyer,
    settings: &Settings,
    lines: &[CartLine],
    codes: &[(String, bool)],
    strict: bool,
) -> Result<Shipped, Error> {
    let (address, wanted) = (body.shipping_address.as_ref(), body.shipping_method.as_deref());
    let ways = |goods| shipping::options(&settings.shipping, address, goods, settings.store.currency);
    let subtotal = pricing::subtotal(lines)?;
    let options = ways(subtotal);
    let chosen = match shipping::choose(&options, wanted) {
        Err(error) if strict && address.is_some() => return Err(error),
        chosen => chosen.ok().cloned(),
    };
    let evaluation = evaluate(cx, body, buyer, settings, lines, codes, chosen.as_ref()).await?;
    let discount = evaluation.goods_discount();
    if discount.is_zero() {
        return Ok(Shipped { options, chosen, evaluation });
    }
    let options = ways(subtotal - discount);
    let settled = shipping::choose(&options, wanted).ok().cloned();
    if settled == chosen {
        return Ok(Shipped { options, chosen, evaluation });
    }
    let evaluation = evaluate(cx, body, buyer, settings, lines, codes, settled.as_ref()).await?;
    Ok(Shipped { options, chosen: settled, evaluation })
}

async fn evaluate(
    cx: &Cx,
    body: &PlaceOrder,
    buyer: &Buyer,
    settings: &Settings,
    lines: &[CartLine],
    codes: &[(String, bool)],
    shipping: Option<&ShippingOption>,
) -> Result<Evaluation, Error> {
    let codes: Vec<String> = codes.iter().map(|(code, _)| code.clone()).collect();
    let coupons = if codes.is_empty() {
        Vec::new()
    } else {
        cx.call(ResolveCodes { codes: codes.clone(), buyer: buyer.clone() }).await?.coupons
    };
    cx.call(EvaluateCart {
        lines: lines.to_vec(),
        currency: settings.store.currency,
        buyer: buyer.clone(),
        codes,
        coupons,
        shipping: shipping.map_or(Amount::ZERO, |option| option.amount),
        shipping_method: shipping.map(|option| option.method.clone()),
        country: body.shipping_address.as_ref().map(|address| address.country.clone()),
        payment_method: body.payment.as_ref().map(|payment| payment.method.clone()),
        channel: body.channel.clone(),
        attributes: body.attributes.clone(),
        address_key: body.shipping_address.as_ref().map(address_key),
    })
    .await
}

/// An address as limits per address compare it: without case, spaces and punctuation.
fn address_key(address: &Address) -> String {
    let parts = [Some(&address.line1), address.line2.as_ref(), Some(&address.city), address.postal_code.as_ref()];
    let text: String =
        parts.into_iter().flatten().flat_map(|part| part.chars()).filter(|c| c.is_alphanumeric()).collect();
    format!("{} {}", address.country, text.to_lowercase())
}

async fn points_value(cx: &Cx, points: u32, priced: &Priced) -> Result<Amount, Error> {
    let refused = |reason: &str| {
        Error::refused("POINTS_INSUFFICIENT", format!("{points} points cannot be spent here.")).with("reason", reason)
    };
    let Some(user_id) = cx.principal.user() else { return Err(refused("NOT_LOGGED_IN")) };
    let (total, currency) = (priced.totals.total, priced.currency);
    let value = cx.call(ValuePoints { user_id, points, total, currency }).await?;
    if value.spendable < points || value.value.is_zero() { Err(refused("NOT_ENOUGH")) } else { Ok(value.value) }
}

/// Gifts as lines at zero, as far as they are in stock.
async fn gift_lines(cx: &Cx, gifts: &[Gift]) -> Result<Vec<CartLine>, Error> {
    if gifts.is_empty() {
        return Ok(Vec::new());
    }
    let mut lines = Vec::with_capacity(gifts.len());
    for gift in gifts {
        let item = SkuQuantity { sku: gift.sku.clone(), quantity: gift.quantity };
        lines.extend(describe(cx, vec![item], None, false).await?);
    }
    let variants = lines.iter().map(|line| line.item.variant_id).collect();
    let available = cx.call(AvailableStock { variants }).await?.available;
    let in_stock = lines.into_iter().zip(available).filter(|(line, available)| *available >= line.quantity);
    let free = |(mut line, _): (CartLine, u32)| {
        line.item.price = line.item.currency.zero();
        line
    };
    Ok(in_stock.map(free).collect())
}

/// Points that the order will earn; guests earn none.
async fn points_earned(cx: &Cx, priced: &Priced, multiplier: Option<Amount>) -> Result<i64, Error> {
    let Some(user_id) = cx.principal.user() else { return Ok(0) };
    let totals = &priced.totals;
    let inside: Amount =
        if priced.prices_include_tax { priced.lines.iter().map(|line| line.tax).sum() } else { Amount::ZERO };
    let base = totals.subtotal - totals.discount - totals.points_value - inside;
    let multiplier = multiplier.unwrap_or(Amount(rust_decimal::Decimal::ONE));
    Ok(cx.call(PointsFor { user_id, base, multiplier }).await?.points)
}

/// A code that the buyer named and that does not apply refuses the order, unless something better was given for it.
fn refuse_bad_codes(priced: &Priced, codes: &[(String, bool)]) -> Result<(), Error> {
    let bad = priced.rejected.iter().filter(|rejected| rejected.reason != RejectReason::NotCombinable);
    for rejected in bad {
        let named = codes.iter().find(|(code, _)| rejected.code.as_ref() == Some(code));
        if let Some((_, is_coupon)) = named {
            return Err(reject::code_refused(rejected, *is_coupon));
        }
    }
    Ok(())
}

/// An account's order may go to the account's address; a guest has to name one.
fn require_email(cx: &Cx, body: &PlaceOrder) -> Result<(), Error> {
    if body.email.is_some() || cx.principal.user().is_some() {
        return Ok(());
    }
    let detail = "a guest's e-mail address".to_owned();
    Err(Error::invalid(vec![FieldError { pointer: "/email".into(), code: "MISSING".into(), detail }]))
}

fn require_address(body: &PlaceOrder, settings: &Settings) -> Result<(), Error> {
    let needed = !settings.shipping.zones.is_empty() || !settings.taxes.rates.is_empty();
    if !needed || body.shipping_address.is_some() {
        return Ok(());
    }
    let detail = "where it is shipped to decides shipping and tax".to_owned();
    Err(Error::invalid(vec![FieldError { pointer: "/shippingAddress".into(), code: "MISSING".into(), detail }]))
}

/// What a quote is bound to.
fn what_was_asked(cx: &Cx, body: &PlaceOrder, assessed: &Assessed, email: Option<&Email>) -> Asked {
    // Nobody asks for gifts: whether they are there decides the stock.
    let lines = &assessed.priced.lines;
    let asked = lines.len().saturating_sub(assessed.gifts);
    let mut items: Vec<String> =
        lines.iter().take(asked).map(|line| format!("{:?}×{}", line.variant_id, line.quantity)).collect();
    items.sort();
    let mut codes: Vec<&str> = assessed.codes.iter().map(|(code, _)| code.as_str()).collect();
    codes.sort_unstable();
    let address = body.shipping_address.as_ref();
    let goods = format!("{items:?} {codes:?} {address:?} {:?} {:?}", body.shipping_method, body.points_to_redeem);
    let named = [
        cx.principal.user().map(|user| format!("user {user}")),
        email.map(|email| format!("email {}", email.normal())),
        body.payment.as_ref().map(|payment| format!("payment {:?}", payment.method)),
        body.channel.as_ref().map(|channel| format!("channel {channel}")),
    ];
    let attributes = body.attributes.iter().map(|(name, value)| format!("attribute {name:?} {value:?}"));
    Asked { goods, terms: named.into_iter().flatten().chain(attributes).collect() }
}
