//! Faults found while a promotion is read, each with the JSON pointer to it.

use promox_kernel::{Amount, Currency, FieldError};

use crate::rules::minor_units::Percent;

/// The most units that an action may name.
pub(crate) const MAX_UNITS: u32 = 9_999;

/// Collects faults. A value that cannot be read is noted and replaced by a harmless one, so that all faults are found at once.
#[derive(Debug)]
pub(crate) struct Faults {
    prefix: String,
    pub(crate) currency: Currency,
    list: Vec<FieldError>,
}

impl Faults {
    /// An empty collection for a document at `prefix` of the request.
    pub(crate) fn new(prefix: &str, currency: Currency) -> Self {
        Self { prefix: prefix.to_owned(), currency, list: Vec::new() }
    }

    /// Notes a fault.
    pub(crate) fn at(&mut self, pointer: &str, detail: impl Into<String>) {
        self.list.push(FieldError::new(format!("{}{pointer}", self.prefix), detail));
    }

    /// Notes a missing member.
    pub(crate) fn missing(&mut self, pointer: &str, detail: &str) {
        let pointer = format!("{}{pointer}", self.prefix);
        self.list.push(FieldError { pointer, code: "MISSING".into(), detail: detail.to_owned() });
    }

    /// Reads a part with the prefix of this document, and notes the faults that it returns.
    pub(crate) fn noting<T>(&mut self, read: impl FnOnce(&str) -> Result<T, Vec<FieldError>>) -> Option<T> {
        read(&self.prefix).map_err(|found| self.list.extend(found)).ok()
    }

    /// All faults.
    pub(crate) fn finish(self) -> Vec<FieldError> {
        self.list
    }

    /// Whether there are no faults.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Reads a percentage.
    pub(crate) fn percent(&mut self, pointer: &str, value: Option<Amount>) -> Percent {
        let Some(value) = value else {
            self.missing(pointer, "a percentage");
            return Percent::ALL;
        };
        Percent::new(value).unwrap_or_else(|| {
            self.at(pointer, "must be a percentage above 0 and at most 100, with at most 4 decimals");
            Percent::ALL
        })
    }

    /// Reads an amount above zero, in minor units.
    pub(crate) fn amount(&mut self, pointer: &str, value: Option<Amount>) -> i64 {
        let amount = self.price(pointer, value);
        if value.is_some_and(Amount::is_zero) {
            self.at(pointer, "must be an amount above zero");
        }
        amount
    }

    /// Reads a price, which may be zero, in minor units.
    pub(crate) fn price(&mut self, pointer: &str, value: Option<Amount>) -> i64 {
        let Some(value) = value else {
            self.missing(pointer, "an amount");
            return 0;
        };
        let minor = self.currency.minor_units(value);
        if minor.is_none() {
            let (code, digits) = (self.currency.code(), self.currency.exponent());
            self.at(pointer, format!("{code} allows at most {digits} digits after the point"));
        }
        if value.is_negative() {
            self.at(pointer, "must not be negative");
        }
        minor.unwrap_or(0)
    }

    /// Reads a number of units.
    pub(crate) fn units(&mut self, pointer: &str, value: Option<u32>, least: u32) -> u32 {
        match value {
            Some(value) if (least..=MAX_UNITS).contains(&value) => value,
            Some(_) => {
                self.at(pointer, format!("must be a whole number from {least} to {MAX_UNITS}"));
                least
            }
            None => {
                self.missing(pointer, "the number of units");
                least
            }
        }
    }
}
