//! Limits against guessing. They live in memory, bounded: their loss at a restart costs a guesser a little less time.

use std::net::{IpAddr, Ipv6Addr};

use parking_lot::Mutex;
use promox_kernel::{Cx, Email, Error, Timestamp};

use crate::bounded::Bounded;
use crate::reject;
use crate::rules::attempts::{Attempts, MESSAGES, MESSAGES_OF_NETWORK, NETWORK, PASSWORDS, Policy, TOKENS};

/// Who may be guessing is remembered for so many.
const REMEMBERED: usize = 65_536;

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
    attempts: Mutex<Bounded<Guess, Attempts>>,
}

/// A login that is being tried: it counts as failed until it is said to be good.
#[must_use]
pub(crate) struct LoginTry<'a> {
    guesses: &'a Guesses,
    guess: Guess,
}

impl Guesses {
    pub(crate) fn new(enabled: bool) -> Self {
        Self {
            enabled,
            passwords: Throttle::new(PASSWORDS),
            networks: Throttle::new(NETWORK),
            messages: Throttle::new(MESSAGES),
            messages_of_network: Throttle::new(MESSAGES_OF_NETWORK),
            tokens: Throttle::new(TOKENS),
        }
    }

    /// Counts a try at an account's password, or refuses it.
    pub(crate) fn login(&self, cx: &Cx, email: &Email) -> Result<LoginTry<'_>, Error> {
        let guess = (email.normal(), network(cx));
        if self.enabled {
            self.passwords.count(&guess, cx.now).map_err(reject::locked)?;
            self.networks.count(&(String::new(), guess.1), cx.now).map_err(|wait| {
                self.passwords.give_back(&guess);
                reject::too_many_attempts(wait)
            })?;
        }
        Ok(LoginTry { guesses: self, guess })
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
        self.tokens.give_back(&(String::new(), network(cx)));
    }
}

impl LoginTry<'_> {
    /// The password was right: the account's failures are forgotten; the network keeps those of other accounts.
    pub(crate) fn succeeded(self) {
        self.guesses.passwords.forget(&self.guess);
        self.guesses.networks.give_back(&(String::new(), self.guess.1));
    }

    /// Nobody found out whether it was right.
    pub(crate) fn came_to_nothing(self) {
        self.guesses.passwords.give_back(&self.guess);
        self.guesses.networks.give_back(&(String::new(), self.guess.1));
    }
}

impl Throttle {
    fn new(policy: Policy) -> Self {
        Self { policy, attempts: Mutex::new(Bounded::new(REMEMBERED)) }
    }

    fn count(&self, guess: &Guess, now: Timestamp) -> Result<(), std::time::Duration> {
        let mut attempts = self.attempts.lock();
        let counted = self.policy.count(attempts.get(guess), now)?;
        attempts.put(guess.clone(), counted);
        Ok(())
    }

    fn give_back(&self, guess: &Guess) {
        let mut attempts = self.attempts.lock();
        if let Some(counted) = attempts.get(guess) {
            attempts.put(guess.clone(), Attempts { failures: counted.failures.saturating_sub(1), ..counted });
        }
    }

    fn forget(&self, guess: &Guess) {
        self.attempts.lock().remove(guess);
    }
}

/// Where the client is: its address, of IPv6 the /64 that one subscriber has.
fn network(cx: &Cx) -> Option<IpAddr> {
    cx.client.map(|address| match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() >> 64 << 64)),
    })
}
