//! Groups of settings: how each is patched, normalised and validated.

use std::collections::HashSet;
use std::hash::Hash;

use promox_contract::codes;
use promox_contract::settings::{
    PaymentSettings, ShippingMethod, ShippingSettings, StoreSettings, TaxRate, TaxSettings, Zone,
};
use promox_kernel::{Amount, Currency, Faults, bounded, multiline, region};
use rust_decimal::Decimal;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::{PaymentPatch, ShippingPatch, StorePatch, TaxPatch};

/// The maximum length of the code of a shipping method or a tax class, in characters.
const MAX_CODE_LEN: usize = 64;
/// The maximum length of the instructions for a bank transfer, in characters.
const MAX_INSTRUCTIONS_LEN: usize = 2_000;
/// The maximum return period in days.
const MAX_RETURN_DAYS: u32 = 365;
/// The maximum length of a name, in characters.
pub const MAX_NAME_LEN: usize = 200;

/// A group of settings.
pub(crate) trait Group: Clone + Default + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The JSON Merge Patch of the group.
    type Patch: Clone + Send + Sync + 'static;
    /// The name of the row that stores the group.
    const NAME: &'static str;
    /// Applies a patch and adds its faults to `faults`.
    fn patch(&mut self, patch: Self::Patch, faults: &mut Faults);
    /// Converts values to the form in which they are stored. Invalid values are not changed; [`Group::faults`] reports
    /// them.
    fn normalise(&mut self, _store: &StoreSettings) {}
    /// The faults of the group in a store with these settings.
    fn faults(&self, store: &StoreSettings) -> Faults;
    /// The store's currency, if the group sets it.
    fn currency(&self) -> Option<Currency> {
        None
    }
    /// Whether the group contains amounts of money.
    fn has_amounts(&self) -> bool {
        false
    }
    fn version(&self) -> i64;
    fn set_version(&mut self, version: i64);
}

impl Group for StoreSettings {
    type Patch = StorePatch;
    const NAME: &'static str = "store";
    fn patch(&mut self, patch: StorePatch, faults: &mut Faults) {
        patch.name.replace(&mut self.name, "/name", faults);
        patch.currency.replace(&mut self.currency, "/currency", faults);
        patch.timezone.replace(&mut self.timezone, "/timezone", faults);
        patch.locale.replace(&mut self.locale, "/locale", faults);
        patch.max_discount_percent.apply(&mut self.max_discount_percent);
        patch.ignore_plus_tags.replace(&mut self.ignore_plus_tags, "/ignorePlusTags", faults);
        patch.return_days.replace(&mut self.return_days, "/returnDays", faults);
        patch.version.replace(&mut self.version, "/version", faults);
    }
    fn currency(&self) -> Option<Currency> {
        Some(self.currency)
    }
    fn version(&self) -> i64 {
        self.version
    }
    fn set_version(&mut self, version: i64) {
        self.version = version;
    }
    fn faults(&self, _: &StoreSettings) -> Faults {
        let mut faults = Faults::default();
        check_length(&self.name, MAX_NAME_LEN, "/name", &mut faults);
        if jiff::tz::TimeZone::get(&self.timezone).is_err() {
            faults.note("/timezone", "must be an IANA time zone such as Europe/London");
        }
        if !is_locale(&self.locale) {
            faults.note("/locale", "must be a language tag such as en or pt-BR");
        }
        if self.max_discount_percent.is_some_and(|percent| !is_percent(percent)) {
            faults.note("/maxDiscountPercent", "must be a percentage from 0 to 100 with at most 4 decimals");
        }
        if self.return_days > MAX_RETURN_DAYS {
            faults.note("/returnDays", format!("must be 0 to {MAX_RETURN_DAYS} days"));
        }
        faults
    }
}

impl Group for ShippingSettings {
    type Patch = ShippingPatch;
    const NAME: &'static str = "shipping";
    fn patch(&mut self, patch: ShippingPatch, faults: &mut Faults) {
        patch.zones.replace(&mut self.zones, "/zones", faults);
        patch.version.replace(&mut self.version, "/version", faults);
    }
    fn has_amounts(&self) -> bool {
        !self.zones.is_empty()
    }
    /// Writes amounts with all digits of the currency.
    fn normalise(&mut self, store: &StoreSettings) {
        for method in self.zones.iter_mut().flat_map(|zone| &mut zone.methods) {
            let rates = method.rates.iter_mut().flat_map(|rate| [&mut rate.from, &mut rate.amount]);
            for amount in method.amount.iter_mut().chain(rates) {
                *amount = store.currency.exact(*amount).unwrap_or(*amount);
            }
        }
    }
    fn version(&self) -> i64 {
        self.version
    }
    fn set_version(&mut self, version: i64) {
        self.version = version;
    }
    fn faults(&self, store: &StoreSettings) -> Faults {
        let mut faults = Faults::default();
        let mut countries = HashSet::new();
        for (z, zone) in self.zones.iter().enumerate() {
            zone_faults(zone, store.currency, &format!("/zones/{z}"), &mut countries, &mut faults);
        }
        faults
    }
}

fn zone_faults<'a>(
    zone: &'a Zone,
    currency: Currency,
    at: &str,
    countries: &mut HashSet<&'a str>,
    faults: &mut Faults,
) {
    check_length(&zone.name, MAX_NAME_LEN, &format!("{at}/name"), faults);
    for (c, country) in zone.countries.iter().enumerate() {
        let pointer = format!("{at}/countries/{c}");
        match promox_kernel::country(country) {
            Err(detail) if country != "*" => faults.note(pointer, detail),
            _ => check_unique(countries, country, "duplicate country", pointer, faults),
        }
    }
    if zone.countries.is_empty() {
        faults.note(format!("{at}/countries"), "a zone must have at least one country, or * for all others");
    }
    if zone.methods.is_empty() {
        faults.note(format!("{at}/methods"), "a zone must have at least one method");
    }
    let mut methods = HashSet::new();
    for (m, method) in zone.methods.iter().enumerate() {
        let at = format!("{at}/methods/{m}");
        check_length(&method.method, MAX_CODE_LEN, &format!("{at}/method"), faults);
        check_length(&method.name, MAX_NAME_LEN, &format!("{at}/name"), faults);
        let pointer = format!("{at}/method");
        check_unique(&mut methods, method.method.as_str(), "duplicate method in this zone", pointer, faults);
        method_faults(method, currency, &at, faults);
    }
}

fn method_faults(method: &ShippingMethod, currency: Currency, at: &str, faults: &mut Faults) {
    if method.amount.is_some() != method.rates.is_empty() {
        faults.note(at, "a method must have either an amount or rates");
    }
    let amounts = method.amount.iter().map(|amount| (format!("{at}/amount"), *amount));
    let rates = method.rates.iter().enumerate().flat_map(|(r, rate)| {
        [(format!("{at}/rates/{r}/from"), rate.from), (format!("{at}/rates/{r}/amount"), rate.amount)]
    });
    for (pointer, amount) in amounts.chain(rates) {
        match currency.exact(amount) {
            Ok(amount) if !amount.is_negative() => {}
            Ok(_) => faults.note(pointer, "must not be negative"),
            Err(detail) => faults.note(pointer, detail),
        }
    }
    let mut thresholds = HashSet::new();
    for (r, rate) in method.rates.iter().enumerate() {
        let pointer = format!("{at}/rates/{r}/from");
        check_unique(&mut thresholds, rate.from.0.normalize(), "another rate has the same threshold", pointer, faults);
    }
    if !method.rates.is_empty() && !method.rates.iter().any(|rate| rate.from.is_zero()) {
        faults.note(format!("{at}/rates"), "one rate must start at 0, so that every order has a rate");
    }
}

impl Group for TaxSettings {
    type Patch = TaxPatch;
    const NAME: &'static str = "taxes";
    fn patch(&mut self, patch: TaxPatch, faults: &mut Faults) {
        patch.prices_include_tax.replace(&mut self.prices_include_tax, "/pricesIncludeTax", faults);
        patch.shipping_tax_class.replace(&mut self.shipping_tax_class, "/shippingTaxClass", faults);
        patch.classes.apply(&mut self.classes);
        patch.rates.replace(&mut self.rates, "/rates", faults);
        patch.version.replace(&mut self.version, "/version", faults);
    }
    /// Replaces the names of regions by their codes.
    fn normalise(&mut self, _: &StoreSettings) {
        for rate in &mut self.rates {
            if let Some(region) = &mut rate.region {
                *region = region::region(&rate.country, region).unwrap_or_else(|_| region.clone());
            }
        }
    }
    fn version(&self) -> i64 {
        self.version
    }
    fn set_version(&mut self, version: i64) {
        self.version = version;
    }
    fn faults(&self, _: &StoreSettings) -> Faults {
        let mut faults = Faults::default();
        let mut listed = HashSet::new();
        for (c, class) in self.classes.iter().flatten().enumerate() {
            let at = format!("/classes/{c}");
            check_length(class, MAX_CODE_LEN, &at, &mut faults);
            check_unique(&mut listed, class, "duplicate class", at, &mut faults);
        }
        let classes = self.class_names();
        if !classes.contains(self.shipping_tax_class.as_str()) {
            let fault = "no rate has this tax class, so shipping would be tax-free; if that is intended, list the \
                     class in classes";
            faults.compared("/shippingTaxClass", &["/classes", "/rates"], fault);
        }
        let mut seen = HashSet::new();
        for (r, rate) in self.rates.iter().enumerate() {
            let at = format!("/rates/{r}");
            rate_faults(rate, &at, &mut faults);
            if !classes.contains(rate.tax_class.as_str()) {
                let known: Vec<&str> = classes.iter().copied().collect();
                let fault = format!("must be one of the classes: {}", known.join(", "));
                faults.compared(format!("{at}/taxClass"), &["/classes"], fault);
            }
            let scope = (&rate.country, &rate.region, &rate.tax_class);
            check_unique(&mut seen, scope, "another rate has the same country, region and class", at, &mut faults);
        }
        faults
    }
}

impl Group for PaymentSettings {
    type Patch = PaymentPatch;
    const NAME: &'static str = "payments";
    fn patch(&mut self, patch: PaymentPatch, faults: &mut Faults) {
        patch.methods.replace(&mut self.methods, "/methods", faults);
        patch.capture_at.replace(&mut self.capture_at, "/captureAt", faults);
        patch.bank_transfer.apply(&mut self.bank_transfer);
        patch.version.replace(&mut self.version, "/version", faults);
    }
    fn normalise(&mut self, _: &StoreSettings) {
        if let Some(Ok(text)) = self.bank_transfer.as_ref().map(|text| multiline(text, 1, MAX_INSTRUCTIONS_LEN)) {
            self.bank_transfer = Some(text);
        }
    }
    fn version(&self) -> i64 {
        self.version
    }
    fn set_version(&mut self, version: i64) {
        self.version = version;
    }
    fn faults(&self, _: &StoreSettings) -> Faults {
        let (mut faults, mut seen) = (Faults::default(), HashSet::new());
        for (m, method) in self.methods.iter().enumerate() {
            check_unique(&mut seen, *method, "duplicate method", format!("/methods/{m}"), &mut faults);
        }
        if let Some(Err(detail)) = self.bank_transfer.as_ref().map(|text| multiline(text, 1, MAX_INSTRUCTIONS_LEN)) {
            faults.note("/bankTransfer", detail);
        }
        faults
    }
}

fn rate_faults(rate: &TaxRate, at: &str, faults: &mut Faults) {
    if let Err(detail) = promox_kernel::country(&rate.country) {
        faults.note(format!("{at}/country"), detail);
    }
    if let Some(Err(detail)) = rate.region.as_ref().map(|region| region::region(&rate.country, region)) {
        faults.note(format!("{at}/region"), detail);
    }
    check_length(&rate.tax_class, MAX_CODE_LEN, &format!("{at}/taxClass"), faults);
    if !is_percent(rate.percent) {
        faults.note(format!("{at}/percent"), "must be 0 to 100 with at most 4 decimals");
    }
}

fn check_length(text: &str, max: usize, at: &str, faults: &mut Faults) {
    if let Err(detail) = bounded(text, 1, max) {
        faults.note(at, detail);
    }
}

/// Reports a fault if `value` was seen before, because it would be ambiguous which of the two applies.
fn check_unique<T: Eq + Hash>(seen: &mut HashSet<T>, value: T, fault: &str, at: String, faults: &mut Faults) {
    if !seen.insert(value) {
        faults.code(at, codes::DUPLICATE, fault);
    }
}

/// Whether a tag is a language of two or three letters with optional subtags.
fn is_locale(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let language = parts.next().unwrap_or_default();
    let is_language = (2..=3).contains(&language.len()) && language.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_part = |part: &str| (2..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_language && tag.len() <= 12 && parts.all(is_part)
}

/// Whether an amount is a percentage from 0 to 100 with at most 4 decimals.
fn is_percent(percent: Amount) -> bool {
    !percent.is_negative() && percent.0 <= Decimal::ONE_HUNDRED && percent.0.normalize().scale() <= 4
}
