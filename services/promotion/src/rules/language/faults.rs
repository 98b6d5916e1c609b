//! Faults found while a promotion is read, each with the JSON pointer to it.

use promox_kernel::{Amount, Currency, FieldError};

use crate::rules::minor_units::Percent;

/// Units that an action may name.
pub(crate) const MAX_UNITS: u32 = 9_999;

/// Faults so far. What cannot be read is noted and stands for something harmless, so that all faults are found at once.
#[derive(Debug)]
pub(crate) struct Faults {
    prefix: String,
    pub(crate) currency: Currency,
    list: Vec<FieldError>,
}

impl Faults {
    /// None yet, of a document that stands at `prefix` of the request.
    pub(crate) fn new(prefix: &str, currency: Currency) -> Self {
        Self { prefix: prefix.to_owned(), currency, list: Vec::new() }
    }

    /// Notes a fault.
    pub(crate) fn at(&mut self, pointer: &str, detail: impl Into<String>) {
        self.list.push(FieldError::new(format!("{}{pointer}", self.prefix), detail));
    }

    /// Notes a member that has to be there.
    pub(crate) fn missing(&mut self, pointer: &str, detail: &str) {
        let pointer = format!("{}{pointer}", self.prefix);
        self.list.push(FieldError { pointer, code: "MISSING".into(), detail: detail.to_owned() });
    }

    /// Lets a part be read at this document's pointer, and notes the faults that it is refused with.
    pub(crate) fn noting<T>(&mut self, read: impl FnOnce(&str) -> Result<T, Vec<FieldError>>) -> Option<T> {
        read(&self.prefix).map_err(|found| self.list.extend(found)).ok()
    }

    /// What was found.
    pub(crate) fn finish(self) -> Vec<FieldError> {
        self.list
    }

    /// Whether nothing was found.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// A percentage.
    pub(crate) fn percent(&mut self, pointer: &str, value: Option<Amount>) -> Percent {
        let Some(value) = value else {
            self.missing(pointer, "a percentage");
            return Percent::ALL;
        };
        Percent::new(value).unwrap_or_else(|| {
            self.at(pointer, "a percentage is above 0 and at most 100, with at most 4 decimals");
            Percent::ALL
        })
    }

    /// An amount above zero.
    pub(crate) fn amount(&mut self, pointer: &str, value: Option<Amount>) -> i64 {
        let amount = self.price(pointer, value);
        if value.is_some_and(Amount::is_zero) {
            self.at(pointer, "an amount above zero");
        }
        amount
    }

    /// A price, which may be zero.
    pub(crate) fn price(&mut self, pointer: &str, value: Option<Amount>) -> i64 {
        let Some(value) = value else {
            self.missing(pointer, "an amount");
            return 0;
        };
        let minor = self.currency.minor_units(value);
        if minor.is_none() {
            let (code, digits) = (self.currency.code(), self.currency.exponent());
            self.at(pointer, format!("{code} has {digits} digits after the point at most"));
        }
        if value.is_negative() {
            self.at(pointer, "an amount is not negative");
        }
        minor.unwrap_or(0)
    }

    /// A number of units.
    pub(crate) fn units(&mut self, pointer: &str, value: Option<u32>, least: u32) -> u32 {
        match value {
            Some(value) if (least..=MAX_UNITS).contains(&value) => value,
            Some(_) => {
                self.at(pointer, format!("{least} to {MAX_UNITS} are taken"));
                least
            }
            None => {
                self.missing(pointer, "how many");
                least
            }
        }
    }
}
