//! Validates codes, and names coupons in events and the audit trail by digests of their codes.

use promox_contract::coupon::normal_code;
use promox_kernel::{hex, sha256};

/// Random characters of a generated code by default.
pub(crate) const DEFAULT_LENGTH: usize = 12;

/// Maximum characters of a code as written.
const MAX_WRITTEN: usize = 64;

/// The number of characters of a code in normal form.
const NORMAL_LEN: std::ops::RangeInclusive<usize> = 3..=40;

/// Characters that could break a URL path or a CSV file.
const FORBIDDEN: &str = "/\\?#%\"'<>,;";

/// Validates a code. Returns it as written and in normal form, or a message that describes the fault.
pub(crate) fn check(text: &str) -> Result<(String, String), String> {
    let written = text.trim();
    if let Some(bad) = written.chars().find(|c| c.is_control() || FORBIDDEN.contains(*c)) {
        return Err(format!("a code must not contain {bad:?}"));
    }
    let normal = normal_code(written);
    let length = normal.chars().count();
    if !NORMAL_LEN.contains(&length) || written.chars().count() > MAX_WRITTEN {
        return Err(format!(
            "a code must have {} to {} characters, not counting spaces, - and _",
            NORMAL_LEN.start(),
            NORMAL_LEN.end()
        ));
    }
    Ok((written.to_owned(), normal))
}

/// The first sixteen bytes of the SHA-256 digest of a text, in hexadecimal.
pub(crate) fn fingerprint(text: &str) -> String {
    sha256([text.as_bytes()]).first_chunk::<16>().map_or_else(String::new, |half| hex(half))
}

/// A coupon's name in the audit trail. It is a digest, because the code itself is worth money.
pub(crate) fn subject(normal: &str) -> String {
    format!("coupon:{}", fingerprint(normal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_compared_without_case_and_separators() {
        for (text, normal) in [("welcome-100", "WELCOME100"), (" Sum mer_24 ", "SUMMER24"), ("été 2026", "ÉTÉ2026")]
        {
            assert_eq!(check(text).unwrap().1, normal);
        }
    }

    #[test]
    fn codes_with_invalid_lengths_or_characters_are_refused() {
        for bad in ["", "--", "ab", "a/b", "a\u{7}bc", "50%off", &"x".repeat(41), &"a-".repeat(33)] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_subject_does_not_show_the_code() {
        assert!(!subject("WELCOME100").contains("WELCOME") && subject("A1").len() == 7 + 32);
    }
}
