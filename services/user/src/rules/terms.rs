//! Search terms of users.

use std::collections::BTreeSet;

use crate::records::User;

/// Maximum terms of an account.
const MOST: usize = 12;
/// Significant characters of a term.
const LONGEST: usize = 64;

/// The terms of an account: its address, the words of its name, the digits of its phone number.
pub(crate) fn terms(user: &User) -> BTreeSet<String> {
    let address = user.email.iter().map(promox_kernel::Email::normal);
    let name = user.name.iter().flat_map(|name| words(name));
    let phone = user.phone.iter().map(|phone| phone.chars().filter(char::is_ascii_digit).collect());
    address.chain(phone).chain(name).map(|term: String| term.chars().take(LONGEST).collect()).take(MOST).collect()
}

/// The terms of a search.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(|word| word.to_lowercase().chars().take(LONGEST).collect()).take(MOST).collect()
}

/// Whether an account matches all words, each as the prefix of one of its terms.
pub(crate) fn found_by(user: &User, words: &[String]) -> bool {
    let terms = terms(user);
    words.iter().all(|word| terms.iter().any(|term| term.starts_with(word.as_str())))
}

/// The first of the account's terms that begins with `word`: of several that do, only this one represents the account
/// in a list.
pub(crate) fn first_match(user: &User, word: &str) -> Option<String> {
    terms(user).into_iter().find(|term| term.starts_with(word))
}
