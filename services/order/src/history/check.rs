//! Validates documents and converts them to rows.

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use promox_contract::codes;
use promox_contract::ids::OrderId;
use promox_contract::order::OrderStatus;
use promox_kernel::{Amount, Currency, Email, EncodedJson, Json, Sku, Timestamp, bounded};

use super::document::{ApprovedReturn, Customer, Document, DocumentType, Line, Parcel, Points, Shipping};
use crate::records::{
    Approval, CreditLine, CreditNote, CreditNoteId, Fulfilment, FulfilmentId, FulfilmentStatus, Order, OrderDetails,
    OrderItem, Return, ReturnId, ReturnStatus,
};
use crate::rules::{returns, states};

/// Maximum lines of one document, which is written in one transaction.
const MAX_LINES: usize = 5_000;

/// A fault: the index of its line, if it has one, a stable code, and a message.
pub(crate) type Fault = (Option<usize>, &'static str, String);

/// What documents are validated against.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) currency: Currency,
    /// The time zone of dates without one.
    pub(crate) zone: TimeZone,
    /// The latest allowed time; sales in the future are refused.
    pub(crate) latest: Timestamp,
}

/// A valid document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Checked {
    pub(crate) number: String,
    /// The number of lines.
    pub(crate) rows: usize,
    pub(crate) content: Content,
}

/// The rows of a document, without the ids that they get when they are written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    Order(Box<Sale>),
    CreditNote(CreditNote),
}

/// An order with all its rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sale {
    pub(crate) order: Order,
    pub(crate) items: Vec<OrderItem>,
    pub(crate) parcels: Vec<Fulfilment>,
    pub(crate) returns: Vec<Return>,
}

impl Checked {
    pub(crate) fn is_credit(&self) -> bool {
        matches!(self.content, Content::CreditNote(_))
    }

    /// The price of the goods after discounts; negative for a credit note.
    pub(crate) fn goods(&self) -> Amount {
        match &self.content {
            Content::Order(sale) => sale.order.subtotal - sale.order.discount,
            Content::CreditNote(note) => note.total,
        }
    }

    /// The approximate number of rows that writing the document changes.
    pub(crate) fn weight(&self) -> usize {
        match &self.content {
            Content::Order(sale) => 1 + sale.items.len() + sale.parcels.len() + sale.returns.len(),
            Content::CreditNote(_) => self.rows,
        }
    }
}

/// Validates a document's number and returns it in upper case.
pub(crate) fn number(text: &str) -> Result<String, (&'static str, String)> {
    Ok(bounded(text, 1, 40).map_err(|detail| (codes::INVALID_NUMBER, detail))?.to_uppercase())
}

/// The type of a document: the stated one; without it, a document whose number begins with C and whose first quantity
/// is negative is a credit note.
pub(crate) fn kind(document: &Document) -> DocumentType {
    document.kind.unwrap_or_else(|| {
        let is_negative = document.lines.first().is_some_and(|line| line.quantity < 0);
        let is_credit = is_negative && document.number.trim_start().starts_with(['C', 'c']);
        if is_credit { DocumentType::CreditNote } else { DocumentType::Order }
    })
}

/// Validates a document. Returns its rows, or all its faults.
pub(crate) fn check(document: &Document, terms: &Terms) -> Result<Checked, Vec<Fault>> {
    let mut faults = Vec::new();
    let number = number(&document.number).map_err(|(code, detail)| faults.push((None, code, detail)));
    let at = date(&document.date, terms).map_err(|(code, detail)| faults.push((None, code, detail)));
    match document.lines.len() {
        0 => faults.push((None, codes::NO_LINES, format!("{} has no lines", document.number))),
        1..=MAX_LINES => {}
        count => {
            let detail = format!("{count} lines; a document has at most {MAX_LINES}");
            faults.push((None, codes::TOO_MANY_LINES, detail));
        }
    }
    if let Some(other) = document.currency.filter(|currency| *currency != terms.currency) {
        let detail = format!("{} is in {other}, the store in {}", document.number, terms.currency);
        faults.push((None, codes::CURRENCY_MISMATCH, detail));
    }
    let head = DocumentHead { number: number.unwrap_or_default(), at: at.unwrap_or(terms.latest), terms };
    let content = match kind(document) {
        DocumentType::CreditNote => head.credit_note(document, &mut faults).map(Content::CreditNote),
        DocumentType::Order => head.sale(document, &mut faults).map(|sale| Content::Order(Box::new(sale))),
    };
    match content {
        Some(content) if faults.is_empty() => Ok(Checked { number: head.number, rows: document.lines.len(), content }),
        _ => Err(faults),
    }
}

/// Parses a date: RFC 3339, or without an offset in the store's time zone.
fn date(text: &str, terms: &Terms) -> Result<Timestamp, (&'static str, String)> {
    let in_store_zone = || {
        let civil: DateTime = text.parse().ok()?;
        Some(Timestamp::from_jiff(civil.to_zoned(terms.zone.clone()).ok()?.timestamp()))
    };
    let at = text.parse::<Timestamp>().ok().or_else(in_store_zone);
    let at = at.ok_or_else(|| (codes::INVALID_DATE, format!("\"{text}\" is not a date")))?;
    if at > terms.latest {
        return Err((codes::DATE_TO_COME, format!("\"{text}\" is in the future")));
    }
    Ok(at)
}

/// A valid part of a document, or the code and message of its fault.
type PartResult<T> = Result<T, (&'static str, String)>;

/// The data that every document has, and what it is validated against.
struct DocumentHead<'a> {
    number: String,
    at: Timestamp,
    terms: &'a Terms,
}

impl DocumentHead<'_> {
    /// The row of a credit note; adds the faults of the document.
    fn credit_note(&self, document: &Document, faults: &mut Vec<Fault>) -> Option<CreditNote> {
        let currency = self.terms.currency;
        let mut lines = Vec::with_capacity(document.lines.len());
        for (at, line) in document.lines.iter().enumerate() {
            match self.credit_line(line) {
                Ok(line) => lines.push(line),
                Err((code, detail)) => faults.push((Some(at), code, detail)),
            }
        }
        // A credit note must have no other members than these.
        let allowed_line = |line: &Line| Line {
            sku: line.sku.clone(),
            name: line.name.clone(),
            quantity: line.quantity,
            unit_price: line.unit_price,
            ..Line::default()
        };
        let allowed = Document {
            kind: document.kind,
            number: document.number.clone(),
            date: document.date.clone(),
            customer: document.customer.clone(),
            email: document.email.clone(),
            currency: document.currency,
            lines: document.lines.iter().map(allowed_line).collect(),
            ..Document::default()
        };
        if faults.is_empty() && allowed != *document {
            let detail = "a credit note can have only customer, email, currency, and lines with sku, name, quantity \
                 and unitPrice";
            faults.push((None, codes::INVALID_CREDIT_NOTE, detail.to_owned()));
        }
        let total = currency.exact(lines.iter().map(|line| line.total).sum());
        let total = total.map_err(|detail| faults.push((None, codes::AMOUNT_TOO_LARGE, detail))).ok()?;
        let customer = text(document.customer.as_ref(), 200, codes::INVALID_CUSTOMER, faults);
        let (number, issued_at) = (self.number.clone(), self.at);
        Some(CreditNote { id: CreditNoteId(0), number, customer, currency, total, lines: Json(lines), issued_at })
    }

    fn credit_line(&self, line: &Line) -> PartResult<CreditLine> {
        if line.quantity >= 0 {
            let detail = format!("{}: quantities must be negative on a credit note", line.quantity);
            return Err((codes::INVALID_QUANTITY, detail));
        }
        if line.discount.is_some_and(|discount| !discount.is_zero()) {
            let detail = "a credit note must have no discounts: its prices are what was refunded";
            return Err((codes::INVALID_DISCOUNT, detail.to_owned()));
        }
        let (sku, name) = sku_and_name(line)?;
        let unit_price = self.amount(line.unit_price, codes::INVALID_PRICE)?;
        Ok(CreditLine { sku, name, quantity: line.quantity, unit_price, total: self.times(unit_price, line.quantity)? })
    }

    /// Validates an amount of the store's currency, which must not be negative.
    fn amount(&self, amount: Amount, code: &'static str) -> PartResult<Amount> {
        let exact = self.terms.currency.exact(amount).map_err(|detail| (code, detail))?;
        if exact.is_negative() { Err((code, format!("{exact} is negative"))) } else { Ok(exact) }
    }

    /// The price of a number of units; a fault if it is too large.
    fn times(&self, price: Amount, quantity: i64) -> PartResult<Amount> {
        let product = price.times(quantity).ok_or_else(|| (codes::AMOUNT_TOO_LARGE, "exceeds 10^18".to_owned()))?;
        Ok(self.terms.currency.round(product.0))
    }

    /// The rows of an order; adds the faults of the document.
    fn sale(&self, document: &Document, faults: &mut Vec<Fault>) -> Option<Sale> {
        let mut items = Vec::with_capacity(document.lines.len());
        for (at, line) in document.lines.iter().enumerate() {
            match self.item(at, line, document.prices_include_tax.unwrap_or(true)) {
                Ok(item) => items.push(item),
                Err((code, detail)) => faults.push((Some(at), code, detail)),
            }
        }
        let mut fault = |(code, detail)| faults.push((None, code, detail));
        let parcels = self.all(&document.fulfilments, Self::parcel).map_err(&mut fault);
        let returns = self.all(&document.returns, Self::approved_return).map_err(&mut fault);
        let details = self.details(document, faults);
        if !faults.is_empty() {
            return None;
        }
        let (mut parcels, mut returns) = (parcels.ok()?, returns.ok()?);
        parcels.sort_by_key(|row| row.shipped_at);
        returns.sort_by_key(|row| row.decided_at);
        let built = self.order(document, &items, &returns, details);
        let order = built.map_err(|(code, detail)| faults.push((None, code, detail))).ok()?;
        Some(Sale { order, items, parcels, returns })
    }

    /// Validates all elements of a list.
    fn all<T, R>(&self, list: &[T], validate: impl Fn(&Self, &T) -> PartResult<R>) -> PartResult<Vec<R>> {
        list.iter().map(|item| validate(self, item)).collect()
    }

    fn item(&self, at: usize, line: &Line, prices_include_tax: bool) -> PartResult<OrderItem> {
        let (sku, name) = sku_and_name(line)?;
        let quantity = u32::try_from(line.quantity).ok().filter(|quantity| *quantity > 0);
        let quantity = quantity.ok_or_else(|| {
            (codes::INVALID_QUANTITY, format!("{}: quantities must be positive on an order", line.quantity))
        })?;
        let unit_price = self.amount(line.unit_price, codes::INVALID_PRICE)?;
        let list_price = self.amount(line.list_price.unwrap_or(unit_price), codes::INVALID_PRICE)?;
        let subtotal = self.times(unit_price, line.quantity)?;
        let discount = self.discount(line, subtotal)?;
        let tax = self.amount(line.tax.unwrap_or_default(), codes::INVALID_TAX)?;
        let paid = subtotal - discount;
        if prices_include_tax && tax > paid {
            return Err((codes::INVALID_TAX, format!("the tax of {tax} exceeds the price of {paid} that includes it")));
        }
        let item = OrderItem {
            order_id: OrderId(0),
            line: u32::try_from(at).unwrap_or(u32::MAX),
            sku,
            variant_id: None,
            product_id: line.product_id,
            name,
            quantity,
            unit_price,
            list_price,
            subtotal,
            discount,
            tax,
            total: if prices_include_tax { paid } else { paid + tax },
            flash_sale_id: line.flash_sale_id,
            discounts: Json(line.discounts.clone()),
            shipped: line.shipped.unwrap_or(quantity),
            delivered: line.delivered.unwrap_or(quantity),
            returned: line.returned,
            withdrawn: line.withdrawn,
            campaign_id: line.campaign_id,
        };
        if !states::units_fit(&item) {
            let detail = "delivered ≤ shipped, shipped + withdrawn ≤ quantity, withdrawn ≤ returned ≤ shipped + \
                     withdrawn must hold";
            return Err((codes::INVALID_UNITS, detail.to_owned()));
        }
        Ok(item)
    }

    /// Validates a line's discount: it must not exceed the subtotal, and must be the sum of the promotions' discounts
    /// if those are given.
    fn discount(&self, line: &Line, subtotal: Amount) -> PartResult<Amount> {
        let discount = self.amount(line.discount.unwrap_or_default(), codes::INVALID_DISCOUNT)?;
        if discount > subtotal {
            return Err((codes::INVALID_DISCOUNT, format!("{discount} is not between 0 and {subtotal}")));
        }
        let parts: Amount = line.discounts.iter().map(|part| part.amount).sum();
        if !line.discounts.is_empty() && parts != discount {
            return Err((codes::INVALID_DISCOUNT, format!("the discounts add up to {parts}, not to {discount}")));
        }
        Ok(discount)
    }

    fn parcel(&self, parcel: &Parcel) -> PartResult<Fulfilment> {
        let delivered_at = parcel.delivered_at.map(|at| at.0);
        Ok(Fulfilment {
            id: FulfilmentId(0),
            order_id: OrderId(0),
            status: if delivered_at.is_some() { FulfilmentStatus::Delivered } else { FulfilmentStatus::Shipped },
            carrier: parcel.carrier.clone(),
            tracking_number: parcel.tracking_number.clone(),
            items: Json(parcel.items.clone()),
            shipped_at: self.past(parcel.shipped_at.0)?,
            delivered_at: delivered_at.map(|at| self.past(at)).transpose()?,
        })
    }

    fn approved_return(&self, given: &ApprovedReturn) -> PartResult<Return> {
        let (refund, voided) =
            (self.amount(given.refund, codes::INVALID_RETURN)?, self.amount(given.voided, codes::INVALID_RETURN)?);
        let approval = Approval {
            money: refund + voided,
            points: given.points,
            net: self.terms.currency.zero(),
            shipping_refund: self.amount(given.shipping_refund, codes::INVALID_RETURN)?,
            shipping_by_points: Amount::ZERO,
            fee: self.amount(given.fee, codes::INVALID_RETURN)?,
            whole: false,
            unshipped: Amount::ZERO,
            complete: false,
            actor: "system".to_owned(),
        };
        Ok(Return {
            id: ReturnId(0),
            order_id: OrderId(0),
            status: ReturnStatus::Approved,
            items: Json(given.items.clone()),
            reason: given.reason.clone(),
            refund,
            voided,
            points: given.points,
            restock: given.restock,
            approval: Json(Some(approval)),
            due_at: None,
            tries: 0,
            created_at: self.past(given.requested_at.0)?,
            decided_at: Some(self.past(given.approved_at.0)?),
        })
    }

    /// Validates a time, which must not be in the future.
    fn past(&self, at: Timestamp) -> PartResult<Timestamp> {
        if at > self.terms.latest { Err((codes::DATE_TO_COME, format!("\"{at}\" is in the future"))) } else { Ok(at) }
    }

    /// The details of an order; adds their faults.
    fn details(&self, document: &Document, faults: &mut Vec<Fault>) -> OrderDetails {
        let customer = text(document.customer.as_ref(), 200, codes::INVALID_CUSTOMER, faults);
        if customer.is_some() && document.user_id.is_some() {
            faults.push((None, codes::INVALID_CUSTOMER, "give either userId or customer, not both".to_owned()));
        }
        if let Some(invalid) = document.promotion_uses.iter().find(|used| self.amount(used.cost, "").is_err()) {
            faults.push((None, codes::INVALID_PROMOTION, format!("{} is negative", invalid.cost)));
        }
        let payment = document.payment.clone().unwrap_or_default();
        let method = document.shipping.as_ref().and_then(|shipping| shipping.method.as_ref());
        OrderDetails {
            shipping_address: document.shipping_address.clone(),
            billing_address: document.billing_address.clone(),
            shipping_method: text(method, 200, codes::INVALID_SHIPPING, faults),
            payment_method: text(payment.method.as_ref(), 200, codes::INVALID_PAYMENT, faults),
            channel: text(document.channel.as_ref(), 200, codes::INVALID_CHANNEL, faults),
            note: document.note.clone().filter(|note| !note.is_empty()),
            attributes: document.attributes.clone(),
            applied: document.applied_promotions.clone(),
            uses: document.promotion_uses.clone(),
            customer: Customer::key(document.user_id, customer.as_deref()),
            decline_code: payment.decline_code,
            ..OrderDetails::default()
        }
    }

    /// The order with these lines and returns. Its sums are calculated; a given total must match.
    fn order(
        &self,
        document: &Document,
        items: &[OrderItem],
        returns: &[Return],
        details: OrderDetails,
    ) -> PartResult<Order> {
        let currency = self.terms.currency;
        let sum = |part: fn(&OrderItem) -> Amount| currency.round(items.iter().map(part).sum::<Amount>().0);
        let prices_include_tax = document.prices_include_tax.unwrap_or(true);
        let shipping = self.shipping(document.shipping.as_ref())?;
        let points = self.points(document.points.as_ref())?;
        let added_tax = if prices_include_tax { currency.zero() } else { shipping.tax };
        let total = sum(|item| item.total) + shipping.amount - shipping.discount + added_tax - points.value;
        let total = self.amount(total, codes::TOTAL_MISMATCH)?;
        if let Some(stated) = document.total.filter(|stated| *stated != total) {
            return Err((codes::TOTAL_MISMATCH, format!("the total is {stated}, but its parts add up to {total}")));
        }
        let email = document.email.as_deref().filter(|text| !text.is_empty()).map(str::parse::<Email>);
        let email = email.transpose().map_err(|detail| (codes::INVALID_EMAIL, detail))?;
        let mut order = Order {
            id: OrderId(0),
            number: self.number.clone(),
            status: document.status.unwrap_or(OrderStatus::Delivered),
            user_id: None,
            mailbox: email.as_ref().map(Email::mailbox),
            email,
            currency,
            prices_include_tax,
            subtotal: sum(|item| item.subtotal),
            discount: sum(|item| item.discount),
            shipping: shipping.amount,
            shipping_discount: shipping.discount,
            tax: sum(|item| item.tax) + shipping.tax,
            points_redeemed: points.redeemed,
            points_value: points.value,
            total,
            points_earned: points.earned,
            payment_id: None,
            payment_status: document.payment.as_ref().and_then(|payment| payment.status),
            token_hash: None,
            imported: true,
            returned: currency.zero(),
            returned_points: 0,
            given_back: currency.zero(),
            returned_net: document.goods_returned.unwrap_or_default(),
            refunds: Json(document.refunds.clone()),
            details: Json(details),
            timeline: EncodedJson::default(),
            version: 1,
            created_at: self.at,
            updated_at: self.at,
        };
        if order.status == OrderStatus::Pending {
            return Err((codes::INVALID_STATUS, "an order that is still being decided cannot be imported".to_owned()));
        }
        self.apply_returns(&mut order, items, returns, document.goods_returned.is_none())?;
        Ok(order)
    }

    fn shipping(&self, shipping: Option<&Shipping>) -> PartResult<Shipping> {
        let Shipping { method, amount, discount, tax } = shipping.cloned().unwrap_or_default();
        let (amount, discount) =
            (self.amount(amount, codes::INVALID_SHIPPING)?, self.amount(discount, codes::INVALID_SHIPPING)?);
        if discount > amount {
            return Err((
                codes::INVALID_SHIPPING,
                format!("the discount of {discount} exceeds the shipping cost of {amount}"),
            ));
        }
        Ok(Shipping { method, amount, discount, tax: self.amount(tax, codes::INVALID_SHIPPING)? })
    }

    fn points(&self, points: Option<&Points>) -> PartResult<Points> {
        let Points { redeemed, value, earned } = points.cloned().unwrap_or_default();
        let value = self.amount(value, codes::INVALID_POINTS)?;
        if redeemed < 0 || earned < 0 || (redeemed == 0 && !value.is_zero()) {
            return Err((
                codes::INVALID_POINTS,
                "points must not be negative, and a value requires redeemed points".to_owned(),
            ));
        }
        Ok(Points { redeemed, value, earned })
    }

    /// Validates returns and refunds, and sets the returned amounts of an order. No more may be returned than was paid,
    /// and the returned units must be those of the lines. The returned revenue is that of these units if `by_units`,
    /// otherwise the given one.
    fn apply_returns(&self, order: &mut Order, items: &[OrderItem], rows: &[Return], by_units: bool) -> PartResult<()> {
        let currency = self.terms.currency;
        let (mut refunded, mut without_goods) = (currency.zero(), currency.zero());
        for refund in &mut order.refunds.0 {
            refund.amount = self.amount(refund.amount, codes::INVALID_REFUND)?;
            self.past(refund.at.0)?;
            refunded += refund.amount;
            without_goods += if refund.for_return { currency.zero() } else { refund.amount };
        }
        let given_back = without_goods + rows.iter().map(|row| row.refund + row.voided).sum();
        if refunded > order.total || given_back > order.total {
            let detail = format!("{} was refunded of {}", refunded.max(given_back), order.total);
            return Err((codes::INVALID_REFUND, detail));
        }
        let in_lines = items.iter().filter(|item| item.returned > 0).map(|item| (item.sku.fold(), item.returned));
        let in_returns = rows.iter().flat_map(|row| row.items.iter()).map(|item| (item.sku.fold(), item.quantity));
        if units_by_sku(in_lines) != units_by_sku(in_returns) {
            return Err((codes::INVALID_RETURN, "the returned units differ from those of the lines".to_owned()));
        }
        let points: i64 = rows.iter().map(|row| row.points).sum();
        if points > order.points_redeemed || rows.iter().any(|row| row.points < 0) {
            let detail = format!("{points} points were returned of {}", order.points_redeemed);
            return Err((codes::INVALID_RETURN, detail));
        }
        let share = |amount: Amount, item: &OrderItem| {
            returns::share_of_units(amount, item.quantity, 0, item.returned, currency)
        };
        let revenue: Amount = items.iter().map(|item| item.net(order.prices_include_tax)).sum();
        let revenue_of_units = items.iter().map(|item| share(item.net(order.prices_include_tax), item)).sum();
        let stated = if by_units { revenue_of_units } else { order.returned_net };
        let returned = self.amount(stated, codes::INVALID_RETURN)?;
        if returned > revenue {
            let detail = format!("the returned revenue of {returned} exceeds the order's revenue of {revenue}");
            return Err((codes::INVALID_RETURN, detail));
        }
        order.returned = currency.round(items.iter().map(|item| share(item.total, item)).sum::<Amount>().0);
        order.returned_points = points;
        order.given_back = currency.round(given_back.0);
        order.returned_net = returned;
        Ok(())
    }
}

/// The units of each SKU.
fn units_by_sku(items: impl Iterator<Item = (String, u32)>) -> BTreeMap<String, u64> {
    let mut units = BTreeMap::new();
    items.for_each(|(sku, quantity)| *units.entry(sku).or_default() += u64::from(quantity));
    units
}

/// The SKU and name of a line; the SKU is the name of a line without one.
fn sku_and_name(line: &Line) -> PartResult<(Sku, String)> {
    let sku: Sku = line.sku.parse().map_err(|detail| (codes::INVALID_SKU, detail))?;
    let name = bounded(&line.name, 0, 500).map_err(|detail| (codes::INVALID_NAME, detail))?;
    let name = if name.is_empty() { sku.to_string() } else { name };
    Ok((sku, name))
}

/// Validates a text of at most `max` characters; an empty one counts as absent.
fn text(text: Option<&String>, max: usize, code: &'static str, faults: &mut Vec<Fault>) -> Option<String> {
    let text = text.filter(|text| !text.is_empty())?;
    bounded(text, 0, max).map_err(|detail| faults.push((None, code, detail))).ok()
}
