//! Limits against guessing. They are kept in the cache: their loss would cost a guesser a little less time.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use promox_kernel::{Cx, Email, Error, Timestamp, sha256};
use promox_storage::{Cache, CacheSpace, Change};

use crate::reject;
use crate::rules::attempts::{Attempts, MESSAGES, MESSAGES_OF_NETWORK, NETWORK, PASSWORDS, Policy, TOKENS};

/// Who may be guessing is remembered for so many of each kind.
const fn remembered(name: &'static str) -> CacheSpace {
    CacheSpace { name, most: 65_536, most_bytes: 4 << 20 }
}

/// What is tried, and from where; either may be left out.
type Guess = (String, Option<IpAddr>);

/// All limits of the service.
pub(crate) struct Guesses {
    enabled: bool,
    passwords: Throttle,
    networks: Throttle,
    messages: Throttle,
    messages_of_network: Throttle,
    tokens: Throttle,
}

struct Throttle {
    policy: Policy,
    cache: Cache,
    space: CacheSpace,
}

/// Attempts as they are kept: how many failed, and when the last did in microseconds.
type Kept = (u32, i64);

/// A login that is being tried: it counts as failed until it is said to be good.
#[must_use]
pub(crate) struct LoginTry<'a> {
    guesses: &'a Guesses,
    guess: Guess,
    now: Timestamp,
}

impl Guesses {
    pub(crate) fn new(cache: &Cache, enabled: bool) -> Self {
        let throttle = |policy, name| Throttle { policy, cache: cache.clone(), space: remembered(name) };
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
        let guess = (email.normal(), network(cx));
        if self.enabled {
            self.passwords.count(&guess, cx.now).map_err(reject::locked)?;
            self.networks.count(&(String::new(), guess.1), cx.now).map_err(|wait| {
                self.passwords.give_back(&guess, cx.now);
                reject::too_many_attempts(wait)
            })?;
        }
        Ok(LoginTry { guesses: self, guess, now: cx.now })
    }

    /// Whether a message to this address may be asked for now. It is not told: the answer is the same.
    pub(crate) fn message(&self, cx: &Cx, email: &Email) -> bool {
        !self.enabled
            || (self.messages_of_network.count(&(String::new(), network(cx)), cx.now).is_ok()
                && self.messages.count(&(email.normal(), None), cx.now).is_ok())
    }

    /// Counts a try at a token of a message, or refuses it.
    pub(crate) fn token(&self, cx: &Cx) -> Result<(), Error> {
        if self.enabled {
            self.tokens.count(&(String::new(), network(cx)), cx.now).map_err(reject::too_many_attempts)?;
        }
        Ok(())
    }

    /// The token was good.
    pub(crate) fn token_was_good(&self, cx: &Cx) {
        self.tokens.give_back(&(String::new(), network(cx)), cx.now);
    }
}

impl LoginTry<'_> {
    /// The password was right: the account's failures are forgotten; the network keeps those of other accounts.
    pub(crate) fn succeeded(self) {
        self.guesses.passwords.forget(&self.guess, self.now);
        self.guesses.networks.give_back(&(String::new(), self.guess.1), self.now);
    }

    /// Nobody found out whether it was right.
    pub(crate) fn came_to_nothing(self) {
        self.guesses.passwords.give_back(&self.guess, self.now);
        self.guesses.networks.give_back(&(String::new(), self.guess.1), self.now);
    }
}

impl Throttle {
    fn count(&self, guess: &Guess, now: Timestamp) -> Result<(), Duration> {
        self.cache.update(self.space, &key(guess), now, |before: Option<Kept>| {
            match self.policy.count(before.map(attempts), now) {
                Ok(counted) => (self.keep(counted), Ok(())),
                Err(wait) => (Change::Keep, Err(wait)),
            }
        })
    }

    fn give_back(&self, guess: &Guess, now: Timestamp) {
        self.cache.update(self.space, &key(guess), now, |before: Option<Kept>| match before.map(attempts) {
            Some(it) if it.failures > 1 => (self.keep(Attempts { failures: it.failures - 1, ..it }), ()),
            _ => (Change::Remove, ()),
        });
    }

    fn forget(&self, guess: &Guess, now: Timestamp) {
        self.cache.remove(self.space, &key(guess), now);
    }

    fn keep(&self, attempts: Attempts) -> Change<Kept> {
        Change::Put { value: (attempts.failures, attempts.last.0), until: attempts.last + self.policy.forget }
    }
}

fn attempts((failures, last): Kept) -> Attempts {
    Attempts { failures, last: Timestamp(last) }
}

/// A guess by its digest: the cache lies on a disk, and is told no addresses.
fn key((email, network): &Guess) -> Vec<u8> {
    sha256([format!("{email}\n{network:?}").as_bytes()]).to_vec()
}

/// Where the client is: its address, of IPv6 the /64 that one subscriber has.
fn network(cx: &Cx) -> Option<IpAddr> {
    cx.client.map(|address| match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() >> 64 << 64)),
    })
}
