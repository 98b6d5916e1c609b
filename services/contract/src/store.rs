//! Operations of the store service for other services: the store's settings and its currency.

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
    /// The store's only currency.
    pub currency: Currency,
    /// The IANA time zone in which the store's days begin and end.
    pub timezone: String,
    /// The language of messages, such as `"en"`.
    pub locale: String,
    /// Whether addresses that differ only in a plus tag count as the same person.
    #[serde(default)]
    pub ignore_plus_tags: bool,
    /// What a buyer who pays by bank transfer must know.
    #[serde(default)]
    pub bank_transfer: Option<String>,
}
json_reply!(StoreProfile);

impl Settings {
    /// The settings as a [`StoreProfile`].
    pub fn profile(&self) -> StoreProfile {
        let store = &self.store;
        StoreProfile {
            name: store.name.clone(),
            currency: store.currency,
            timezone: store.timezone.clone(),
            locale: store.locale.clone(),
            ignore_plus_tags: store.ignore_plus_tags,
            bank_transfer: self.payments.bank_transfer.clone(),
        }
    }
}

/// Gets all settings, unless the caller already has those of the current epoch.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCurrentSettings {
    /// The epoch of the caller's settings; null if it has none. Use [`SettingsCache`].
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
    /// The settings; null if the caller's are current.
    pub changed: Option<Settings>,
}
json_reply!(SettingsSnapshot);

/// A service's copy of the settings in memory. Each read checks that it is current.
#[derive(Debug, Default)]
pub struct SettingsCache(RwLock<Option<(i64, Arc<Settings>)>>);

impl SettingsCache {
    /// The current settings.
    pub async fn get(&self, cx: &Cx) -> Result<Arc<Settings>, Error> {
        let cached = self.0.read().clone();
        let request = GetCurrentSettings { known_epoch: cached.as_ref().map(|(epoch, _)| *epoch) };
        let snapshot = cx.call(request).await?;
        match (snapshot.changed, cached) {
            (Some(changed), _) => {
                let settings = Arc::new(changed);
                *self.0.write() = Some((snapshot.epoch, settings.clone()));
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

/// The payment methods that the store has enabled, even those without a provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnabledMethods {
    /// The methods.
    pub methods: Vec<PaymentMethod>,
}
json_reply!(EnabledMethods);

/// Gets the store's tax classes and the regions that have their own tax rates.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetStoreTaxes {}
operation! { GetStoreTaxes => StoreTaxes, "store.taxes", internal, "The store's tax classes and taxed regions." }

/// The store's tax classes and the regions that have their own tax rates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreTaxes {
    /// The tax classes that goods may have.
    pub classes: Vec<String>,
    /// By country, the regions with their own rates: ISO 3166-2 codes without the country prefix.
    pub regions: BTreeMap<String, Vec<String>>,
}
json_reply!(StoreTaxes);

impl TaxSettings {
    /// The settings as [`StoreTaxes`].
    pub fn store_taxes(&self) -> StoreTaxes {
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
    /// The region of an address as tax rates name it. In a country with regional rates, an unknown region is an error,
    /// which is a message for humans. In other countries the text is returned unchanged.
    pub fn region(&self, country: &str, text: &str) -> Result<String, String> {
        let Some(taxed) = self.regions.get(country) else { return Ok(text.to_owned()) };
        let matching = region::matching(country, text);
        match matching.iter().find(|code| taxed.iter().any(|known| known.as_str() == **code)) {
            Some(code) => Ok((*code).to_owned()),
            None => region::region(country, text),
        }
    }
}

/// Locks the store's currency while amounts are written. 409 `CURRENCY_CHANGED` if it is no longer the given one. Use
/// [`write_amounts`] instead of calling this directly.
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
    /// Whether the lock must be settled. It need not if amounts were written before.
    pub pending: bool,
}
json_reply!(CurrencyLock);

/// Settles a currency lock. If amounts were written, the currency is fixed permanently.
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

/// Does work that writes amounts in `currency`, and locks the store's currency meanwhile. `written` tells from the
/// result whether amounts were written; if so, the currency is fixed permanently.
pub async fn write_amounts<T>(
    cx: &Cx,
    currency: Currency,
    work: impl Future<Output = Result<T, Error>>,
    written: impl FnOnce(&Result<T, Error>) -> bool,
) -> Result<T, Error> {
    let system = cx.elevated();
    let CurrencyLock { pending } = system.call(LockCurrency { currency }).await?;
    let result = work.await;
    if pending {
        let written = written(&result);
        // If this fails, the lock counts as written after the next start, which is safe.
        drop(system.call(SettleCurrencyLock { written }).await);
    }
    result
}

/// The audit's name for the check that amounts in the rows of services are in the store's currency.
pub const IN_CURRENCY: &str = "store: amounts are in its currency";
/// The audit's name for the check that amounts have no more digits than the store's currency.
pub const IN_DIGITS: &str = "store: no amount has more digits than its currency";
/// The audit's name for the check that the tax classes of products are classes of the store.
pub const TAX_CLASSES: &str = "product: its tax class is one of the store's";
