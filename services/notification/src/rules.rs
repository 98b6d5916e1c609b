//! The pure rules of notifications: retry pauses, when to give up, locales.

use std::time::Duration;

use promox_kernel::{BackOff, Error, Timestamp};

/// Attempts after which a delivery is given up: with the pauses below, after about 17 hours.
pub(crate) const MAX_ATTEMPTS: usize = 11;
/// Attempts that are kept, so that manual retries do not let a row grow without limit.
pub(crate) const KEPT_ATTEMPTS: usize = 40;
/// How long a delivery waits whose details are not available.
pub(crate) const LATER: Duration = Duration::from_secs(30);
/// Maximum length of an attempt's text.
const DETAIL_CHARS: usize = 300;

/// The pauses between attempts.
pub(crate) const PAUSES: BackOff = BackOff { first: Duration::from_mins(1), doublings: 10 };

/// When to try again after the `failed`-th failure in a row; `None` to give up.
pub(crate) fn next_try(now: Timestamp, failed: usize, permanent: bool) -> Option<Timestamp> {
    (!permanent && failed < MAX_ATTEMPTS).then(|| now + PAUSES.after(failed))
}

/// The text of an attempt: short and without addresses, which are not stored.
pub(crate) fn attempt_detail(text: &str) -> String {
    let words = text.split_whitespace().map(|word| if word.contains('@') { "<address>" } else { word });
    words.collect::<Vec<_>>().join(" ").chars().take(DETAIL_CHARS).collect()
}

/// A locale such as `en` or `en-GB`, normalised.
pub(crate) fn locale(text: &str) -> Result<String, Error> {
    let mut parts = text.trim().split(['-', '_']);
    let language = parts.next().unwrap_or_default().to_ascii_lowercase();
    let fault = || Error::field("/locale", "must be a language with an optional region, such as en or en-GB");
    if !(2..=3).contains(&language.len()) || !language.chars().all(|c| c.is_ascii_lowercase()) {
        return Err(fault());
    }
    let Some(region) = parts.next() else { return Ok(language) };
    let known = (2..=8).contains(&region.len()) && region.chars().all(|c| c.is_ascii_alphanumeric());
    if !known || parts.next().is_some() {
        return Err(fault());
    }
    Ok(format!("{language}-{}", region.to_ascii_uppercase()))
}

/// The locales to try, best first: the requested one, its language, the store's, English.
pub(crate) fn locale_chain(asked: Option<&str>, store: &str) -> Vec<String> {
    let mut chain = Vec::new();
    for text in asked.into_iter().chain([store, "en"]) {
        let Ok(locale) = locale(text) else { continue };
        let language = locale.split('-').next().unwrap_or_default().to_owned();
        for candidate in [locale, language] {
            if !chain.contains(&candidate) {
                chain.push(candidate);
            }
        }
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_until_the_delivery_is_given_up() {
        let now = Timestamp::EPOCH;
        let pauses: Vec<u64> = (1..MAX_ATTEMPTS).map(|failed| PAUSES.after(failed).as_secs() / 60).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]);
        assert_eq!(next_try(now, 1, false), Some(Timestamp::from_seconds(60)));
        assert_eq!(next_try(now, MAX_ATTEMPTS, false), None);
        assert_eq!(next_try(now, 1, true), None, "what can never work is not tried again");
    }

    #[test]
    fn locales_fall_back_to_what_the_store_speaks() {
        assert_eq!(locale_chain(Some("de_ch"), "fr-FR"), ["de-CH", "de", "fr-FR", "fr", "en"]);
        assert_eq!(locale_chain(None, "en"), ["en"]);
        assert_eq!(locale_chain(Some("../x"), "en-GB"), ["en-GB", "en"]);
        for bad in ["", "e", "english", "en-", "en-GB-x", "e1", "en/GB"] {
            assert!(locale(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_attempt_names_no_address() {
        let said = attempt_detail("550 5.1.1 <ada@example.com>:\r\n no such user");
        assert_eq!(said, "550 5.1.1 <address> no such user");
    }
}
