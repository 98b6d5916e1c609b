//! Operations on the store's settings: reading, replacing and patching each group.

use promox_contract::payment::{CaptureAt, PaymentMethod};

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
    #[schemars(with = "String")]
    pub name: Patch<String>,
    /// The store's only currency. It cannot be changed once there is a price, rate or amount (409 `CURRENCY_FIXED`).
    #[schemars(with = "Currency")]
    pub currency: Patch<Currency>,
    /// The IANA time zone in which the store's days begin and end.
    #[schemars(with = "String")]
    pub timezone: Patch<String>,
    /// The language of messages, such as `en`.
    #[schemars(with = "String")]
    pub locale: Patch<String>,
    /// The cap on all cart promotions together, in percent of the goods; null for no cap.
    pub max_discount_percent: Patch<Amount>,
    /// Whether addresses that differ only in a plus tag count as the same person.
    #[schemars(with = "bool")]
    pub ignore_plus_tags: Patch<bool>,
    /// The number of days after the last parcel in which an order can be returned, 0 to 365.
    #[schemars(with = "u32")]
    pub return_days: Patch<u32>,
    /// The version to change. If sent, it must be the current one.
    #[schemars(with = "i64")]
    pub version: Patch<i64>,
}

/// Changes to the shipping settings.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ShippingPatch {
    /// All zones. The first one that contains the country applies.
    #[schemars(with = "Vec<Zone>")]
    pub zones: Patch<Vec<Zone>>,
    /// The version to change. If sent, it must be the current one.
    #[schemars(with = "i64")]
    pub version: Patch<i64>,
}

/// Changes to the tax settings.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TaxPatch {
    /// Whether catalog prices include tax.
    #[schemars(with = "bool")]
    pub prices_include_tax: Patch<bool>,
    /// The tax class of shipping, one of the store's.
    #[schemars(with = "String")]
    pub shipping_tax_class: Patch<String>,
    /// All tax classes of the store besides STANDARD, which always exists; null for the classes that rates name.
    pub classes: Patch<Vec<String>>,
    /// All tax rates.
    #[schemars(with = "Vec<TaxRate>")]
    pub rates: Patch<Vec<TaxRate>>,
    /// The version to change. If sent, it must be the current one.
    #[schemars(with = "i64")]
    pub version: Patch<i64>,
}

/// Changes to the payment settings.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PaymentPatch {
    /// All enabled payment methods.
    #[schemars(with = "Vec<PaymentMethod>")]
    pub methods: Patch<Vec<PaymentMethod>>,
    /// When the money of new orders paid by card is captured: `ORDER` or `SHIPMENT`.
    #[schemars(with = "CaptureAt")]
    pub capture_at: Patch<CaptureAt>,
    /// What a buyer who pays by bank transfer must know, in at most 2,000 characters; null for nothing.
    pub bank_transfer: Patch<String>,
    /// The version to change. If sent, it must be the current one.
    #[schemars(with = "i64")]
    pub version: Patch<i64>,
}

/// Declares the operations of a group of settings: reading, replacing and patching it.
macro_rules! settings_operations {
    ($([$get:ident $get_name:literal, $put:ident $put_name:literal, $change:ident $change_name:literal]
        $type:ty, $patch:ty, $path:literal, $what:literal;)+) => {$(
        #[doc = concat!("Gets a group of settings. ", $what)]
        #[derive(Clone, Debug, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $get {}
        operation! { $get => $type, $get_name, Get $path, Anyone, 200, $what }

        #[doc = concat!("Replaces a group of settings. Every member must be sent: none is reset silently. ", $what)]
        #[derive(Clone, Debug, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $put(pub $type);
        operation! { $put => $type, $put_name, Put $path, Permission("settings:write"), 200, $what }

        #[doc = concat!("Patches a group of settings (JSON Merge Patch). Omitted members keep their values. ", $what)]
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
        ShippingSettings, ShippingPatch, "/api/settings/shipping", "The shipping zones and rates.";
    [GetTaxes "store.get_taxes", PutTaxes "store.put_taxes", PatchTaxes "store.patch_taxes"]
        TaxSettings, TaxPatch, "/api/settings/taxes", "The tax classes and rates.";
    [GetPayments "store.get_payments", PutPayments "store.put_payments", PatchPayments "store.patch_payments"]
        PaymentSettings, PaymentPatch, "/api/settings/payments", "The enabled payment methods, and when cards are captured.";
}
