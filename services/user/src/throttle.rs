//! Throttles against guessing passwords and tokens, and against requesting messages.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use promox_kernel::{Cx, Email, Error, Timestamp};
use promox_storage::{Cache, CacheSpace, Pace, Throttle};

use crate::reject;

/// The failures without a wait, and those that lock for 15 minutes; all are forgotten after an hour without one.
const fn pace(free: u32, lock_at: u32) -> Pace {
    Pace::Doubling { free, lock_at, lock: Duration::from_mins(15), forget: Duration::from_hours(1) }
}

/// Passwords of one account from one network.
const PASSWORDS: Pace = pace(5, 10);
/// Passwords of any accounts from one network, which may be a whole office.
const NETWORK: Pace = pace(100, 105);
/// Messages requested for one address.
const MESSAGES: Pace = pace(5, 5);
/// Messages requested by one network.
const MESSAGES_OF_NETWORK: Pace = pace(50, 50);
/// Message tokens tried by one network.
const TOKENS: Pace = pace(20, 20);

/// At most this many clients of each kind are remembered.
const fn remembered(name: &'static str) -> CacheSpace {
    CacheSpace { name, most: 65_536, most_bytes: 4 << 20 }
}

/// All throttles of the service.
pub(crate) struct GuessThrottle {
    enabled: bool,
    passwords: Throttle,
    networks: Throttle,
    messages: Throttle,
    messages_of_network: Throttle,
    tokens: Throttle,
}

/// A login attempt: it counts as failed until it is marked as successful.
#[must_use]
pub(crate) struct LoginAttempt<'a> {
    throttle: &'a GuessThrottle,
    account: String,
    network: String,
    now: Timestamp,
}

impl GuessThrottle {
    pub(crate) fn new(cache: &Cache, enabled: bool) -> Self {
        let throttle = |pace, name| Throttle::new(cache, remembered(name), pace);
        Self {
            enabled,
            passwords: throttle(PASSWORDS, "logins"),
            networks: throttle(NETWORK, "logins of a network"),
            messages: throttle(MESSAGES, "messages"),
            messages_of_network: throttle(MESSAGES_OF_NETWORK, "messages of a network"),
            tokens: throttle(TOKENS, "tokens of messages"),
        }
    }

    /// Counts an attempt at an account's password, or refuses it.
    pub(crate) async fn login(&self, cx: &Cx, email: &Email) -> Result<LoginAttempt<'_>, Error> {
        let (account, network) = (format!("{}\n{:?}", email.normal(), self::network(cx)), key(cx));
        if self.enabled {
            self.passwords.count(&account, cx.now).await.map_err(reject::locked)?;
            if let Err(wait) = self.networks.count(&network, cx.now).await {
                self.passwords.give_back(&account, cx.now).await;
                return Err(reject::too_many_attempts(wait));
            }
        }
        Ok(LoginAttempt { throttle: self, account, network, now: cx.now })
    }

    /// Whether a message to this address may be requested now. The client is not told: the reply is the same.
    pub(crate) async fn message(&self, cx: &Cx, email: &Email) -> bool {
        !self.enabled
            || (self.messages_of_network.count(&key(cx), cx.now).await.is_ok()
                && self.messages.count(&email.normal(), cx.now).await.is_ok())
    }

    /// Counts an attempt at a token from a message, or refuses it.
    pub(crate) async fn token(&self, cx: &Cx) -> Result<(), Error> {
        if self.enabled {
            self.tokens.count(&key(cx), cx.now).await.map_err(reject::too_many_attempts)?;
        }
        Ok(())
    }

    /// Marks the token attempt as successful.
    pub(crate) async fn token_succeeded(&self, cx: &Cx) {
        self.tokens.give_back(&key(cx), cx.now).await;
    }
}

impl LoginAttempt<'_> {
    /// The password was right: the account's failures are reset; the network keeps those of other accounts.
    pub(crate) async fn succeeded(self) {
        self.throttle.passwords.forget(&self.account, self.now).await;
        self.throttle.networks.give_back(&self.network, self.now).await;
    }

    /// Withdraws an attempt whose outcome is unknown.
    pub(crate) async fn withdraw(self) {
        self.throttle.passwords.give_back(&self.account, self.now).await;
        self.throttle.networks.give_back(&self.network, self.now).await;
    }
}

/// The client's network, as a key.
fn key(cx: &Cx) -> String {
    format!("{:?}", network(cx))
}

/// The client's network: its address, or for IPv6 the /64 of one subscriber.
fn network(cx: &Cx) -> Option<IpAddr> {
    cx.client.map(|address| match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() >> 64 << 64)),
    })
}
