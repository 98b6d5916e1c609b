//! Collects the faults found while a promotion is compiled, each with its JSON pointer.

use promox_kernel::{Amount, Currency, Faults, FieldError};

use crate::rules::minor_units::Percent;

/// Maximum units that an action may name.
pub(crate) const MAX_UNITS: u32 = 9_999;

/// The faults of a document whose amounts are in one currency. An invalid value is noted and replaced by a harmless
/// one, so that all faults are found at once.
#[derive(Debug)]
pub(crate) struct DocumentFaults {
    faults: Faults,
    pub(crate) currency: Currency,
}

impl DocumentFaults {
    /// Starts without faults, for a document at the JSON pointer `prefix` of the request.
    pub(crate) fn new(prefix: &str, currency: Currency) -> Self {
        Self { faults: Faults::below(prefix), currency }
    }

    /// Notes a fault.
    pub(crate) fn note(&mut self, pointer: &str, detail: impl Into<String>) {
        self.faults.note(pointer, detail);
    }

    /// Notes a fault that compares a member with others.
    pub(crate) fn compared(&mut self, pointer: &str, others: &[&str], detail: impl Into<String>) {
        self.faults.compared(pointer, others, detail);
    }

    /// Notes a missing member.
    pub(crate) fn missing(&mut self, pointer: &str, detail: &str) {
        self.faults.missing(pointer, detail);
    }

    /// Reads a part with the prefix of this document. If it returns faults, they are added.
    pub(crate) fn read<T>(&mut self, read: impl FnOnce(&str) -> Result<T, Vec<FieldError>>) -> Option<T> {
        self.faults.read(read)
    }

    /// Whether there are no faults.
    pub(crate) fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// The faults in the order in which they were found.
    pub(crate) fn into_list(self) -> Vec<FieldError> {
        self.faults.into_list()
    }

    /// Reads a percentage.
    pub(crate) fn percent(&mut self, pointer: &str, value: Option<Amount>) -> Percent {
        let Some(value) = value else {
            self.missing(pointer, "a percentage");
            return Percent::ALL;
        };
        Percent::new(value).unwrap_or_else(|| {
            self.note(pointer, "must be a percentage above 0 and at most 100, with at most 4 decimals");
            Percent::ALL
        })
    }

    /// Reads an amount above zero, in minor units.
    pub(crate) fn amount(&mut self, pointer: &str, value: Option<Amount>) -> i64 {
        let amount = self.price(pointer, value);
        if value.is_some_and(Amount::is_zero) {
            self.note(pointer, "must be an amount above zero");
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
            self.note(pointer, format!("{code} allows at most {digits} digits after the point"));
        }
        if value.is_negative() {
            self.note(pointer, "must not be negative");
        }
        minor.unwrap_or(0)
    }

    /// Reads a number of units, at least `least`.
    pub(crate) fn units(&mut self, pointer: &str, value: Option<u32>, least: u32) -> u32 {
        match value {
            Some(value) if (least..=MAX_UNITS).contains(&value) => value,
            Some(_) => {
                self.note(pointer, format!("must be a whole number from {least} to {MAX_UNITS}"));
                least
            }
            None => {
                self.missing(pointer, "the number of units");
                least
            }
        }
    }
}
