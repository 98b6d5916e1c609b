//! Operations of the store's settings for other services.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use parking_lot::RwLock;
use promox_kernel::{Currency, Cx, Error, json_reply, operation, region};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::payment::PaymentMethod;
use crate::settings::{Settings, TaxSettings};

/// Gets the settings that other services rely on.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetStoreProfile {}
operation! { GetStoreProfile => StoreProfile, "store.profile", internal, "The store's currency, zone and name." }

/// The settings that other services rely on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreProfile {
    /// The store's name.
    pub name: String,
    /// The one currency of the store.
    pub currency: Currency,
    /// The IANA time zone of its days.
    pub timezone: String,
    /// The language of messages, `"en"`.
    pub locale: String,
    /// Whether addresses that differ only in a plus tag count as the same person.
    #[serde(default)]
    pub ignore_plus_tags: bool,
}
json_reply!(StoreProfile);

impl Settings {
    /// The settings that other services rely on.
    pub fn facts(&self) -> StoreProfile {
        let store = &self.store;
        StoreProfile {
            name: store.name.clone(),
            currency: store.currency,
            timezone: store.timezone.clone(),
            locale: store.locale.clone(),
            ignore_plus_tags: store.ignore_plus_tags,
        }
    }
}

/// Gets all settings, unless the caller has those of the current epoch.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCurrentSettings {
    /// The epoch of the caller's settings; null for none. Use [`SettingsCache`].
    pub known_epoch: Option<i64>,
}
operation! {
    GetCurrentSettings => SettingsSnapshot, "store.current_settings", internal,
    "All settings, if they have changed."
}

/// The answer to [`GetCurrentSettings`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettingsSnapshot {
    /// The epoch of the settings.
    pub epoch: i64,
    /// The settings; null when the caller's are current.
    pub changed: Option<Settings>,
}
json_reply!(SettingsSnapshot);

/// The settings in the memory of a service, refreshed whenever they are read.
#[derive(Debug, Default)]
pub struct SettingsCache(RwLock<Option<(i64, Arc<Settings>)>>);

impl SettingsCache {
    /// The current settings.
    pub async fn get(&self, cx: &Cx) -> Result<Arc<Settings>, Error> {
        let known = self.0.read().clone();
        let asked = GetCurrentSettings { known_epoch: known.as_ref().map(|(epoch, _)| *epoch) };
        let answer = cx.call(asked).await?;
        match (answer.changed, known) {
            (Some(changed), _) => {
                let settings = Arc::new(changed);
                *self.0.write() = Some((answer.epoch, settings.clone()));
                Ok(settings)
            }
            (None, Some((_, settings))) => Ok(settings),
            (None, None) => Err(Error::internal("the store's settings are missing")),
        }
    }
}

/// Gets the payment methods that the store has enabled.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListEnabledPaymentMethods {}
operation! {
    ListEnabledPaymentMethods => EnabledMethods, "store.payments", internal,
    "The payment methods that are enabled."
}

/// The payment methods that the store has enabled, whether or not there is a provider for them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnabledMethods {
    /// The methods.
    pub methods: Vec<PaymentMethod>,
}
json_reply!(EnabledMethods);

/// Gets the store's tax classes, and the regions with their own tax rates.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetStoreTaxes {}
operation! { GetStoreTaxes => StoreTaxes, "store.taxes", internal, "The store's tax classes and taxed regions." }

/// The store's tax classes, and the regions with their own tax rates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreTaxes {
    /// The classes that goods may have.
    pub classes: Vec<String>,
    /// Regions with rates of their own, by country: ISO 3166-2 codes without the country.
    pub regions: BTreeMap<String, Vec<String>>,
}
json_reply!(StoreTaxes);

impl TaxSettings {
    /// The settings that other services rely on.
    pub fn facts(&self) -> StoreTaxes {
        let mut regions: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for rate in &self.rates {
            if let Some(region) = &rate.region {
                regions.entry(rate.country.clone()).or_default().push(region.clone());
            }
        }
        StoreTaxes { classes: self.class_names().into_iter().map(str::to_owned).collect(), regions }
    }
}

impl StoreTaxes {
    /// The region of an address as tax rates name it. In a country with regional rates, an unknown region is an error
    /// with a message; elsewhere it is kept as written.
    pub fn region(&self, country: &str, text: &str) -> Result<String, String> {
        let Some(taxed) = self.regions.get(country) else { return Ok(text.to_owned()) };
        let meant = region::meant(country, text);
        match meant.iter().find(|code| taxed.iter().any(|known| known.as_str() == **code)) {
            Some(code) => Ok((*code).to_owned()),
            None => region::region(country, text),
        }
    }
}

/// Locks the store's currency while amounts are written. 409 `CURRENCY_CHANGED` when it is no longer the given one. Use
/// [`write_amounts`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LockCurrency {
    /// The currency in which the amounts were parsed.
    pub currency: Currency,
}
operation! {
    LockCurrency => CurrencyLock, "store.lock_currency", internal,
    "Locks the currency while amounts are written."
}

/// The answer to [`LockCurrency`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CurrencyLock {
    /// Whether the lock must be settled; not once amounts were written before.
    pub pending: bool,
}
json_reply!(CurrencyLock);

/// Settles a currency lock: if amounts were written, the currency is fixed permanently.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettleCurrencyLock {
    /// Whether any amounts were written.
    pub written: bool,
}
operation! {
    SettleCurrencyLock => (), "store.settle_currency_lock", internal,
    "Reports the outcome of a currency lock."
}

/// Does work that writes amounts in `currency`, which cannot change in the meantime. `written` says whether a result
/// wrote any. An error fixes nothing.
pub async fn write_amounts<T>(
    cx: &Cx,
    currency: Currency,
    work: impl Future<Output = Result<T, Error>>,
    written: impl FnOnce(&Result<T, Error>) -> bool,
) -> Result<T, Error> {
    let own = cx.elevated();
    let CurrencyLock { pending } = own.call(LockCurrency { currency }).await?;
    let done = work.await;
    if pending {
        let written = written(&done);
        // A lock that is never settled counts as written after the next start, which is the safe side.
        drop(own.call(SettleCurrencyLock { written }).await);
    }
    done
}

/// The auditor compares what services rely on with the store's settings: the currency of their rows.
pub const IN_CURRENCY: &str = "store: amounts are in its currency";
/// Decimal digits of amounts without a currency of their own.
pub const IN_DIGITS: &str = "store: no amount has more digits than its currency";
/// The tax classes of products.
pub const TAX_CLASSES: &str = "product: its tax class is one of the store's";
