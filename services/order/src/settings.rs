//! The store's settings: what is sold in which currency, how it is shipped, how it is taxed, how it is paid.

mod changes;
pub(crate) mod currency;
mod groups;
mod taxes;

use std::sync::Arc;

use parking_lot::RwLock;
use promox_contract::order::StoreFacts;
use promox_contract::payment::PaymentMethod;
use promox_kernel::{Amount, Currency, Json, Patch, json_reply, nullable, operation};
use promox_storage::{Db, StoreError, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use changes::{Change, begin, change, own_currency};
pub(crate) use groups::Group;

use crate::records::Setting;

/// The days of a withdrawal in the EU, which most shops elsewhere give too.
const RETURN_DAYS: u32 = 14;

/// The tax class that every store has.
const STANDARD: &str = "STANDARD";

/// The row that every change of settings bumps.
const EPOCH: &str = "epoch";

/// The store itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreSettings {
    /// The store's name.
    pub name: String,
    /// The one currency of the store; fixed once there is a price, rate or amount (409 `CURRENCY_FIXED`).
    pub currency: Currency,
    /// The IANA time zone of its days.
    pub timezone: String,
    /// The language of its messages.
    pub locale: String,
    /// What cart promotions together may take off the goods, in percent; null for no cap.
    #[serde(deserialize_with = "nullable")]
    #[schemars(required)]
    pub max_discount_percent: Option<Amount>,
    /// Whether `ada+shop@example.com` counts as the person of `ada@example.com`: for limits per user, `customer.orderCount`
    /// and referrals, of what was counted before too. No address is refused or changed by it.
    pub ignore_plus_tags: bool,
    /// Days after its last parcel was delivered, or shipped while that is not said, in which an order may still come back:
    /// the erasure of an account waits for them.
    pub return_days: u32,
    /// Counts its changes. Sent with a change it must be the present one, as `If-Match` must.
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
            return_days: RETURN_DAYS,
            version: 0,
        }
    }
}

/// What changes of the store itself.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StorePatch {
    /// The store's name.
    pub name: Patch<String>,
    /// The one currency of the store; fixed once there is a price, rate or amount (409 `CURRENCY_FIXED`).
    pub currency: Patch<Currency>,
    /// The IANA time zone of its days.
    pub timezone: Patch<String>,
    /// The language of its messages.
    pub locale: Patch<String>,
    /// What cart promotions together may take off the goods, in percent; null for no cap.
    pub max_discount_percent: Patch<Amount>,
    /// Whether plus tags of e-mail addresses tell no persons apart.
    pub ignore_plus_tags: Patch<bool>,
    /// Days after its last parcel in which an order may still come back, 0 to 365.
    pub return_days: Patch<u32>,
    /// The version that is changed, when it is sent: it must be the present one.
    pub version: Patch<i64>,
}

/// Where is shipped to, and for how much. Without zones shipping is free everywhere.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShippingSettings {
    /// The zones; the first that has the country counts.
    pub zones: Vec<Zone>,
    /// Counts its changes. Sent with a change it must be the present one, as `If-Match` must.
    #[serde(default)]
    pub version: i64,
}
json_reply!(ShippingSettings, etag version);

/// What changes of shipping.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ShippingPatch {
    /// The zones, all of them; the first that has the country counts.
    pub zones: Patch<Vec<Zone>>,
    /// The version that is changed, when it is sent: it must be the present one.
    pub version: Patch<i64>,
}

/// Countries that are shipped to alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// ISO 3166-1 alpha-2 codes, in any case of letters; `*` for all others.
    #[serde(deserialize_with = "promox_kernel::country::capitals")]
    pub countries: Vec<String>,
    /// The ways to ship there.
    pub methods: Vec<ShippingMethod>,
}

/// A way to ship: a flat amount, or rates by what the goods come to after discounts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShippingMethod {
    /// Its code, `"STANDARD"`.
    pub method: String,
    /// Its name.
    pub name: String,
    /// A flat amount; else `rates` say it.
    #[serde(default)]
    pub amount: Option<Amount>,
    /// Amounts by threshold: the one with the highest `from` that the goods reach.
    #[serde(default)]
    pub rates: Vec<ShippingRate>,
}

/// An amount from a threshold on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShippingRate {
    /// What the goods come to at least.
    pub from: Amount,
    /// What shipping costs then.
    pub amount: Amount,
}

/// How it is taxed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaxSettings {
    /// Whether catalogue prices carry their tax inside.
    pub prices_include_tax: bool,
    /// The tax class of shipping, one of the store's.
    pub shipping_tax_class: String,
    /// The tax classes of the store, STANDARD always among them; null for those that rates name. One that products have cannot be
    /// taken away (409 `TAX_CLASS_IN_USE` with `uses`).
    #[serde(deserialize_with = "nullable")]
    #[schemars(required)]
    pub classes: Option<Vec<String>>,
    /// The rates.
    pub rates: Vec<TaxRate>,
    /// Counts its changes. Sent with a change it must be the present one, as `If-Match` must.
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

/// What changes of taxes.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TaxPatch {
    /// Whether catalogue prices carry their tax inside.
    pub prices_include_tax: Patch<bool>,
    /// The tax class of shipping, one of the store's.
    pub shipping_tax_class: Patch<String>,
    /// The tax classes of the store, all of them; null for those that rates name.
    pub classes: Patch<Vec<String>>,
    /// The rates, all of them.
    pub rates: Patch<Vec<TaxRate>>,
    /// The version that is changed, when it is sent: it must be the present one.
    pub version: Patch<i64>,
}

/// The rate of a class in a country, or a region of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaxRate {
    /// ISO 3166-1 alpha-2, in any case of letters.
    #[serde(deserialize_with = "promox_kernel::country::capital")]
    pub country: String,
    /// An ISO 3166-2 code, `CA` or `US-CA`, or the region's name; kept as the code without the country. Null for the whole country;
    /// a region's rate counts before its country's.
    #[serde(default)]
    pub region: Option<String>,
    /// The class of goods, `"STANDARD"`.
    pub tax_class: String,
    /// In percent, 0 to 100, at most 4 decimals.
    pub percent: Amount,
}

/// How it is paid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentSettings {
    /// The ways to pay that are switched on. `CARD` also needs a provider that the configuration switches on
    /// (`payment.sandbox` for pretend money): without one no card is taken. What an order chose while it was on is captured, voided and refunded also afterwards.
    pub methods: Vec<PaymentMethod>,
    /// Counts its changes. Sent with a change it must be the present one, as `If-Match` must.
    #[serde(default)]
    pub version: i64,
}
json_reply!(PaymentSettings, etag version);

impl Default for PaymentSettings {
    fn default() -> Self {
        Self { methods: vec![PaymentMethod::Card], version: 0 }
    }
}

/// What changes of payments.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PaymentPatch {
    /// The ways to pay that are switched on, all of them.
    pub methods: Patch<Vec<PaymentMethod>>,
    /// The version that is changed, when it is sent: it must be the present one.
    pub version: Patch<i64>,
}

/// Declares the operations of a group of settings: reading, replacing and patching it.
macro_rules! settings_operations {
    ($([$get:ident $get_name:literal, $put:ident $put_name:literal, $change:ident $change_name:literal]
        $type:ty, $patch:ty, $path:literal, $what:literal;)+) => {$(
        #[doc = concat!("Reads: ", $what)]
        #[derive(Clone, Debug, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $get {}
        operation! { $get => $type, $get_name, Get $path, Anyone, 200, $what }

        #[doc = concat!("Replaces as a whole, every member sent, so that nothing is reset silently: ", $what)]
        #[derive(Clone, Debug, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $put(pub $type);
        operation! { $put => $type, $put_name, Put $path, Permission("settings:write"), 200, $what }

        #[doc = concat!("Changes by a merge patch, what is left out staying as it is: ", $what)]
        #[derive(Clone, Debug, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $change(pub $patch);
        operation! { $change => $type, $change_name, Patch $path, Permission("settings:write"), 200, $what }
    )+};
}
settings_operations! {
    [GetStore "order.get_store", PutStore "order.put_store", PatchStore "order.patch_store"]
        StoreSettings, StorePatch, "/api/settings/store", "The store's own settings.";
    [GetShipping "order.get_shipping", PutShipping "order.put_shipping", PatchShipping "order.patch_shipping"]
        ShippingSettings, ShippingPatch, "/api/settings/shipping", "Zones and rates of shipping.";
    [GetTaxes "order.get_taxes", PutTaxes "order.put_taxes", PatchTaxes "order.patch_taxes"]
        TaxSettings, TaxPatch, "/api/settings/taxes", "Tax rates.";
    [GetPayments "order.get_payments", PutPayments "order.put_payments", PatchPayments "order.patch_payments"]
        PaymentSettings, PaymentPatch, "/api/settings/payments", "The ways to pay that are switched on.";
}

/// All settings at one epoch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    epoch: i64,
    pub(crate) store: StoreSettings,
    pub(crate) shipping: ShippingSettings,
    pub(crate) taxes: TaxSettings,
    pub(crate) payments: PaymentSettings,
}

impl Settings {
    pub(crate) fn facts(&self) -> StoreFacts {
        let store = &self.store;
        StoreFacts {
            name: store.name.clone(),
            currency: store.currency,
            timezone: store.timezone.clone(),
            locale: store.locale.clone(),
            ignore_plus_tags: store.ignore_plus_tags,
        }
    }
}

/// Settings in memory, read again when the epoch's row has moved on.
#[derive(Debug)]
pub(crate) struct SettingsCache(RwLock<Arc<Settings>>);

impl Default for SettingsCache {
    fn default() -> Self {
        Self(RwLock::new(Arc::new(Settings { epoch: -1, ..Settings::default() })))
    }
}

impl SettingsCache {
    pub(crate) async fn get(&self, db: &Db) -> Result<Arc<Settings>, StoreError> {
        db.read(|tx| self.get_in(tx)).await
    }

    pub(crate) fn get_in(&self, tx: &Tx<'_>) -> Result<Arc<Settings>, StoreError> {
        let epoch = epoch(tx)?;
        let current = self.0.read().clone();
        if current.epoch == epoch {
            return Ok(current);
        }
        let settings =
            Arc::new(Settings { epoch, store: load(tx)?, shipping: load(tx)?, taxes: load(tx)?, payments: load(tx)? });
        *self.0.write() = settings.clone();
        Ok(settings)
    }
}

fn epoch(tx: &Tx<'_>) -> Result<i64, StoreError> {
    Ok(tx.get::<Setting>(&EPOCH.to_owned())?.map_or(0, |row| row.version))
}

/// A group as it is kept. A node writes all of them before it serves; until then they are a new store's.
fn load<G: Group>(tx: &Tx<'_>) -> Result<G, StoreError> {
    let Some(row) = tx.get::<Setting>(&G::NAME.to_owned())? else { return Ok(G::default()) };
    let mut group: G = serde_json::from_value(row.value.0)
        .map_err(|error| StoreError::Damaged { place: format!("settings {}: {error}", G::NAME) })?;
    group.set_version(row.version);
    Ok(group)
}

fn bump(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    let epoch = epoch(tx)?;
    tx.put(&Setting { name: EPOCH.to_owned(), value: Json(serde_json::Value::Null), version: epoch + 1 })
}
