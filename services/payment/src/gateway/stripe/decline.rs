//! Stripe's codes in the form of this service's codes.

/// A code of Stripe's in upper case, at most 64 characters.
pub(super) fn upper_snake(code: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    code.chars().map(|c| if is_word(c) { c.to_ascii_uppercase() } else { '_' }).take(64).collect()
}
