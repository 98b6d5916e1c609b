//! Throttles that limit guessing of passwords and tokens, and requests for messages.

use std::time::Duration;

use promox_kernel::{Cx, Email, Error, Timestamp};
use promox_storage::{Cache, CacheSpace, Pace, Throttle};

use crate::reject;

/// A pace with `free` failures before the client must wait, and with a lock of 15 minutes after `lock_at` failures. All
/// failures are forgotten after an hour without one.
const fn pace(free: u32, lock_at: u32) -> Pace {
    Pace::Doubling { free, lock_at, lock: Duration::from_mins(15), forget: Duration::from_hours(1) }
}

/// Failed passwords of one account from one network.
const PASSWORDS: Pace = pace(5, 10);
/// Failed passwords of all accounts from one network, which may be a whole office.
const NETWORK: Pace = pace(100, 105);
/// Messages requested for one address.
const MESSAGES: Pace = pace(5, 5);
/// Messages requested by one network.
const MESSAGES_OF_NETWORK: Pace = pace(50, 50);
/// Failed one-time tokens from one network.
const TOKENS: Pace = pace(20, 20);

/// The part of the cache that one throttle uses.
const fn cache_space(name: &'static str) -> CacheSpace {
    CacheSpace { name, max_entries: 65_536, max_bytes: 4 << 20 }
}

/// The throttles of the service.
pub(crate) struct GuessThrottle {
    enabled: bool,
    passwords: Throttle,
    networks: Throttle,
    messages: Throttle,
    messages_of_network: Throttle,
    tokens: Throttle,
}

/// An attempt to log in. It counts as failed until it is marked as successful.
#[must_use]
pub(crate) struct LoginAttempt<'a> {
    throttle: &'a GuessThrottle,
    /// The key of the account and network in `passwords`.
    account: String,
    /// The key of the network in `networks`.
    network: String,
    now: Timestamp,
}

impl GuessThrottle {
    pub(crate) fn new(cache: &Cache, enabled: bool) -> Self {
        let throttle = |pace, name| Throttle::new(cache, cache_space(name), pace);
        Self {
            enabled,
            passwords: throttle(PASSWORDS, "logins"),
            networks: throttle(NETWORK, "logins of a network"),
            messages: throttle(MESSAGES, "messages"),
            messages_of_network: throttle(MESSAGES_OF_NETWORK, "messages of a network"),
            tokens: throttle(TOKENS, "tokens of messages"),
        }
    }

    /// Counts an attempt at an account's password, or refuses it if there were too many.
    pub(crate) async fn login(&self, cx: &Cx, email: &Email) -> Result<LoginAttempt<'_>, Error> {
        let network = cx.network_key();
        let account = format!("{}\n{network}", email.normal());
        if self.enabled {
            self.passwords.count(&account, cx.now).await.map_err(reject::locked)?;
            if let Err(wait) = self.networks.count(&network, cx.now).await {
                self.passwords.uncount(&account, cx.now).await;
                return Err(reject::too_many_attempts(wait));
            }
        }
        Ok(LoginAttempt { throttle: self, account, network, now: cx.now })
    }

    /// Counts a request for a message to an address. Returns whether it may be sent. The caller gets the same reply
    /// either way, so that it reveals nothing.
    pub(crate) async fn message(&self, cx: &Cx, email: &Email) -> bool {
        !self.enabled
            || (self.messages_of_network.count(&cx.network_key(), cx.now).await.is_ok()
                && self.messages.count(&email.normal(), cx.now).await.is_ok())
    }

    /// Counts an attempt at a one-time token, or refuses it if there were too many.
    pub(crate) async fn token(&self, cx: &Cx) -> Result<(), Error> {
        if self.enabled {
            self.tokens.count(&cx.network_key(), cx.now).await.map_err(reject::too_many_attempts)?;
        }
        Ok(())
    }

    /// Marks the last attempt at a token as successful.
    pub(crate) async fn token_succeeded(&self, cx: &Cx) {
        self.tokens.uncount(&cx.network_key(), cx.now).await;
    }
}

impl LoginAttempt<'_> {
    /// Marks the attempt as successful. This resets the account's failures, but keeps those of other accounts in the
    /// network.
    pub(crate) async fn succeeded(self) {
        self.throttle.passwords.forget(&self.account, self.now).await;
        self.throttle.networks.uncount(&self.network, self.now).await;
    }

    /// Withdraws the attempt because its outcome is unknown.
    pub(crate) async fn withdraw(self) {
        self.throttle.passwords.uncount(&self.account, self.now).await;
        self.throttle.networks.uncount(&self.network, self.now).await;
    }
}
