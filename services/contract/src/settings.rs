//! The store's settings, as other services read them.

use std::collections::BTreeSet;

use promox_kernel::{Amount, Currency, OrNull, json_reply, nullable, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::payment::{CaptureAt, PaymentMethod};

/// The default return period in days: the withdrawal period of the EU, which most shops elsewhere grant too.
const DEFAULT_RETURN_DAYS: u32 = 14;

/// The tax class that every store has.
const STANDARD: &str = "STANDARD";

text_enum! {
    /// What a hook is asked.
    HookKind {
        /// The tax of an order's goods and shipping.
        Tax = "TAX",
        /// The shipping methods for an order, with their costs.
        ShippingRates = "SHIPPING_RATES",
        /// Whether an order may be placed.
        Validation = "VALIDATION",
    }
}

/// The store's own settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreSettings {
    /// The store's name.
    pub name: String,
    /// The store's only currency. It cannot be changed once there is a price, rate or amount (409 `CURRENCY_FIXED`).
    pub currency: Currency,
    /// The IANA time zone in which the store's days begin and end.
    pub timezone: String,
    /// The language of messages, such as `"en"`.
    pub locale: String,
    /// The cap on all cart promotions together, in percent of the goods; null for no cap.
    #[serde(deserialize_with = "nullable")]
    #[schemars(with = "OrNull<Amount>")]
    pub max_discount_percent: Option<Amount>,
    /// Whether `ada+shop@example.com` counts as the same person as `ada@example.com` for limits per user,
    /// `customer.orderCount` and referrals, including earlier counts. Addresses are neither refused nor changed.
    pub ignore_plus_tags: bool,
    /// The number of days in which an order can be returned, counted from the delivery of the last parcel, or from its
    /// shipment if the delivery is unknown. The erasure of an account waits for them.
    pub return_days: u32,
    /// The number of changes. If sent with a change, it must be the current version, as with `If-Match`.
    #[serde(default)]
    pub version: i64,
}
json_reply!(StoreSettings, etag version);

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            name: "promox".to_owned(),
            currency: Currency::GBP,
            timezone: "UTC".to_owned(),
            locale: "en".to_owned(),
            max_discount_percent: None,
            ignore_plus_tags: false,
            return_days: DEFAULT_RETURN_DAYS,
            version: 0,
        }
    }
}

/// The shipping zones and rates. Without zones, shipping is free everywhere.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShippingSettings {
    /// The zones. The first one that contains the country applies.
    pub zones: Vec<Zone>,
    /// The number of changes. If sent with a change, it must be the current version, as with `If-Match`.
    #[serde(default)]
    pub version: i64,
}
json_reply!(ShippingSettings, etag version);

impl ShippingSettings {
    /// All amounts of the settings.
    pub fn amounts(&self) -> impl Iterator<Item = Amount> {
        self.zones.iter().flat_map(|zone| &zone.methods).flat_map(|method| {
            method.amount.into_iter().chain(method.rates.iter().flat_map(|rate| [rate.from, rate.amount]))
        })
    }
}

/// A shipping zone: countries with the same shipping methods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Zone {
    /// The name of the zone.
    pub name: String,
    /// ISO 3166-1 alpha-2 codes in upper or lower case, or `*` for all other countries.
    #[serde(deserialize_with = "promox_kernel::country::capitals")]
    pub countries: Vec<String>,
    /// The shipping methods of the zone.
    pub methods: Vec<ShippingMethod>,
}

/// A shipping method: a flat amount, or rates by the goods' total after discounts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShippingMethod {
    /// The code of the method, such as `"STANDARD"`.
    pub method: String,
    /// The name of the method.
    pub name: String,
    /// A flat amount; null if `rates` apply.
    #[serde(default)]
    pub amount: Option<Amount>,
    /// Amounts by threshold. The one with the highest `from` that the goods' total reaches applies.
    #[serde(default)]
    pub rates: Vec<ShippingRate>,
}

/// A shipping rate from a threshold on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShippingRate {
    /// The lowest total of the goods for which the rate applies.
    pub from: Amount,
    /// The cost of shipping.
    pub amount: Amount,
}

/// The tax settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaxSettings {
    /// Whether catalog prices include tax.
    pub prices_include_tax: bool,
    /// The tax class of shipping, one of the store's.
    pub shipping_tax_class: String,
    /// The tax classes of the store besides STANDARD, which always exists; null for the classes that rates name. A class that
    /// products use cannot be removed (409 `TAX_CLASS_IN_USE` with `uses`).
    #[serde(deserialize_with = "nullable")]
    #[schemars(with = "OrNull<Vec<String>>")]
    pub classes: Option<Vec<String>>,
    /// The tax rates.
    pub rates: Vec<TaxRate>,
    /// The number of changes. If sent with a change, it must be the current version, as with `If-Match`.
    #[serde(default)]
    pub version: i64,
}
json_reply!(TaxSettings, etag version);

impl Default for TaxSettings {
    fn default() -> Self {
        Self {
            prices_include_tax: true,
            shipping_tax_class: STANDARD.to_owned(),
            classes: None,
            rates: Vec::new(),
            version: 0,
        }
    }
}

/// The tax rate of a class in a country or a region of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaxRate {
    /// The ISO 3166-1 alpha-2 code of the country, in upper or lower case.
    #[serde(deserialize_with = "promox_kernel::country::capital")]
    pub country: String,
    /// The region as an ISO 3166-2 code, such as `CA` or `US-CA`, or by name. It is stored as the code without the
    /// country. Null for the whole country. A region's rate takes precedence over its country's.
    #[serde(default)]
    pub region: Option<String>,
    /// The tax class, such as `"STANDARD"`.
    pub tax_class: String,
    /// The rate in percent, from 0 to 100, with at most 4 decimals.
    pub percent: Amount,
}

impl TaxSettings {
    /// The store's tax classes: STANDARD and the listed classes, or, without a list, those that rates name.
    pub fn class_names(&self) -> BTreeSet<&str> {
        let named = self.rates.iter().map(|rate| rate.tax_class.as_str()).filter(|_| self.classes.is_none());
        let listed = self.classes.iter().flatten().map(String::as_str);
        named.chain(listed).chain([STANDARD]).collect()
    }

    /// Whether goods may have this tax class.
    pub fn has_class(&self, class: &str) -> bool {
        let named = || self.rates.iter().any(|rate| rate.tax_class == class);
        class == STANDARD || self.classes.as_ref().map_or_else(named, |listed| listed.iter().any(|name| name == class))
    }

    /// Whether a country has rates by region, so that an address in it needs a region.
    pub fn is_by_region(&self, country: &str) -> bool {
        self.rates.iter().any(|rate| rate.country == country && rate.region.is_some())
    }
}

/// The payment settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentSettings {
    /// The enabled payment methods. `CARD` also needs a provider that is enabled in the configuration
    /// (`payment.sandbox` for test payments); without one, cards are refused. The payments of orders that were placed
    /// while a method was enabled can still be captured, voided and refunded after it is disabled.
    pub methods: Vec<PaymentMethod>,
    /// When the money of new orders paid by card is captured: `ORDER`, with the order, or `SHIPMENT`, as its goods are
    /// shipped. Orders that were placed before a change keep their time.
    pub capture_at: CaptureAt,
    /// What a buyer who pays by bank transfer must know, such as the account's holder and IBAN, in at most 2,000
    /// characters; null for nothing. The message that confirms such an order contains it, with the amount and the order's
    /// number.
    #[serde(deserialize_with = "nullable")]
    #[schemars(with = "OrNull<String>")]
    pub bank_transfer: Option<String>,
    /// The number of changes. If sent with a change, it must be the current version, as with `If-Match`.
    #[serde(default)]
    pub version: i64,
}
json_reply!(PaymentSettings, etag version);

impl Default for PaymentSettings {
    fn default() -> Self {
        Self { methods: vec![PaymentMethod::Card], capture_at: CaptureAt::Order, bank_transfer: None, version: 0 }
    }
}

/// All settings at one epoch. Every change increments the epoch.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// The store's own settings.
    pub store: StoreSettings,
    /// The shipping settings.
    pub shipping: ShippingSettings,
    /// The tax settings.
    pub taxes: TaxSettings,
    /// The payment settings.
    pub payments: PaymentSettings,
    /// The kinds of the hooks that are asked during checkouts.
    pub hooks: Vec<HookKind>,
}
