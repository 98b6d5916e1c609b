//! The store's settings: what is sold in which currency, how it is shipped, how it is taxed.

mod groups;

use std::sync::Arc;

use parking_lot::RwLock;
use promox_contract::audit::Audited;
use promox_contract::order::StoreFacts;
use promox_kernel::{Amount, Currency, Cx, Error, Json, json_reply, operation};
use promox_storage::{Db, StoreError, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use groups::Group;

use crate::records::{Order, Setting};

/// The row that every change of settings bumps.
const EPOCH: &str = "epoch";

/// The store itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StoreSettings {
    /// The store's name.
    pub name: String,
    /// The one currency of the store; fixed once there is an order.
    pub currency: Currency,
    /// The IANA time zone of its days.
    pub timezone: String,
    /// The language of its messages.
    pub locale: String,
    /// What cart promotions together may take off the goods, in percent; null for no cap.
    pub max_discount_percent: Option<Amount>,
    /// Counts its changes. Sent with a change it must be the present one, as `If-Match` must.
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
            version: 0,
        }
    }
}

/// What the store is to be. What is left out is as in a new store, but for the currency: no price would mean the same in
/// another one, so it changes only when it is named.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StoreChange {
    /// The store's name.
    pub name: String,
    /// The one currency of the store; as it is unless it is named, fixed once there is an order.
    pub currency: Option<Currency>,
    /// The IANA time zone of its days.
    pub timezone: String,
    /// The language of its messages.
    pub locale: String,
    /// What cart promotions together may take off the goods, in percent; null for no cap.
    pub max_discount_percent: Option<Amount>,
    /// The version that is changed, when it is sent: it must be the present one.
    pub version: i64,
}

impl Default for StoreChange {
    fn default() -> Self {
        let StoreSettings { name, timezone, locale, max_discount_percent, version, .. } = StoreSettings::default();
        Self { name, currency: None, timezone, locale, max_discount_percent, version }
    }
}

/// Where is shipped to, and for how much. Without zones shipping is free everywhere.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ShippingSettings {
    /// The zones; the first that has the country counts.
    pub zones: Vec<Zone>,
    /// Counts its changes. Sent with a change it must be the present one, as `If-Match` must.
    pub version: i64,
}
json_reply!(ShippingSettings, etag version);

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

/// A way to ship: a flat amount, or rates by what the goods come to before promotions of the cart.
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
#[serde(rename_all = "camelCase", default)]
pub struct TaxSettings {
    /// Whether catalogue prices carry their tax inside.
    pub prices_include_tax: bool,
    /// The tax class of shipping.
    pub shipping_tax_class: String,
    /// The rates.
    pub rates: Vec<TaxRate>,
    /// Counts its changes. Sent with a change it must be the present one, as `If-Match` must.
    pub version: i64,
}
json_reply!(TaxSettings, etag version);

impl Default for TaxSettings {
    fn default() -> Self {
        Self { prices_include_tax: true, shipping_tax_class: "SHIPPING".to_owned(), rates: Vec::new(), version: 0 }
    }
}

/// The rate of a class in a country, or a region of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaxRate {
    /// ISO 3166-1 alpha-2, in any case of letters.
    #[serde(deserialize_with = "promox_kernel::country::capital")]
    pub country: String,
    /// Null for the whole country; a region's rate counts before its country's.
    #[serde(default)]
    pub region: Option<String>,
    /// The class of goods, `"STANDARD"`.
    pub tax_class: String,
    /// In percent, 0 to 100, at most 4 decimals.
    pub percent: Amount,
}

/// Declares the pair of operations for a group of settings.
macro_rules! settings_operations {
    ($($get:ident, $put:ident, $type:ty, $change:ty, $get_name:literal, $put_name:literal, $path:literal, $what:literal;)+) => {$(
        #[doc = concat!("Reads ", $what, ".")]
        #[derive(Clone, Debug, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $get {}
        operation! { $get => $type, $get_name, Get $path, Anyone, 200, $what }

        #[doc = concat!("Replaces ", $what, ".")]
        #[derive(Clone, Debug, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $put(pub $change);
        operation! { $put => $type, $put_name, Put $path, Permission("settings:write"), 200, $what }
    )+};
}
settings_operations! {
    GetStore, PutStore, StoreSettings, StoreChange, "order.get_store", "order.put_store", "/api/settings/store", "The store's settings.";
    GetShipping, PutShipping, ShippingSettings, ShippingSettings, "order.get_shipping", "order.put_shipping", "/api/settings/shipping", "Zones and rates of shipping.";
    GetTaxes, PutTaxes, TaxSettings, TaxSettings, "order.get_taxes", "order.put_taxes", "/api/settings/taxes", "Tax rates.";
}

/// All settings at one epoch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    epoch: i64,
    pub(crate) store: StoreSettings,
    pub(crate) shipping: ShippingSettings,
    pub(crate) taxes: TaxSettings,
}

impl Settings {
    pub(crate) fn facts(&self) -> StoreFacts {
        let store = &self.store;
        StoreFacts {
            name: store.name.clone(),
            currency: store.currency,
            timezone: store.timezone.clone(),
            locale: store.locale.clone(),
        }
    }
}

/// Settings in memory, read again when the epoch's row has moved on.
#[derive(Debug)]
pub(crate) struct SettingsCache {
    fresh: StoreSettings,
    current: RwLock<Arc<Settings>>,
}

impl SettingsCache {
    /// A new store's settings are `fresh`.
    pub(crate) fn new(fresh: StoreSettings) -> Self {
        let settings = Settings { epoch: -1, store: fresh.clone(), ..Settings::default() };
        Self { fresh, current: RwLock::new(Arc::new(settings)) }
    }

    pub(crate) async fn get(&self, db: &Db) -> Result<Arc<Settings>, StoreError> {
        db.read(|tx| self.get_in(tx)).await
    }

    pub(crate) fn get_in(&self, tx: &Tx<'_>) -> Result<Arc<Settings>, StoreError> {
        let epoch = tx.get::<Setting>(&EPOCH.to_owned())?.map_or(0, |row| row.version);
        let current = self.current.read().clone();
        if current.epoch == epoch {
            return Ok(current);
        }
        let settings = Arc::new(Settings {
            epoch,
            store: load(tx, self.fresh.clone())?,
            shipping: load(tx, ShippingSettings::default())?,
            taxes: load(tx, TaxSettings::default())?,
        });
        *self.current.write() = settings.clone();
        Ok(settings)
    }

    /// Replaces a group.
    pub(crate) async fn put<G: Group>(&self, db: &Db, cx: &Cx, change: G::Change) -> Result<G, Error> {
        let settings = self.get(db).await?;
        let group = G::changed(change, &settings.store);
        let faults = group.faults(&settings.store);
        if !faults.is_empty() {
            return Err(Error::invalid(faults));
        }
        let (actor, mut if_match, fresh) = (cx.principal.name(), cx.clone(), self.fresh.clone());
        if group.version() != 0 && if_match.if_match.is_none() {
            if_match.if_match = Some(group.version().into());
        }
        db.write(cx, move |tx| {
            let old = tx.get::<Setting>(&G::NAME.to_owned())?;
            let version = old.as_ref().map_or(0, |row| row.version);
            if_match.check_version(version)?;
            guard_currency(tx, G::NAME, &group, &fresh)?;
            let mut saved = group.clone();
            saved.set_version(version + 1);
            let value = serde_json::to_value(&saved).map_err(Error::internal)?;
            let before = old.map(|row| row.value.0);
            tx.put(&Setting { name: G::NAME.to_owned(), value: Json(value.clone()), version: version + 1 })?;
            bump(tx)?;
            let subject = format!("settings:{}", G::NAME);
            tx.emit(version + 1, &Audited::new(actor.clone(), "settings.update", subject, before, value))?;
            Ok(saved)
        })
        .await
    }
}

/// The currency of a store with orders is fixed: their sums would mean something else.
fn guard_currency<G: Group>(tx: &Tx<'_>, name: &str, group: &G, fresh: &StoreSettings) -> Result<(), Error> {
    if name != StoreSettings::NAME {
        return Ok(());
    }
    let now: StoreSettings = load(tx, fresh.clone())?;
    let wanted = serde_json::to_value(group).map_err(Error::internal)?;
    let same = wanted.get("currency").and_then(|code| code.as_str()) == Some(now.currency.code());
    if same || tx.scan::<Order>().first()?.is_none() {
        return Ok(());
    }
    Err(Error::conflict("CURRENCY_FIXED", "There are orders in the present currency; it cannot change any more."))
}

fn load<G: Group>(tx: &Tx<'_>, default: G) -> Result<G, StoreError> {
    let Some(row) = tx.get::<Setting>(&G::NAME.to_owned())? else { return Ok(default) };
    let mut group: G = serde_json::from_value(row.value.0)
        .map_err(|error| StoreError::Damaged { place: format!("settings {}: {error}", G::NAME) })?;
    group.set_version(row.version);
    Ok(group)
}

fn bump(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    let epoch = tx.get::<Setting>(&EPOCH.to_owned())?.map_or(0, |row| row.version);
    tx.put(&Setting { name: EPOCH.to_owned(), value: Json(serde_json::Value::Null), version: epoch + 1 })
}
