//! Search terms of accounts.

use std::collections::BTreeSet;

use crate::records::User;

/// Maximum terms of an account or a search.
const MAX_TERMS: usize = 12;
/// Maximum characters of a term. Further ones are ignored.
const MAX_TERM_LEN: usize = 64;

/// The terms of an account: its e-mail address, the words of its name, and the digits of its phone number.
pub(crate) fn terms(user: &User) -> BTreeSet<String> {
    let address = user.email.iter().map(promox_kernel::Email::normal);
    let name = user.name.iter().flat_map(|name| words(name));
    let phone = user.phone.iter().map(|phone| phone.chars().filter(char::is_ascii_digit).collect());
    address
        .chain(phone)
        .chain(name)
        .map(|term: String| term.chars().take(MAX_TERM_LEN).collect())
        .take(MAX_TERMS)
        .collect()
}

/// The terms of a search.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split_whitespace()
        .map(|word| word.to_lowercase().chars().take(MAX_TERM_LEN).collect())
        .take(MAX_TERMS)
        .collect()
}

/// Whether every word is a prefix of one of the account's terms.
pub(crate) fn matches_all(user: &User, words: &[String]) -> bool {
    let terms = terms(user);
    words.iter().all(|word| terms.iter().any(|term| term.starts_with(word.as_str())))
}

/// The first of the account's terms that begins with `word`. A list shows the account only for this one, so that it
/// does not appear twice.
pub(crate) fn first_match(user: &User, word: &str) -> Option<String> {
    terms(user).into_iter().find(|term| term.starts_with(word))
}
