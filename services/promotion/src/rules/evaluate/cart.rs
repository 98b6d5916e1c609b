//! The cart that is evaluated: its lines and prices in minor units.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use promox_contract::ids::FlashSaleId;
use promox_contract::product::SkuDescription;
use promox_kernel::{Amount, Currency, Error, Sku};

use crate::rules::minor_units::{MAX_MINOR_UNITS, to_amount, to_minor};

/// A SKU in the form in which it is compared: by the hash of its case-folded text, then by that text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SkuKey {
    pub(crate) hash: u64,
    pub(crate) fold: String,
}

impl SkuKey {
    pub(crate) fn of(sku: &Sku) -> Self {
        let fold = sku.fold();
        let mut hasher = DefaultHasher::new();
        fold.hash(&mut hasher);
        Self { hash: hasher.finish(), fold }
    }
}

/// A line of the cart, in minor units.
#[derive(Clone, Debug)]
pub struct Line {
    pub(crate) key: SkuKey,
    /// The keys of its former SKUs, which filters also match.
    pub(crate) former: Vec<SkuKey>,
    pub(crate) sku: Sku,
    pub(crate) product: Option<i64>,
    pub(crate) categories: Vec<i64>,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) quantity: u32,
    /// The list price of a unit, before price rules.
    pub(crate) list: i64,
    /// The price of a unit, after price rules.
    pub(crate) unit: i64,
    /// The price of the whole line before cart promotions.
    pub(crate) subtotal: i64,
    /// The floor price of a unit, below which no discount takes it.
    pub(crate) floor: i64,
    pub(crate) discountable: bool,
    pub(crate) flash: bool,
}

/// The input of a line.
#[derive(Clone, Debug)]
pub struct LineInput {
    /// The SKU.
    pub sku: Sku,
    /// Its former SKUs.
    pub former_skus: Vec<Sku>,
    /// Its product, if it is in the catalog.
    pub product_id: Option<i64>,
    /// Its categories, including all ancestors.
    pub category_ids: Vec<i64>,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
    /// The number of units.
    pub quantity: u32,
    /// The list price of a unit, before price rules.
    pub list_price: Amount,
    /// The price of a unit.
    pub unit_price: Amount,
    /// The floor price of a unit, below which no discount takes it.
    pub floor_price: Option<Amount>,
    /// Whether promotions may discount it.
    pub discountable: bool,
    /// The flash sale in which it was reserved, if any.
    pub flash_sale_id: Option<FlashSaleId>,
}

impl LineInput {
    /// The input of a line from an item of the catalog.
    pub fn of(item: SkuDescription, quantity: u32, flash_sale_id: Option<FlashSaleId>) -> Self {
        Self {
            product_id: Some(item.product_id.0),
            category_ids: item.category_ids.iter().map(|id| id.0).collect(),
            attributes: item.attributes,
            quantity,
            list_price: item.list_price,
            unit_price: item.price,
            floor_price: item.floor_price,
            discountable: item.discountable,
            flash_sale_id,
            former_skus: item.former_skus,
            sku: item.sku,
        }
    }
}

impl Line {
    /// Creates a line in a currency. Returns `None` if an amount is negative or too large.
    pub fn new(input: LineInput, currency: Currency) -> Option<Self> {
        let unit = to_minor(input.unit_price, currency)?;
        let subtotal = unit.checked_mul(i64::from(input.quantity))?;
        Self::costing(input, subtotal, currency)
    }

    /// Creates a line with a subtotal in minor units, which need not be a multiple of the unit price.
    pub(crate) fn costing(input: LineInput, subtotal: i64, currency: Currency) -> Option<Self> {
        if !(0..=MAX_MINOR_UNITS).contains(&subtotal) {
            return None;
        }
        Some(Self {
            key: SkuKey::of(&input.sku),
            former: input.former_skus.iter().map(SkuKey::of).collect(),
            sku: input.sku,
            product: input.product_id,
            categories: input.category_ids,
            attributes: input.attributes,
            quantity: input.quantity,
            list: to_minor(input.list_price, currency)?,
            unit: to_minor(input.unit_price, currency)?,
            subtotal,
            floor: input.floor_price.map_or(Some(0), |floor| to_minor(floor, currency))?,
            discountable: input.discountable,
            flash: input.flash_sale_id.is_some(),
        })
    }

    /// The keys of its current and former SKUs.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &SkuKey> {
        self.former.iter().chain([&self.key])
    }

    /// The largest further discount, in minor units, when `left` is paid for the line.
    pub(crate) fn room(&self, left: i64) -> i64 {
        left.saturating_sub(self.floor.saturating_mul(i64::from(self.quantity))).max(0)
    }

    /// Sets the price of a unit, and the subtotal accordingly.
    pub(crate) fn reprice(&mut self, unit: i64) {
        self.unit = unit;
        self.subtotal = unit.saturating_mul(i64::from(self.quantity));
    }
}

/// A cart.
#[derive(Clone, Debug)]
pub struct Cart {
    pub(crate) currency: Currency,
    pub(crate) lines: Vec<Line>,
    pub(crate) shipping: i64,
    /// The shipping method.
    pub shipping_method: Option<String>,
    /// The destination, an ISO 3166 country code.
    pub country: Option<String>,
    /// The payment method.
    pub payment_method: Option<String>,
    /// The sales channel.
    pub channel: String,
    /// The cart's own attributes.
    pub attributes: BTreeMap<String, String>,
}

impl Cart {
    /// Creates a cart of lines with a shipping price. Refuses a total of more than 10^18 minor units, so that later
    /// sums cannot overflow.
    pub fn new(currency: Currency, lines: Vec<Line>, shipping: Amount) -> Result<Self, Error> {
        let too_large = || Error::field("/items", "the cart's total is too large");
        let shipping = to_minor(shipping, currency).ok_or_else(too_large)?;
        let total = lines.iter().try_fold(shipping, |sum, line| sum.checked_add(line.subtotal));
        total.filter(|total| (0..=MAX_MINOR_UNITS).contains(total)).ok_or_else(too_large)?;
        Ok(Self {
            currency,
            lines,
            shipping,
            shipping_method: None,
            country: None,
            payment_method: None,
            channel: "WEB".to_owned(),
            attributes: BTreeMap::new(),
        })
    }

    /// Creates a cart of items to be given catalog prices. They are priced one by one, so together they may exceed the
    /// limit of a cart.
    pub(crate) fn of_catalog(currency: Currency, lines: Vec<Line>, channel: Option<String>) -> Self {
        let channel = channel.unwrap_or_else(|| "WEB".to_owned());
        Self {
            currency,
            lines,
            shipping: 0,
            shipping_method: None,
            country: None,
            payment_method: None,
            channel,
            attributes: BTreeMap::new(),
        }
    }

    /// The unit price and the subtotal of a line, in minor units.
    pub(crate) fn line_prices(&self, i: usize) -> (i64, i64) {
        self.lines.get(i).map_or((0, 0), |line| (line.unit, line.subtotal))
    }

    /// The list price of a SKU, if it is in the cart.
    pub(crate) fn list_price_of(&self, sku: &Sku) -> Option<Amount> {
        self.lines.iter().find(|line| line.sku == *sku).map(|line| to_amount(line.list, self.currency))
    }

    /// The total of its lines before cart promotions.
    pub(crate) fn goods(&self) -> Amount {
        to_amount(self.lines.iter().map(|line| line.subtotal).sum(), self.currency)
    }

    /// Its currency.
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// The number of lines.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether it has no lines.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}
