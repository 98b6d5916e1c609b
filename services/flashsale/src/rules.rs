//! Rules of sales. They use neither storage nor the clock; the time is an argument.

use std::collections::BTreeSet;

use promox_contract::codes;
use promox_contract::ids::{FlashReservationId, FlashSaleId, VariantId};
use promox_contract::inventory::VariantQuantity;
use promox_contract::product::SkuDescriptions;
use promox_kernel::{Currency, Error, Faults, FieldError, Timestamp, bounded};
use promox_storage::HoldState;

use crate::api::{CreateSale, SaleItemInput, UpdateSale};
use crate::records::{FlashHold, FlashItem, FlashSale, ItemTerms, MAX_CLAIMED, SaleStatus, Terms};

/// Maximum items of a sale.
const MAX_ITEMS: usize = 50;

/// Maximum units of an item.
const MAX_STOCK: u32 = 1_000_000;

/// The allowed time to live of a reservation in seconds.
const TTL: std::ops::RangeInclusive<u32> = 60..=3600;

/// The default time to live of a reservation in seconds.
const DEFAULT_TTL: u32 = 600;

impl FlashSale {
    /// Whether its status is ACTIVE or SOLD_OUT.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.status, SaleStatus::Active | SaleStatus::SoldOut)
    }

    /// Whether its status is ENDED or CANCELLED.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.status, SaleStatus::Ended | SaleStatus::Cancelled)
    }

    /// Whether it sells at this time. Unlike the status, this does not depend on a job having run.
    pub(crate) fn sells_at(&self, now: Timestamp) -> bool {
        self.is_open() && self.starts_at <= now && now < self.ends_at
    }

    /// Its current terms, with `items` as its items.
    pub(crate) fn terms(&self, items: &[FlashItem]) -> Terms {
        Terms {
            name: self.name.clone(),
            campaign_id: self.campaign_id,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            currency: self.currency,
            ttl_seconds: self.ttl_seconds,
            items: items.iter().map(FlashItem::terms).collect(),
        }
    }
}

impl FlashItem {
    /// Units that can be reserved.
    pub(crate) fn left(&self) -> i64 {
        self.stock - self.taken
    }

    fn terms(&self) -> ItemTerms {
        ItemTerms {
            variant_id: Some(self.variant_id),
            sku: self.sku.clone(),
            sale_price: self.sale_price,
            stock: u32::try_from(self.stock).unwrap_or(MAX_STOCK),
            per_user_limit: self.per_user_limit,
        }
    }
}

impl FlashHold {
    /// Whether an order can claim it.
    pub(crate) fn can_be_ordered(&self, sale: &FlashSale, now: Timestamp) -> bool {
        self.state == HoldState::Held && self.order_id.is_none() && self.is_unexpired(sale, now)
    }

    /// Whether neither its own time nor the sale has ended.
    pub(crate) fn is_unexpired(&self, sale: &FlashSale, now: Timestamp) -> bool {
        now < self.expires_at && sale.sells_at(now)
    }
}

impl Terms {
    /// The stock to allocate.
    pub(crate) fn stock(&self) -> Vec<VariantQuantity> {
        let quantity = |item: &ItemTerms| {
            let (sku, quantity) = (item.sku.clone(), item.stock);
            item.variant_id.map(|variant_id| VariantQuantity { variant_id, sku, quantity })
        };
        self.items.iter().filter_map(quantity).collect()
    }

    /// Whether `other` differs at most in the name and the end, which may change while the sale is running.
    pub(crate) fn differs_only_in_name_or_end(&self, other: &Self) -> bool {
        Self { name: other.name.clone(), ends_at: other.ends_at, ..self.clone() } == *other
    }

    /// The terms of a new sale, before validation.
    pub(crate) fn from_request(op: CreateSale) -> Self {
        Self {
            name: op.name,
            campaign_id: op.campaign_id,
            starts_at: op.starts_at,
            ends_at: op.ends_at,
            currency: Currency::GBP,
            ttl_seconds: op.reservation_ttl_seconds.unwrap_or(DEFAULT_TTL),
            items: items(op.items),
        }
    }

    /// These terms with an update applied, before validation.
    pub(crate) fn patched(self, op: UpdateSale) -> Self {
        let mut campaign_id = self.campaign_id;
        op.campaign_id.apply(&mut campaign_id);
        Self {
            name: op.name.unwrap_or(self.name),
            campaign_id,
            starts_at: op.starts_at.unwrap_or(self.starts_at),
            ends_at: op.ends_at.unwrap_or(self.ends_at),
            currency: self.currency,
            ttl_seconds: op.reservation_ttl_seconds.unwrap_or(self.ttl_seconds),
            items: op.items.map_or(self.items, items),
        }
    }

    /// Validates the terms against the catalog and reports all faults at once. Sets the currency and each item's
    /// variant, and brings SKUs and prices into the catalog's form.
    pub(crate) fn check(&mut self, described: SkuDescriptions, now: Timestamp) -> Result<(), Error> {
        let mut faults = Faults::default();
        match bounded(&self.name, 1, 200) {
            Ok(name) => self.name = name,
            Err(fault) => faults.note("/name", fault),
        }
        if self.ends_at <= self.starts_at {
            faults.compared("/endsAt", &["/startsAt"], "must be after startsAt");
        } else if self.ends_at <= now {
            faults.note("/endsAt", "must be in the future");
        }
        if !TTL.contains(&self.ttl_seconds) {
            faults.note("/reservationTtlSeconds", "must be 60 to 3600 seconds");
        }
        if self.items.is_empty() || self.items.len() > MAX_ITEMS {
            faults.note("/items", format!("must have 1 to {MAX_ITEMS} items"));
        }
        self.currency = described.items.first().map_or(self.currency, |found| found.currency);
        check_items(&mut self.items, described, &mut faults);
        faults.finish()
    }
}

fn items(items: Vec<SaleItemInput>) -> Vec<ItemTerms> {
    let item = |it: SaleItemInput| ItemTerms {
        variant_id: None,
        sku: it.sku,
        sale_price: it.sale_price,
        stock: it.stock,
        per_user_limit: it.per_user_limit,
    };
    items.into_iter().map(item).collect()
}

fn check_items(items: &mut [ItemTerms], described: SkuDescriptions, faults: &mut Faults) {
    let known = described.by_sku();
    let mut seen: BTreeSet<VariantId> = BTreeSet::new();
    for (at, item) in items.iter_mut().enumerate() {
        let mut fault = |member: &str, detail: String| {
            faults.note(format!("/items/{at}/{member}"), detail);
        };
        if !(1..=MAX_STOCK).contains(&item.stock) {
            fault("stock", format!("must be 1 to {MAX_STOCK} units"));
        }
        if item.per_user_limit == Some(0) {
            fault("perUserLimit", "must be at least 1; omit it for no limit".to_owned());
        }
        if item.sale_price.is_negative() {
            fault("salePrice", "must not be negative".to_owned());
        }
        let Some(found) = known.get(&item.sku) else {
            let (pointer, detail) = (format!("/items/{at}/sku"), format!("\"{}\" is not sold here", item.sku));
            faults.add(FieldError::coded(pointer, codes::UNKNOWN_SKU, detail));
            continue;
        };
        if !seen.insert(found.variant_id) {
            fault("sku", "duplicate SKU".to_owned());
        }
        item.variant_id = Some(found.variant_id);
        item.sku = found.sku.clone();
        match found.currency.exact(item.sale_price) {
            Ok(price) => item.sale_price = price,
            Err(detail) => fault("salePrice", detail),
        }
    }
}

/// Refuses a quantity outside the range that can be reserved.
pub(crate) fn check_quantity(quantity: u32) -> Result<(), Error> {
    if (1..=MAX_STOCK).contains(&quantity) {
        return Ok(());
    }
    Err(Error::field("/quantity", format!("must be 1 to {MAX_STOCK}")))
}

/// The reference of a sale's allocation in the inventory.
pub(crate) fn allocation(id: FlashSaleId) -> String {
    format!("flash-sale:{id}")
}

/// The reference of a purchase in the inventory.
pub(crate) fn purchase(id: FlashReservationId) -> String {
    format!("flash-purchase:{id}")
}

pub(crate) fn check_reservation_count(count: usize) -> Result<(), Error> {
    if count <= MAX_CLAIMED {
        return Ok(());
    }
    let detail = format!("must name at most {MAX_CLAIMED} reservations");
    Err(Error::field("/flashSaleReservationIds", detail))
}
