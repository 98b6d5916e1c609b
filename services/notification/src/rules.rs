//! The rules of notifications: retries, attempt texts and the choice of locales. No storage, no clock.

use std::time::Duration;

use promox_kernel::{BackOff, Error, Faults, Locale, Timestamp};

use crate::api::{NotificationSettings, PatchNotificationSettings};

/// Maximum failed attempts; with the pauses below, a delivery is given up after about 17 hours.
pub(crate) const MAX_ATTEMPTS: usize = 11;
/// Maximum attempts stored with a delivery, so that manual retries do not let the row grow without limit.
pub(crate) const MAX_STORED_ATTEMPTS: usize = 40;
/// How long a delivery is postponed when its details are not available.
pub(crate) const POSTPONED_PAUSE: Duration = Duration::from_secs(30);
/// The minutes after which an unchanged cart is abandoned, unless the settings say otherwise.
pub(crate) const CART_IDLE_MINUTES: u32 = 24 * 60;
/// Maximum of these minutes: guests' carts are deleted after 30 days.
const MAX_CART_IDLE_MINUTES: u32 = 28 * 24 * 60;
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

/// Applies a patch to the message settings.
pub(crate) fn patched(
    mut settings: NotificationSettings,
    patch: &PatchNotificationSettings,
) -> Result<NotificationSettings, Error> {
    let mut faults = Faults::default();
    settings.order_received = patch.order_received.unwrap_or(settings.order_received);
    settings.cart_abandoned = patch.cart_abandoned.unwrap_or(settings.cart_abandoned);
    settings.cart_abandoned_minutes = patch.cart_abandoned_minutes.unwrap_or(settings.cart_abandoned_minutes);
    patch.quiet_hours.clone().apply(&mut settings.quiet_hours);
    if !(1..=MAX_CART_IDLE_MINUTES).contains(&settings.cart_abandoned_minutes) {
        faults.note("/cartAbandonedMinutes", format!("must be 1 to {MAX_CART_IDLE_MINUTES} minutes"));
    }
    if settings.quiet_hours.is_some_and(|hours| hours.from == hours.until) {
        faults.note("/quietHours", "must begin and end at different times");
    }
    faults.finish().map(|()| settings)
}

/// The locales to try, best first: the wanted ones, the store's, English; each followed by its language alone.
pub(crate) fn locale_chain(wanted: &[Locale], store: &str) -> Vec<Locale> {
    let mut chain = Vec::new();
    for locale in wanted.iter().cloned().chain(store.parse::<Locale>()).chain([Locale::english()]) {
        let language = locale.without_region();
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
        let chain = |wanted: &[&str], store| {
            let wanted: Vec<Locale> = wanted.iter().map(|text| text.parse().unwrap()).collect();
            locale_chain(&wanted, store).into_iter().map(|locale| locale.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(chain(&["de_ch"], "fr-FR"), ["de-CH", "de", "fr-FR", "fr", "en"]);
        assert_eq!(chain(&["it", "de-DE", "de"], "en-GB"), ["it", "de-DE", "de", "en-GB", "en"]);
        assert_eq!(chain(&[], "en"), ["en"]);
        assert_eq!(chain(&[], "zh-Hant-TW"), ["en"], "a tag that names no region of a language is passed over");
    }

    #[test]
    fn an_attempts_text_contains_no_address() {
        let detail = attempt_detail("550 5.1.1 <ada@example.com>:\r\n no such user");
        assert_eq!(detail, "550 5.1.1 <address> no such user");
    }
}
