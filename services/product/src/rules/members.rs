//! Validation of the members of a product, which notes faults instead of failing at the first one.

use promox_kernel::{Amount, Currency, Faults, Patch, bounded, multiline};

/// Validates members and notes their faults.
pub(super) trait ValidateMembers {
    /// The trimmed text, if it is a line of `min..=max` characters.
    fn text(&mut self, pointer: &str, text: &str, min: usize, max: usize) -> Option<String>;

    /// Changes a text member of `min..=max` characters. With `min` 0, null clears it and it may have several lines.
    fn member(&mut self, pointer: &str, patch: Patch<String>, member: &mut String, min: usize, max: usize);

    /// Changes a member that always has a value. Null keeps the default of a new product, and is refused for others, where
    /// it could only be a mistake.
    fn replace<T>(&mut self, pointer: &str, patch: Patch<T>, member: &mut T, is_new: bool);

    /// Brings an amount into the currency's scale. It must not be negative or have more digits.
    fn money(&mut self, pointer: &str, amount: &mut Amount, currency: Currency);

    /// Does the same as [`ValidateMembers::money`] for an amount that may be absent.
    fn money_if_any(&mut self, pointer: &str, amount: &mut Option<Amount>, currency: Currency);
}

impl ValidateMembers for Faults {
    fn text(&mut self, pointer: &str, text: &str, min: usize, max: usize) -> Option<String> {
        self.take(pointer, bounded(text, min, max))
    }

    fn member(&mut self, pointer: &str, patch: Patch<String>, member: &mut String, min: usize, max: usize) {
        match patch {
            Patch::Keep => {}
            Patch::Clear if min == 0 => member.clear(),
            Patch::Clear => self.note(pointer, "must not be null"),
            Patch::Set(text) => {
                let checked = if min == 0 { multiline(&text, min, max) } else { bounded(&text, min, max) };
                if let Some(text) = self.take(pointer, checked) {
                    *member = text;
                }
            }
        }
    }

    fn replace<T>(&mut self, pointer: &str, patch: Patch<T>, member: &mut T, is_new: bool) {
        if !(is_new && matches!(patch, Patch::Clear)) {
            patch.replace(member, pointer, self);
        }
    }

    fn money(&mut self, pointer: &str, amount: &mut Amount, currency: Currency) {
        if amount.is_negative() {
            return self.note(pointer, "must not be negative");
        }
        if let Some(exact) = self.take(pointer, currency.exact(*amount)) {
            *amount = exact;
        }
    }

    fn money_if_any(&mut self, pointer: &str, amount: &mut Option<Amount>, currency: Currency) {
        if let Some(amount) = amount {
            self.money(pointer, amount, currency);
        }
    }
}
