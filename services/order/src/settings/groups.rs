//! Groups of settings: what a caller may make of each.

use std::collections::HashSet;
use std::hash::Hash;

use promox_kernel::{Amount, Currency, FieldError, bounded};
use rust_decimal::Decimal;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ShippingMethod, ShippingSettings, StoreChange, StoreSettings, TaxRate, TaxSettings, Zone};

/// Characters of a code: a shipping method's, a tax class.
const LONGEST_CODE: usize = 64;
/// Characters of a name.
const LONGEST_NAME: usize = 200;

/// A group of settings as it is kept.
pub(crate) trait Group: Clone + Default + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What a caller sends to replace it.
    type Change: Clone + Send + Sync + 'static;
    const NAME: &'static str;
    /// What a change makes of the store as it is.
    fn changed(change: Self::Change, store: &StoreSettings) -> Self;
    fn version(&self) -> i64;
    fn set_version(&mut self, version: i64);
    fn faults(&self, store: &StoreSettings) -> Vec<FieldError>;
}

impl Group for StoreSettings {
    type Change = StoreChange;
    const NAME: &'static str = "store";
    fn changed(change: StoreChange, store: &StoreSettings) -> Self {
        let StoreChange { name, currency, timezone, locale, max_discount_percent, version } = change;
        Self { name, currency: currency.unwrap_or(store.currency), timezone, locale, max_discount_percent, version }
    }
    fn version(&self) -> i64 {
        self.version
    }
    fn set_version(&mut self, version: i64) {
        self.version = version;
    }
    fn faults(&self, _: &StoreSettings) -> Vec<FieldError> {
        let mut faults = Vec::new();
        length(&self.name, LONGEST_NAME, "/name", &mut faults);
        if jiff::tz::TimeZone::get(&self.timezone).is_err() {
            faults.push(FieldError::new("/timezone", "not an IANA time zone such as Europe/London"));
        }
        if !is_locale(&self.locale) {
            faults.push(FieldError::new("/locale", "a language tag such as en or pt-BR"));
        }
        if self.max_discount_percent.is_some_and(|percent| !is_percent(percent)) {
            faults.push(FieldError::new("/maxDiscountPercent", "a percentage is 0 to 100 with at most 4 decimals"));
        }
        faults
    }
}

impl Group for ShippingSettings {
    type Change = Self;
    const NAME: &'static str = "shipping";
    /// Amounts are written with all digits of the currency; one that has more is left for the faults.
    fn changed(mut change: Self, store: &StoreSettings) -> Self {
        let methods = change.zones.iter_mut().flat_map(|zone| &mut zone.methods);
        for method in methods {
            let rates = method.rates.iter_mut().flat_map(|rate| [&mut rate.from, &mut rate.amount]);
            for amount in method.amount.iter_mut().chain(rates) {
                *amount = store.currency.exact(*amount).unwrap_or(*amount);
            }
        }
        change
    }
    fn version(&self) -> i64 {
        self.version
    }
    fn set_version(&mut self, version: i64) {
        self.version = version;
    }
    fn faults(&self, store: &StoreSettings) -> Vec<FieldError> {
        let mut faults = Vec::new();
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
    faults: &mut Vec<FieldError>,
) {
    length(&zone.name, LONGEST_NAME, &format!("{at}/name"), faults);
    for (c, country) in zone.countries.iter().enumerate() {
        let pointer = format!("{at}/countries/{c}");
        match promox_kernel::country(country) {
            Err(detail) if country != "*" => faults.push(FieldError::new(pointer, detail)),
            _ => once(countries, country, "this country stands in the zones already", pointer, faults),
        }
    }
    if zone.countries.is_empty() {
        faults.push(FieldError::new(format!("{at}/countries"), "a zone has at least one country, or * for all others"));
    }
    if zone.methods.is_empty() {
        faults.push(FieldError::new(format!("{at}/methods"), "a zone has at least one method"));
    }
    let mut methods = HashSet::new();
    for (m, method) in zone.methods.iter().enumerate() {
        let at = format!("{at}/methods/{m}");
        length(&method.method, LONGEST_CODE, &format!("{at}/method"), faults);
        length(&method.name, LONGEST_NAME, &format!("{at}/name"), faults);
        let pointer = format!("{at}/method");
        once(&mut methods, method.method.as_str(), "this method stands in the zone already", pointer, faults);
        method_faults(method, currency, &at, faults);
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
    let mut thresholds = HashSet::new();
    for (r, rate) in method.rates.iter().enumerate() {
        let pointer = format!("{at}/rates/{r}/from");
        once(&mut thresholds, rate.from.0.normalize(), "another rate begins here already", pointer, faults);
    }
    if !method.rates.is_empty() && !method.rates.iter().any(|rate| rate.from.is_zero()) {
        faults.push(FieldError::new(format!("{at}/rates"), "one rate begins at 0, so that every order has one"));
    }
}

impl Group for TaxSettings {
    type Change = Self;
    const NAME: &'static str = "taxes";
    fn changed(change: Self, _: &StoreSettings) -> Self {
        change
    }
    fn version(&self) -> i64 {
        self.version
    }
    fn set_version(&mut self, version: i64) {
        self.version = version;
    }
    fn faults(&self, _: &StoreSettings) -> Vec<FieldError> {
        let mut faults = Vec::new();
        length(&self.shipping_tax_class, LONGEST_CODE, "/shippingTaxClass", &mut faults);
        let mut seen = HashSet::new();
        for (r, rate) in self.rates.iter().enumerate() {
            let at = format!("/rates/{r}");
            rate_faults(rate, &at, &mut faults);
            let what = (&rate.country, rate.region.as_ref().map(|region| region.to_lowercase()), &rate.tax_class);
            once(&mut seen, what, "another rate is for the same place and class", at, &mut faults);
        }
        faults
    }
}

fn rate_faults(rate: &TaxRate, at: &str, faults: &mut Vec<FieldError>) {
    if let Err(detail) = promox_kernel::country(&rate.country) {
        faults.push(FieldError::new(format!("{at}/country"), detail));
    }
    if let Some(region) = &rate.region {
        length(region, LONGEST_NAME, &format!("{at}/region"), faults);
    }
    length(&rate.tax_class, LONGEST_CODE, &format!("{at}/taxClass"), faults);
    if !is_percent(rate.percent) {
        faults.push(FieldError::new(format!("{at}/percent"), "0 to 100 with at most 4 decimals"));
    }
}

fn length(text: &str, most: usize, at: &str, faults: &mut Vec<FieldError>) {
    if let Err(detail) = bounded(text, 1, most) {
        faults.push(FieldError::new(at, detail));
    }
}

/// Two of a kind would leave it open which of them counts.
fn once<T: Eq + Hash>(seen: &mut HashSet<T>, what: T, fault: &str, at: String, faults: &mut Vec<FieldError>) {
    if !seen.insert(what) {
        faults.push(FieldError { pointer: at, code: "DUPLICATE".into(), detail: fault.to_owned() });
    }
}

/// A language of two or three letters, and what narrows it down.
fn is_locale(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let language = parts.next().unwrap_or_default();
    let is_language = (2..=3).contains(&language.len()) && language.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_part = |part: &str| (2..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_language && tag.len() <= 12 && parts.all(is_part)
}

fn is_percent(percent: Amount) -> bool {
    !percent.is_negative() && percent.0 <= Decimal::ONE_HUNDRED && percent.0.normalize().scale() <= 4
}
