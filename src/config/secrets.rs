//! Secrets among the settings, which no message and no list shows.

use std::fmt;

use promox_outbound::hide_credentials;
use toml::Value;

use super::Setting;

/// Keys of secrets.
const KEYS: [&str; 9] = [
    "mail.password",
    "sms.password",
    "sms.headers",
    "payment.sandbox_webhook_secret",
    "payment.stripe_secret_key",
    "payment.stripe_webhook_secret",
    "postgres.password",
    "redis.url",
    "admin.password",
];

/// What is shown in place of a secret.
const HIDDEN: &str = "********";
/// The mask of a secret in a list of settings, as TOML.
const MASK: &str = "\"********\"";
/// Secrets with fewer characters are not looked for in messages, where they would replace parts of words.
const MIN_LEN: usize = 4;

/// Whether a setting is a secret.
pub(super) fn is_secret(key: &str) -> bool {
    KEYS.contains(&key)
}

/// Whether a setting is a secret, and set.
pub(super) fn is_masked(setting: &Setting) -> bool {
    is_secret(&setting.key) && setting.value == MASK
}

/// A value as TOML, for a list of settings: secrets and the credentials in URLs are masked.
pub(super) fn listed(key: &str, value: &Value) -> String {
    match value {
        value if is_secret(key) && value.as_str() != Some("") => MASK.to_owned(),
        value => hide_credentials(&value.to_string()),
    }
}

/// The values of secrets that were set.
#[derive(Clone, Default)]
pub(super) struct Secrets(Vec<String>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    /// Adds the value of a secret, each of its lines, and what follows a name in a line, as in a header.
    pub(super) fn add(&mut self, value: &str) {
        let lines = value.lines().flat_map(|line| [Some(line), line.split_once(':').map(|(_, value)| value)]);
        let texts = lines.flatten().chain([value]).map(str::trim);
        self.0.extend(texts.filter(|text| text.chars().count() >= MIN_LEN).map(str::to_owned));
        self.0.sort_by_key(|text| std::cmp::Reverse(text.len()));
        self.0.dedup();
    }

    /// A message without the values of secrets and the credentials in URLs.
    pub(super) fn hide(&self, message: &str) -> String {
        self.0.iter().fold(hide_credentials(message), |message, secret| message.replace(secret.as_str(), HIDDEN))
    }
}
