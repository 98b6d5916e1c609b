//! Password rules: a minimum and a maximum length, and not a common password. There are no rules about kinds of
//! characters.

use promox_contract::codes;
use promox_kernel::{Email, FieldError};

/// Common passwords of at least 8 characters, one per line, in lower case.
const COMMON: &str = include_str!("common_passwords.txt");

/// Sequences of the keyboard and the alphabet. A password that is part of one, in either direction, is common.
const SEQUENCES: [&str; 5] = [
    "01234567890123456789",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
];

/// Checks a new password. `email` is the account's address, which must not be the password, and `pointer` locates the
/// fault.
pub(crate) fn check(password: &str, email: Option<&Email>, pointer: &str) -> Result<(), FieldError> {
    let fault = |code: &'static str, detail: &str| Err(FieldError::coded(pointer, code, detail));
    match password.chars().count() {
        0..8 => return fault(codes::PASSWORD_TOO_SHORT, "must have at least 8 characters"),
        8..=128 => {}
        _ => return fault(codes::PASSWORD_TOO_LONG, "must have at most 128 characters"),
    }
    if is_common(password) || email.is_some_and(|email| matches_address(password, email)) {
        return fault(codes::PASSWORD_TOO_COMMON, "is among the most common passwords: choose another one");
    }
    Ok(())
}

/// Whether a password is on the list of common ones, repeats one character, or is part of a sequence.
fn is_common(password: &str) -> bool {
    let folded = password.trim().to_lowercase();
    let reversed: String = folded.chars().rev().collect();
    let mut characters = folded.chars();
    let first = characters.next();
    characters.all(|c| Some(c) == first)
        || SEQUENCES.iter().any(|sequence| sequence.contains(&folded) || sequence.contains(&reversed))
        || COMMON.lines().any(|common| common == folded)
}

/// Whether a password is the address or one of its two parts, ignoring case.
fn matches_address(password: &str, email: &Email) -> bool {
    let (folded, address) = (password.trim().to_lowercase(), email.normal());
    folded == address || address.split('@').any(|part| part == folded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_short_and_long_passwords_are_refused() {
        let email: Email = "ada.lovelace@example.com".parse().unwrap();
        let code =
            |password: &str| check(password, Some(&email), "/password").err().map(|fault| fault.code.into_owned());
        for (password, expected) in [
            ("seven77", Some("PASSWORD_TOO_SHORT")),
            ("éééáááó", Some("PASSWORD_TOO_SHORT")),
            (&"x1".repeat(65), Some("PASSWORD_TOO_LONG")),
            ("password", Some("PASSWORD_TOO_COMMON")),
            ("PassWord1", Some("PASSWORD_TOO_COMMON")),
            ("12345678", Some("PASSWORD_TOO_COMMON")),
            ("87654321", Some("PASSWORD_TOO_COMMON")),
            ("qwertyuiop", Some("PASSWORD_TOO_COMMON")),
            ("aaaaaaaaaa", Some("PASSWORD_TOO_COMMON")),
            ("ada.lovelace", Some("PASSWORD_TOO_COMMON")),
            ("Ada.Lovelace@example.com", Some("PASSWORD_TOO_COMMON")),
            ("correct horse battery staple", None),
            ("ünïcödé-wörds", None),
            (&"x1".repeat(64), None),
        ] {
            assert_eq!(code(password).as_deref(), expected, "{password}");
        }
    }

    #[test]
    fn common_passwords_are_trimmed_and_in_lower_case() {
        for line in COMMON.lines() {
            assert!(line == line.trim().to_lowercase() && line.chars().count() >= 8, "{line}");
        }
        assert!(COMMON.lines().count() > 200);
    }
}
