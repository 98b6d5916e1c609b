//! The store's settings: what is sold in which currency, how it is shipped, how it is taxed.

use std::sync::Arc;

use parking_lot::RwLock;
use promox_contract::audit::Audited;
use promox_contract::order::StoreFacts;
use promox_kernel::{Amount, Currency, Cx, Error, FieldError, Json, bounded, json_reply, operation};
use promox_storage::{Db, StoreError, Tx};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

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
    /// Counts its changes.
    #[schemars(skip)]
    #[serde(skip_deserializing)]
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

/// Where is shipped to, and for how much. Without zones shipping is free everywhere.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ShippingSettings {
    /// The zones; the first that has the country counts.
    pub zones: Vec<Zone>,
    /// Counts its changes.
    #[schemars(skip)]
    #[serde(skip_deserializing)]
    pub version: i64,
}
json_reply!(ShippingSettings, etag version);

/// Countries that are shipped to alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// ISO 3166-1 alpha-2 codes; `*` for all others.
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
    /// Counts its changes.
    #[schemars(skip)]
    #[serde(skip_deserializing)]
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
    /// ISO 3166-1 alpha-2.
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
    ($($get:ident, $put:ident, $type:ty, $get_name:literal, $put_name:literal, $path:literal, $what:literal;)+) => {$(
        #[doc = concat!("Reads ", $what, ".")]
        #[derive(Clone, Debug, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $get {}
        operation! { $get => $type, $get_name, Get $path, Anyone, 200, $what }

        #[doc = concat!("Replaces ", $what, ".")]
        #[derive(Clone, Debug, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $put(pub $type);
        operation! { $put => $type, $put_name, Put $path, Permission("settings:write"), 200, $what }
    )+};
}
settings_operations! {
    GetStore, PutStore, StoreSettings, "order.get_store", "order.put_store", "/api/settings/store", "The store's settings.";
    GetShipping, PutShipping, ShippingSettings, "order.get_shipping", "order.put_shipping", "/api/settings/shipping", "Zones and rates of shipping.";
    GetTaxes, PutTaxes, TaxSettings, "order.get_taxes", "order.put_taxes", "/api/settings/taxes", "Tax rates.";
}

/// A group of settings as it is kept.
pub(crate) trait Group: Clone + Default + Serialize + DeserializeOwned + Send + Sync + 'static {
    const NAME: &'static str;
    fn set_version(&mut self, version: i64);
    fn faults(&self, store: &StoreSettings) -> Vec<FieldError>;
}

impl Group for StoreSettings {
    const NAME: &'static str = "store";
    fn set_version(&mut self, version: i64) {
        self.version = version;
    }
    fn faults(&self, _: &StoreSettings) -> Vec<FieldError> {
        let mut faults = Vec::new();
        if let Err(detail) = bounded(&self.name, 1, 200) {
            faults.push(FieldError::new("/name", detail));
        }
        if jiff::tz::TimeZone::get(&self.timezone).is_err() {
            faults.push(FieldError::new("/timezone", "not an IANA time zone such as Europe/London"));
        }
        if let Err(detail) = bounded(&self.locale, 2, 12) {
            faults.push(FieldError::new("/locale", detail));
        }
        if self.max_discount_percent.is_some_and(|percent| !is_percent(percent)) {
            faults.push(FieldError::new("/maxDiscountPercent", "a percentage is 0 to 100 with at most 4 decimals"));
        }
        faults
    }
}

impl Group for ShippingSettings {
    const NAME: &'static str = "shipping";
    fn set_version(&mut self, version: i64) {
        self.version = version;
    }
    fn faults(&self, store: &StoreSettings) -> Vec<FieldError> {
        let mut faults = Vec::new();
        for (z, zone) in self.zones.iter().enumerate() {
            for (c, country) in zone.countries.iter().enumerate() {
                if country != "*" && !is_country(country) {
                    faults.push(FieldError::new(format!("/zones/{z}/countries/{c}"), COUNTRY));
                }
            }
            if zone.methods.is_empty() {
                faults.push(FieldError::new(format!("/zones/{z}/methods"), "a zone has at least one method"));
            }
            for (m, method) in zone.methods.iter().enumerate() {
                method_faults(method, store.currency, &format!("/zones/{z}/methods/{m}"), &mut faults);
            }
        }
        faults
    }
}

fn method_faults(method: &ShippingMethod, currency: Currency, at: &str, faults: &mut Vec<FieldError>) {
    if method.amount.is_some() != method.rates.is_empty() {
        faults.push(FieldError::new(at, "a method has either an amount or rates"));
    }
    let amounts = method.amount.iter().map(|amount| (format!("{at}/amount"), *amount));
    let rates = method.rates.iter().enumerate().flat_map(|(r, rate)| {
        [(format!("{at}/rates/{r}/from"), rate.from), (format!("{at}/rates/{r}/amount"), rate.amount)]
    });
    for (pointer, amount) in amounts.chain(rates) {
        match currency.exact(amount) {
            Ok(amount) if !amount.is_negative() => {}
            Ok(_) => faults.push(FieldError::new(pointer, "not less than zero")),
            Err(detail) => faults.push(FieldError::new(pointer, detail)),
        }
    }
    if !method.rates.is_empty() && !method.rates.iter().any(|rate| rate.from.is_zero()) {
        faults.push(FieldError::new(format!("{at}/rates"), "one rate begins at 0, so that every order has one"));
    }
}

impl Group for TaxSettings {
    const NAME: &'static str = "taxes";
    fn set_version(&mut self, version: i64) {
        self.version = version;
    }
    fn faults(&self, _: &StoreSettings) -> Vec<FieldError> {
        let mut faults = Vec::new();
        for (r, rate) in self.rates.iter().enumerate() {
            if !is_country(&rate.country) {
                faults.push(FieldError::new(format!("/rates/{r}/country"), COUNTRY));
            }
            if !is_percent(rate.percent) {
                faults.push(FieldError::new(format!("/rates/{r}/percent"), "0 to 100 with at most 4 decimals"));
            }
        }
        faults
    }
}

const COUNTRY: &str = "an ISO 3166-1 alpha-2 code such as GB";

/// Two capital letters; which of them are countries changes with the world.
pub(crate) fn is_country(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn is_percent(percent: Amount) -> bool {
    !percent.is_negative() && percent.0 <= Decimal::ONE_HUNDRED && percent.0.normalize().scale() <= 4
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
    pub(crate) async fn put<G: Group>(&self, db: &Db, cx: &Cx, group: G) -> Result<G, Error> {
        let settings = self.get(db).await?;
        let faults = group.faults(&settings.store);
        if !faults.is_empty() {
            return Err(Error::invalid(faults));
        }
        let (actor, if_match, fresh) = (cx.principal.name(), cx.clone(), self.fresh.clone());
        db.write(cx, move |tx| {
            let old = tx.get::<Setting>(&G::NAME.to_owned())?;
            let version = old.as_ref().map_or(0, |row| row.version);
            if_match.check_version(version)?;
            guard_currency(tx, G::NAME, &group, &fresh)?;
            let value = serde_json::to_value(&group).map_err(Error::internal)?;
            let before = old.map(|row| row.value.0);
            tx.put(&Setting { name: G::NAME.to_owned(), value: Json(value.clone()), version: version + 1 })?;
            bump(tx)?;
            let subject = format!("settings:{}", G::NAME);
            tx.emit(version + 1, &Audited::new(actor.clone(), "settings.update", subject, before, value))?;
            let mut saved = group.clone();
            saved.set_version(version + 1);
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
