//! Reads members of a product; what is wrong with them is noted.

use promox_kernel::{Amount, Currency, Faults, Patch, bounded, multiline};

/// Reads members, noting their faults.
pub(super) trait ReadMembers {
    /// A line of `least..=most` characters.
    fn text(&mut self, pointer: &str, text: &str, least: usize, most: usize) -> Option<String>;

    /// Changes a text member; null empties it where it may be empty, and then it may have several lines.
    fn member(&mut self, pointer: &str, patch: Patch<String>, member: &mut String, least: usize, most: usize);

    /// Brings an amount into the currency's scale; it is not negative.
    fn money(&mut self, pointer: &str, amount: &mut Amount, currency: Currency);

    /// [`ReadMembers::money`] for an amount that may be absent.
    fn money_if_any(&mut self, pointer: &str, amount: &mut Option<Amount>, currency: Currency);
}

impl ReadMembers for Faults {
    fn text(&mut self, pointer: &str, text: &str, least: usize, most: usize) -> Option<String> {
        self.take(pointer, bounded(text, least, most))
    }

    fn member(&mut self, pointer: &str, patch: Patch<String>, member: &mut String, least: usize, most: usize) {
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

/// Changes a member that always has a value; null gives it its default.
pub(super) fn replace_or<T>(patch: Patch<T>, member: &mut T, default: T) {
    match patch {
        Patch::Keep => {}
        Patch::Clear => *member = default,
        Patch::Set(value) => *member = value,
    }
}

/// A member's name as a part of a JSON pointer.
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
