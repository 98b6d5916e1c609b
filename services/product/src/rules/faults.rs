//! Collects the faults of one request, so that all are reported at once.

use std::borrow::Cow;

use promox_kernel::{Amount, Currency, Error, FieldError, Patch, bounded, multiline};

/// Faults so far.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<FieldError>);

impl Faults {
    pub(super) fn note(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.0.push(FieldError::new(pointer, detail));
    }

    pub(super) fn code(&mut self, pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) {
        self.0.push(FieldError { pointer: pointer.into(), code: Cow::Borrowed(code), detail: detail.into() });
    }

    pub(super) fn missing(&mut self, pointer: &str, detail: &str) {
        self.code(pointer, "MISSING", detail);
    }

    /// The value, or its fault recorded.
    pub(super) fn take<T>(&mut self, pointer: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|detail| self.note(pointer, detail)).ok()
    }

    /// A line of `least..=most` characters.
    pub(super) fn text(&mut self, pointer: &str, text: &str, least: usize, most: usize) -> Option<String> {
        self.take(pointer, bounded(text, least, most))
    }

    /// Changes a text member; null empties it if it is optional, and then it may have several lines.
    pub(super) fn member(
        &mut self,
        pointer: &str,
        patch: Patch<String>,
        member: &mut String,
        least: usize,
        most: usize,
    ) {
        match patch {
            Patch::Keep => {}
            Patch::Clear if least == 0 => member.clear(),
            Patch::Clear => self.note(pointer, "must not be null"),
            Patch::Set(text) => {
                let checked = if least == 0 { multiline(&text, least, most) } else { bounded(&text, least, most) };
                if let Some(text) = self.take(pointer, checked) {
                    *member = text;
                }
            }
        }
    }

    /// Changes a member that always has a value; null resets it to its default.
    pub(super) fn plain<T>(patch: Patch<T>, member: &mut T, default: T) {
        match patch {
            Patch::Keep => {}
            Patch::Clear => *member = default,
            Patch::Set(value) => *member = value,
        }
    }

    /// Brings an amount into the currency's scale; it must not be negative.
    pub(super) fn money(&mut self, pointer: &str, amount: &mut Amount, currency: Currency) {
        if amount.is_negative() {
            return self.note(pointer, "must not be negative");
        }
        if let Some(exact) = self.take(pointer, currency.exact(*amount)) {
            *amount = exact;
        }
    }

    /// As [`Faults::money`], for an optional amount.
    pub(super) fn money_if_any(&mut self, pointer: &str, amount: &mut Option<Amount>, currency: Currency) {
        if let Some(amount) = amount {
            self.money(pointer, amount, currency);
        }
    }

    pub(super) fn finish(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(self.into_error()) }
    }

    /// The faults as an error; there must be at least one.
    pub(super) fn into_error(self) -> Error {
        Error::invalid(self.0)
    }
}

/// A member's name as a part of a JSON pointer.
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
