//! What others ask of the store's settings.

use std::collections::BTreeMap;
use std::future::Future;

use promox_kernel::{Currency, Cx, Error, json_reply, operation, region};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::payment::PaymentMethod;
use crate::settings::Settings;

/// Asks for the store's settings that others go by.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetStoreProfile {}
operation! { GetStoreProfile => StoreProfile, "store.profile", internal, "The store's currency, zone and name." }

/// The store's settings that others go by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreProfile {
    /// The store's name.
    pub name: String,
    /// The one currency of the store.
    pub currency: Currency,
    /// The IANA time zone of its days.
    pub timezone: String,
    /// The language of its messages, `"en"`.
    pub locale: String,
    /// Whether plus tags of e-mail addresses tell no persons apart.
    #[serde(default)]
    pub ignore_plus_tags: bool,
}
json_reply!(StoreProfile);

/// Asks for all settings, unless they are those of the epoch that is known already.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCurrentSettings {
    /// The epoch of the settings that the caller has; null for none. Ask through
    /// [`SettingsCache`](crate::settings::SettingsCache).
    pub known_epoch: Option<i64>,
}
operation! { GetCurrentSettings => SettingsSnapshot, "store.current_settings", internal, "All settings, if they have \
changed." }

/// The answer to [`GetCurrentSettings`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettingsSnapshot {
    /// The epoch of the settings.
    pub epoch: i64,
    /// The settings; null when the caller has them.
    pub changed: Option<Settings>,
}
json_reply!(SettingsSnapshot);

/// Asks for the ways to pay that the store has switched on.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListEnabledPaymentMethods {}
operation! { ListEnabledPaymentMethods => EnabledMethods, "store.payments", internal, "The payment methods that are enabled." }

/// The ways to pay that the store has switched on, whether or not a provider is there for them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnabledMethods {
    /// The methods.
    pub methods: Vec<PaymentMethod>,
}
json_reply!(EnabledMethods);

/// Asks for the store's tax classes, and for the regions that it taxes apart.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetStoreTaxes {}
operation! { GetStoreTaxes => StoreTaxes, "store.taxes", internal, "The store's tax classes and taxed regions." }

/// The store's tax classes, and the regions that it taxes apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreTaxes {
    /// The classes that goods may have.
    pub classes: Vec<String>,
    /// Regions with rates of their own, by country: ISO 3166-2 codes without the country.
    pub regions: BTreeMap<String, Vec<String>>,
}
json_reply!(StoreTaxes);

impl StoreTaxes {
    /// The region of an address as rates name it. In a country that is taxed by region, one that is not understood is an error
    /// for people; elsewhere it stands as it was written.
    pub fn region(&self, country: &str, text: &str) -> Result<String, String> {
        let Some(taxed) = self.regions.get(country) else { return Ok(text.to_owned()) };
        let meant = region::meant(country, text);
        match meant.iter().find(|code| taxed.iter().any(|known| known.as_str() == **code)) {
            Some(code) => Ok((*code).to_owned()),
            None => region::region(country, text),
        }
    }
}

/// Says that amounts in the store's currency are about to be written: until it is settled the currency stays as it is.
/// 409 `CURRENCY_CHANGED` when it is another one by now. Ask through [`write_amounts`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LockCurrency {
    /// The currency that the amounts were read in.
    pub currency: Currency,
}
operation! { LockCurrency => CurrencyLock, "store.lock_currency", internal, "Locks the currency while \
amounts are written." }

/// The answer to [`LockCurrency`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CurrencyLock {
    /// Whether it is to be settled; not where amounts were written before.
    pub pending: bool,
}
json_reply!(CurrencyLock);

/// Says what became of pledged amounts: written, they fix the currency for good.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettleCurrencyLock {
    /// Whether any were written.
    pub written: bool,
}
operation! { SettleCurrencyLock => (), "store.settle_currency_lock", internal, "Reports the outcome of a currency lock." }

/// Does work that writes amounts in `currency`, which cannot change meanwhile; `written` says of what came of it whether any
/// are written. What is refused as a whole fixes nothing.
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
        // A pledge that is left behind counts as written from the next start on, which is the safe side.
        drop(own.call(SettleCurrencyLock { written }).await);
    }
    done
}

/// What services rely on and the store knows, for the auditor to compare: the currency of their rows.
pub const IN_CURRENCY: &str = "store: amounts are in its currency";
/// The digits after the point that amounts without a currency of their own have.
pub const IN_DIGITS: &str = "store: no amount has more digits than its currency";
/// The tax classes of products.
pub const TAX_CLASSES: &str = "product: its tax class is one of the store's";
