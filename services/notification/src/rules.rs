//! The rules of notifications: retries, attempt texts and locales. No storage, no clock.

use std::time::Duration;

use promox_kernel::{BackOff, Error, Timestamp};

/// Maximum failed attempts; with the pauses below, a delivery is given up after about 17 hours.
pub(crate) const MAX_ATTEMPTS: usize = 11;
/// Maximum attempts stored with a delivery, so that manual retries do not let the row grow without limit.
pub(crate) const MAX_STORED_ATTEMPTS: usize = 40;
/// How long a delivery is postponed when its details are not available.
pub(crate) const POSTPONED_PAUSE: Duration = Duration::from_secs(30);
/// Maximum length of an attempt's text in characters.
const MAX_DETAIL_LEN: usize = 300;

/// The pauses between attempts.
pub(crate) const PAUSES: BackOff = BackOff { first: Duration::from_mins(1), doublings: 10 };

/// When the next attempt is due after `failed` failures; `None` if the delivery is given up.
pub(crate) fn next_attempt_at(now: Timestamp, failed: usize, permanent: bool) -> Option<Timestamp> {
    (!permanent && failed < MAX_ATTEMPTS).then(|| now + PAUSES.after(failed))
}

/// The text of an attempt, shortened and without addresses, which must not be stored.
pub(crate) fn attempt_detail(text: &str) -> String {
    let words = text.split_whitespace().map(|word| if word.contains('@') { "<address>" } else { word });
    words.collect::<Vec<_>>().join(" ").chars().take(MAX_DETAIL_LEN).collect()
}

/// Validates and normalises a locale such as `en` or `en-GB`.
pub(crate) fn locale(text: &str) -> Result<String, Error> {
    let mut parts = text.trim().split(['-', '_']);
    let language = parts.next().unwrap_or_default().to_ascii_lowercase();
    let fault = || Error::field("/locale", "must be a language with an optional region, such as en or en-GB");
    if !(2..=3).contains(&language.len()) || !language.chars().all(|c| c.is_ascii_lowercase()) {
        return Err(fault());
    }
    let Some(region) = parts.next() else { return Ok(language) };
    let valid = (2..=8).contains(&region.len()) && region.chars().all(|c| c.is_ascii_alphanumeric());
    if !valid || parts.next().is_some() {
        return Err(fault());
    }
    Ok(format!("{language}-{}", region.to_ascii_uppercase()))
}

/// The locales to try, best first: the requested one, its language, the store's, its language, English.
pub(crate) fn locale_chain(requested: Option<&str>, store: &str) -> Vec<String> {
    let mut chain = Vec::new();
    for text in requested.into_iter().chain([store, "en"]) {
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
        assert_eq!(next_attempt_at(now, 1, false), Some(Timestamp::from_seconds(60)));
        assert_eq!(next_attempt_at(now, MAX_ATTEMPTS, false), None);
        assert_eq!(next_attempt_at(now, 1, true), None, "a permanent failure is not retried");
    }

    #[test]
    fn locales_fall_back_to_the_stores_and_to_english() {
        assert_eq!(locale_chain(Some("de_ch"), "fr-FR"), ["de-CH", "de", "fr-FR", "fr", "en"]);
        assert_eq!(locale_chain(None, "en"), ["en"]);
        assert_eq!(locale_chain(Some("../x"), "en-GB"), ["en-GB", "en"]);
        for bad in ["", "e", "english", "en-", "en-GB-x", "e1", "en/GB"] {
            assert!(locale(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_attempts_text_contains_no_address() {
        let detail = attempt_detail("550 5.1.1 <ada@example.com>:\r\n no such user");
        assert_eq!(detail, "550 5.1.1 <address> no such user");
    }
}
