//! How to reach a Redis server.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The address of a Redis server, and how long calls may take.
#[derive(Clone)]
pub struct RedisOptions {
    /// The address: `redis://user:password@host:6379/0`, `rediss://…` for TLS, or `unix:///path?user=…&pass=…`.
    pub url: String,
    /// A PEM file with the certificates of the authorities that may have issued the server's certificate. By default
    /// these are the public ones. Only for `rediss://`.
    pub ca_file: Option<PathBuf>,
    /// The deadline of each call, including a connection that has to be opened.
    pub timeout: Duration,
    /// The first part of every key, made of letters, digits, `-`, `_` and `.`. Shops that share a server need different
    /// ones.
    pub prefix: String,
}

impl RedisOptions {
    /// The default of [`timeout`](Self::timeout).
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_millis(50);

    /// Creates options with the default timeout, and `promox` as the prefix.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ca_file: None, timeout: Self::DEFAULT_TIMEOUT, prefix: "promox".to_owned() }
    }

    pub(super) fn has_valid_prefix(&self) -> bool {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !self.prefix.is_empty() && self.prefix.bytes().all(allowed)
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may contain a password.
        let Self { url: _, ca_file, timeout, prefix } = self;
        f.debug_struct("RedisOptions")
            .field("ca_file", ca_file)
            .field("timeout", timeout)
            .field("prefix", prefix)
            .finish_non_exhaustive()
    }
}

/// Why Redis cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisProblem {
    /// The options are invalid.
    InvalidOptions(String),
    /// The server refuses the user, the password or a command.
    Refused(String),
    /// The server cannot be reached, or did not reply in time.
    Unreachable(String),
}

impl fmt::Display for RedisProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidOptions(why) | Self::Refused(why) | Self::Unreachable(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for RedisProblem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_have_no_characters_that_redis_interprets() {
        for (prefix, valid) in [("promox", true), ("shop-2_b.eu", true), ("", false), ("{a}", false), ("a:b", false)] {
            let options = RedisOptions { prefix: prefix.to_owned(), ..RedisOptions::new("redis://localhost") };
            assert_eq!(options.has_valid_prefix(), valid, "{prefix}");
        }
    }

    #[test]
    fn the_password_is_not_printed() {
        assert!(!format!("{:?}", RedisOptions::new("redis://ada:secret@localhost")).contains("secret"));
    }
}
