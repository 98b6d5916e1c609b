//! Limits on guessing passwords and tokens, and on asking for messages.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use promox_kernel::{Cx, Email, Error, Timestamp};
use promox_storage::{Cache, CacheSpace, Pace, Throttle};

use crate::reject;

/// Failures that cost nothing, the failures that lock, and how long; all are forgotten after an hour without one.
const fn pace(free: u32, lock_at: u32) -> Pace {
    Pace::Doubling { free, lock_at, lock: Duration::from_mins(15), forget: Duration::from_hours(1) }
}

/// Passwords of one account from one network.
const PASSWORDS: Pace = pace(5, 10);
/// Passwords of any accounts from one network, which offices share.
const NETWORK: Pace = pace(100, 105);
/// Messages asked for to one address.
const MESSAGES: Pace = pace(5, 5);
/// Messages asked for by one network.
const MESSAGES_OF_NETWORK: Pace = pace(50, 50);
/// Tokens of messages tried by one network.
const TOKENS: Pace = pace(20, 20);

/// So many clients of each kind are remembered.
const fn remembered(name: &'static str) -> CacheSpace {
    CacheSpace { name, most: 65_536, most_bytes: 4 << 20 }
}

/// All limits of the service.
pub(crate) struct GuessThrottle {
    enabled: bool,
    passwords: Throttle,
    networks: Throttle,
    messages: Throttle,
    messages_of_network: Throttle,
    tokens: Throttle,
}

/// A login that is being tried: it counts as failed until it is said to be good.
#[must_use]
pub(crate) struct LoginTry<'a> {
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

    /// Counts a try at an account's password, or refuses it.
    pub(crate) fn login(&self, cx: &Cx, email: &Email) -> Result<LoginTry<'_>, Error> {
        let (account, network) = (format!("{}\n{:?}", email.normal(), self::network(cx)), key(cx));
        if self.enabled {
            self.passwords.count(&account, cx.now).map_err(reject::locked)?;
            self.networks.count(&network, cx.now).map_err(|wait| {
                self.passwords.give_back(&account, cx.now);
                reject::too_many_attempts(wait)
            })?;
        }
        Ok(LoginTry { throttle: self, account, network, now: cx.now })
    }

    /// Whether a message to this address may be asked for now. The caller does not learn it: the answer is the same.
    pub(crate) fn message(&self, cx: &Cx, email: &Email) -> bool {
        !self.enabled
            || (self.messages_of_network.count(&key(cx), cx.now).is_ok()
                && self.messages.count(&email.normal(), cx.now).is_ok())
    }

    /// Counts a try at a token of a message, or refuses it.
    pub(crate) fn token(&self, cx: &Cx) -> Result<(), Error> {
        if self.enabled {
            self.tokens.count(&key(cx), cx.now).map_err(reject::too_many_attempts)?;
        }
        Ok(())
    }

    /// The token was good.
    pub(crate) fn token_was_good(&self, cx: &Cx) {
        self.tokens.give_back(&key(cx), cx.now);
    }
}

impl LoginTry<'_> {
    /// The password was right: the account's failures are forgotten; the network keeps those of other accounts.
    pub(crate) fn succeeded(self) {
        self.throttle.passwords.forget(&self.account, self.now);
        self.throttle.networks.give_back(&self.network, self.now);
    }

    /// Nobody found out whether it was right.
    pub(crate) fn came_to_nothing(self) {
        self.throttle.passwords.give_back(&self.account, self.now);
        self.throttle.networks.give_back(&self.network, self.now);
    }
}

/// The client's network, as a name.
fn key(cx: &Cx) -> String {
    format!("{:?}", network(cx))
}

/// Where the client is: its address, of IPv6 the /64 that one subscriber has.
fn network(cx: &Cx) -> Option<IpAddr> {
    cx.client.map(|address| match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() >> 64 << 64)),
    })
}
