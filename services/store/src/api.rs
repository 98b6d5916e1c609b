//! Requests of the store's settings: reading, replacing and patching each group.

use promox_contract::payment::PaymentMethod;

pub use promox_contract::settings::{
    PaymentSettings, ShippingMethod, ShippingRate, ShippingSettings, StoreSettings, TaxRate, TaxSettings, Zone,
};
use promox_kernel::{Amount, Currency, Patch, operation};
use schemars::JsonSchema;
use serde::Deserialize;

/// Changes to the store's own settings.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StorePatch {
    /// The store's name.
    pub name: Patch<String>,
    /// The one currency of the store; fixed once there is a price, rate or amount (409 `CURRENCY_FIXED`).
    pub currency: Patch<Currency>,
    /// The IANA time zone of its days.
    pub timezone: Patch<String>,
    /// The language of messages.
    pub locale: Patch<String>,
    /// The cap on all cart promotions together, in percent of the goods; null for no cap.
    pub max_discount_percent: Patch<Amount>,
    /// Whether addresses that differ only in a plus tag count as the same person.
    pub ignore_plus_tags: Patch<bool>,
    /// Days after the last parcel in which an order can be returned, 0 to 365.
    pub return_days: Patch<u32>,
    /// The version to change; if sent, it must be the current one.
    pub version: Patch<i64>,
}

/// Changes to shipping.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ShippingPatch {
    /// All zones; the first that contains the country applies.
    pub zones: Patch<Vec<Zone>>,
    /// The version to change; if sent, it must be the current one.
    pub version: Patch<i64>,
}

/// Changes to taxes.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TaxPatch {
    /// Whether catalog prices include tax.
    pub prices_include_tax: Patch<bool>,
    /// The tax class of shipping, one of the store's.
    pub shipping_tax_class: Patch<String>,
    /// All tax classes of the store; null for those that rates name.
    pub classes: Patch<Vec<String>>,
    /// All rates.
    pub rates: Patch<Vec<TaxRate>>,
    /// The version to change; if sent, it must be the current one.
    pub version: Patch<i64>,
}

/// Changes to payments.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PaymentPatch {
    /// All payment methods that are enabled.
    pub methods: Patch<Vec<PaymentMethod>>,
    /// The version to change; if sent, it must be the current one.
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

        #[doc = concat!("Replaces the whole; every member must be sent, so that nothing is reset silently: ", $what)]
        #[derive(Clone, Debug, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $put(pub $type);
        operation! { $put => $type, $put_name, Put $path, Permission("settings:write"), 200, $what }

        #[doc = concat!("Applies a merge patch; omitted members stay as they are: ", $what)]
        #[derive(Clone, Debug, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $change(pub $patch);
        operation! { $change => $type, $change_name, Patch $path, Permission("settings:write"), 200, $what }
    )+};
}
settings_operations! {
    [GetStore "store.get_store", PutStore "store.put_store", PatchStore "store.patch_store"]
        StoreSettings, StorePatch, "/api/settings/store", "The store's own settings.";
    [GetShipping "store.get_shipping", PutShipping "store.put_shipping", PatchShipping "store.patch_shipping"]
        ShippingSettings, ShippingPatch, "/api/settings/shipping", "Zones and rates of shipping.";
    [GetTaxes "store.get_taxes", PutTaxes "store.put_taxes", PatchTaxes "store.patch_taxes"]
        TaxSettings, TaxPatch, "/api/settings/taxes", "Tax rates.";
    [GetPayments "store.get_payments", PutPayments "store.put_payments", PatchPayments "store.patch_payments"]
        PaymentSettings, PaymentPatch, "/api/settings/payments", "The payment methods that are enabled.";
}
