//! The rules of carts: quantities, codes, lifetimes and merges. No storage, no clock.

use std::time::Duration;

use promox_kernel::{Email, Error, FieldError, Timestamp, bounded, sha256};

/// Maximum units of a line.
pub(crate) const MAX_UNITS: u32 = 9_999;
/// Maximum lines of a cart: above the largest real invoice, far below the limit of a transaction.
pub(crate) const MAX_LINES: u32 = 1_000;
/// Maximum coupons of a cart.
pub(crate) const MAX_COUPONS: usize = 10;
/// The time from the last change of a cart to its `idle_at`.
const IDLE: Duration = Duration::from_hours(24);
/// How long a guest's cart may be idle before it is deleted.
const GUEST_LIFE: Duration = Duration::from_hours(720);

/// For how long an address that was reminded of one cart is reminded of no other.
pub(crate) const REMINDER_PAUSE: Duration = Duration::from_hours(7 * 24);

/// Validates a quantity.
pub(crate) fn quantity(sent: u32) -> Result<u32, Error> {
    if (1..=MAX_UNITS).contains(&sent) {
        Ok(sent)
    } else {
        Err(Error::field("/quantity", format!("must be 1 to {MAX_UNITS}")))
    }
}

/// The quantity of a line after `more` units are added to it; refused above [`MAX_UNITS`].
pub(crate) fn added(before: u32, more: u32) -> Result<u32, Error> {
    let sum = before.saturating_add(more);
    if sum > MAX_UNITS {
        let detail = format!("a line holds at most {MAX_UNITS} units; {before} are in it already");
        return Err(Error::field("/quantity", detail));
    }
    Ok(sum)
}

/// The quantity of a line after a guest's line is merged into it: the sum, capped at the available stock and at
/// [`MAX_UNITS`]. A merge never reduces a line, even one that already exceeds the stock.
pub(crate) fn merged(own: u32, guest: u32, available: u32) -> u32 {
    own.saturating_add(guest).min(available).min(MAX_UNITS).max(own)
}

/// Validates a promotion code; a blank one counts as none.
pub(crate) fn promotion_code(sent: Option<String>) -> Result<Option<String>, Error> {
    match sent {
        Some(code) if code.trim().is_empty() => Ok(None),
        Some(code) => one_code("/promotionCode", &code).map(Some),
        None => Ok(None),
    }
}

/// Validates coupon codes and removes duplicates.
pub(crate) fn coupon_codes(sent: &[String]) -> Result<Vec<String>, Error> {
    if sent.len() > MAX_COUPONS {
        return Err(Error::field("/couponCodes", format!("must have at most {MAX_COUPONS} coupons")));
    }
    let mut codes = Vec::new();
    for (index, code) in sent.iter().enumerate() {
        let code = one_code(&format!("/couponCodes/{index}"), code)?;
        add_code(&mut codes, code);
    }
    Ok(codes)
}

/// Adds a code unless the list is full or contains it. Case and separators are ignored in the comparison.
pub(crate) fn add_code(codes: &mut Vec<String>, code: String) {
    if codes.len() < MAX_COUPONS && !codes.iter().any(|known| normalized(known) == normalized(&code)) {
        codes.push(code);
    }
}

fn one_code(pointer: &str, code: &str) -> Result<String, Error> {
    bounded(code, 1, 64).map_err(|detail| Error::invalid(vec![FieldError::new(pointer, detail)]))
}

fn normalized(code: &str) -> String {
    code.chars().filter(|c| !matches!(c, ' ' | '-' | '_')).flat_map(char::to_uppercase).collect()
}

/// Refuses a reminder that the guest did not agree to.
pub(crate) fn agreement(agreed: bool) -> Result<(), Error> {
    let fault = "must be true: a guest is reminded only after agreeing to it";
    if agreed { Ok(()) } else { Err(Error::field("/agreed", fault)) }
}

/// The SHA-256 of a guest's token, which is stored instead of the token.
pub(crate) fn token_hash(token: &str) -> Vec<u8> {
    sha256([token.as_bytes()]).to_vec()
}

/// The SHA-256 of an address that was reminded, which is stored instead of the address. All its plus tags are one address,
/// because one person reads them.
pub(crate) fn address_hash(email: &Email) -> Vec<u8> {
    sha256([email.mailbox().as_bytes()]).to_vec()
}

/// The `idle_at` of a cart that is changed now; `None` for a cart without lines.
pub(crate) fn idle_at(now: Timestamp, lines: u32) -> Option<Timestamp> {
    (lines > 0).then_some(now + IDLE)
}

/// The latest `idle_at` of the carts that are abandoned now, if a cart must be idle for `minutes`.
pub(crate) fn abandoned_before(now: Timestamp, minutes: u32) -> Timestamp {
    now + IDLE - Duration::from_secs(u64::from(minutes) * 60)
}

/// When a guest's cart that is changed now is deleted.
pub(crate) fn expires_at(now: Timestamp) -> Timestamp {
    now + GUEST_LIFE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_is_capped_at_the_stock_and_never_reduces_a_line() {
        for (own, guest, available, want) in
            [(0, 2, 10, 2), (3, 2, 10, 5), (3, 9, 10, 10), (0, 2, 0, 0), (8, 2, 6, 8), (9_000, 9_000, u32::MAX, 9_999)]
        {
            assert_eq!(merged(own, guest, available), want, "{own} + {guest} of {available}");
        }
    }

    #[test]
    fn quantities_are_one_to_9999() {
        assert!(quantity(0).is_err() && quantity(10_000).is_err());
        assert_eq!((quantity(1).unwrap(), quantity(9_999).unwrap()), (1, 9_999));
        assert_eq!(added(9_000, 999).unwrap(), 9_999);
        assert!(added(9_000, 1_000).is_err() && added(u32::MAX, 1).is_err());
    }

    #[test]
    fn coupon_codes_that_differ_only_in_case_and_separators_are_duplicates() {
        let codes = ["SAVE-10".to_owned(), "save 10".to_owned(), "OTHER".to_owned()];
        assert_eq!(coupon_codes(&codes).unwrap(), ["SAVE-10", "OTHER"]);
        assert!(coupon_codes(&vec!["A".to_owned(); 11]).is_err());
        assert!(coupon_codes(&[String::new()]).is_err());
        assert_eq!(promotion_code(Some("  ".to_owned())).unwrap(), None);
    }
}
