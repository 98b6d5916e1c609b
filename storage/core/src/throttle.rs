//! Limits on guessing: a client with too many failures has to wait.
//!
//! Failures are kept in the cache, by a digest of the client; losing them costs a guesser a little less time. The
//! message of a refusal is the service's.

use std::time::Duration;

use promox_kernel::{BackOff, Timestamp, sha256};
use serde::{Deserialize, Serialize};

use crate::{Cache, CacheSpace, Change};

/// Maximum right guesses that are remembered for a client with wrong ones.
const MAX_RIGHT: usize = 64;
/// The pauses between failures that cost nothing and the lock.
const DOUBLING: BackOff = BackOff { first: Duration::from_secs(1), doublings: 16 };

/// The price of failures.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// A number of failures in a window that begins with the first; then none until it ends.
    Window {
        /// Maximum failures.
        most: u32,
        /// How long a window is.
        span: Duration,
    },
    /// Pauses after each failure, doubling from one second, and then a lock.
    Doubling {
        /// Failures that cost nothing.
        free: u32,
        /// From this many failures on, the pause is `lock`.
        lock_at: u32,
        /// The longest pause.
        lock: Duration,
        /// After this long without a failure all are forgotten.
        forget: Duration,
    },
}

/// The failures of one client.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Tries {
    /// When the first failed, in microseconds.
    first: i64,
    /// When the last failed, in microseconds.
    last: i64,
    failures: u32,
    /// Digests of the wrong guesses, where they are distinguished.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    wrong: Vec<u32>,
    /// Digests of right guesses of a client with wrong ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    right: Vec<u32>,
}

impl Tries {
    fn new(now: Timestamp) -> Self {
        Self { first: now.0, last: now.0, failures: 0, wrong: Vec::new(), right: Vec::new() }
    }

    fn failed(&mut self, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        self.last = now.0;
    }

    fn knows(&self, guess: u32) -> bool {
        self.wrong.contains(&guess) || self.right.contains(&guess)
    }
}

impl Pace {
    /// When the failures are forgotten.
    fn ends(self, tries: &Tries) -> Timestamp {
        match self {
            Self::Window { span, .. } => Timestamp(tries.first) + span,
            Self::Doubling { forget, .. } => Timestamp(tries.last) + forget,
        }
    }

    /// How long the next try has to wait.
    fn wait(self, tries: &Tries, now: Timestamp) -> Duration {
        match self {
            Self::Window { most, span } if tries.failures >= most => {
                span.saturating_sub(now.since(Timestamp(tries.first)))
            }
            Self::Window { .. } => Duration::ZERO,
            Self::Doubling { free, lock_at, lock, .. } => {
                let pause = match tries.failures {
                    few if few < free => Duration::ZERO,
                    some if some < lock_at => DOUBLING.after(some - free + 1).min(lock),
                    _ => lock,
                };
                pause.saturating_sub(now.since(Timestamp(tries.last)))
            }
        }
    }

    fn check(self, tries: &Tries, now: Timestamp) -> Result<(), Duration> {
        let wait = self.wait(tries, now);
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }
}

/// One limit on guessing.
#[derive(Clone, Debug)]
pub struct Throttle {
    cache: Cache,
    space: CacheSpace,
    pace: Pace,
}

impl Throttle {
    /// A limit whose failures are kept in a space of the cache.
    pub fn new(cache: &Cache, space: CacheSpace, pace: Pace) -> Self {
        Self { cache: cache.clone(), space, pace }
    }

    /// Refuses a client that has to wait, and says how long.
    pub async fn check(&self, client: &str, now: Timestamp) -> Result<(), Duration> {
        self.tries(client, now).await.map_or(Ok(()), |tries| self.pace.check(&tries, now))
    }

    /// Refuses a client that has to wait, unless it only repeats guesses that were made before, which tell nothing new.
    pub async fn check_guesses<G: AsRef<str> + Sync>(
        &self,
        client: &str,
        guesses: &[G],
        now: Timestamp,
    ) -> Result<(), Duration> {
        let Some(tries) = self.tries(client, now).await else { return Ok(()) };
        let checked = self.pace.check(&tries, now);
        if checked.is_err() && digests(guesses).into_iter().all(|guess| tries.knows(guess)) { Ok(()) } else { checked }
    }

    /// Counts a failure.
    pub async fn fail(&self, client: &str, now: Timestamp) {
        self.cache
            .update(self.space, &key(client), now, |before: Option<Tries>| {
                let mut tries = self.live(before, now).unwrap_or_else(|| Tries::new(now));
                tries.failed(now);
                (self.keep(tries), ())
            })
            .await;
    }

    /// Counts a try as failed until it is known to be good, or refuses it and says how long to wait. Tries at once are
    /// counted each.
    pub async fn count(&self, client: &str, now: Timestamp) -> Result<(), Duration> {
        self.cache
            .update(self.space, &key(client), now, |before: Option<Tries>| {
                let mut tries = self.live(before, now).unwrap_or_else(|| Tries::new(now));
                match self.pace.check(&tries, now) {
                    Ok(()) => {
                        tries.failed(now);
                        (self.keep(tries), Ok(()))
                    }
                    Err(wait) => (Change::Keep, Err(wait)),
                }
            })
            .await
    }

    /// Takes back a try that was counted and did not fail.
    pub async fn give_back(&self, client: &str, now: Timestamp) {
        self.cache
            .update(self.space, &key(client), now, |before: Option<Tries>| match before {
                Some(tries) if tries.failures > 1 => (self.keep(Tries { failures: tries.failures - 1, ..tries }), ()),
                _ => (Change::Remove, ()),
            })
            .await;
    }

    /// Forgets a client's failures.
    pub async fn forget(&self, client: &str, now: Timestamp) {
        self.cache.remove(self.space, &key(client), now).await;
    }

    /// Counts wrong guesses, each once, and remembers the right ones of a client that has wrong ones.
    pub async fn note_guesses<G: AsRef<str> + Sync>(&self, client: &str, wrong: &[G], right: &[G], now: Timestamp) {
        let (wrong, right): (Vec<u32>, Vec<u32>) = (digests(wrong), digests(right));
        let known = self.tries(client, now).await;
        let is_new = |guess: &u32| known.as_ref().is_none_or(|tries| !tries.knows(*guess));
        if !(wrong.iter().any(is_new) || (known.is_some() && right.iter().any(is_new))) {
            return;
        }
        self.cache
            .update(self.space, &key(client), now, |before: Option<Tries>| {
                let mut tries = self.live(before, now).unwrap_or_else(|| Tries::new(now));
                for guess in &wrong {
                    if !tries.wrong.contains(guess) && self.pace.check(&tries, now).is_ok() {
                        tries.wrong.push(*guess);
                        tries.failed(now);
                    }
                }
                for guess in &right {
                    if !tries.knows(*guess) && tries.right.len() < MAX_RIGHT {
                        tries.right.push(*guess);
                    }
                }
                (self.keep(tries), ())
            })
            .await;
    }

    async fn tries(&self, client: &str, now: Timestamp) -> Option<Tries> {
        self.live(self.cache.get(self.space, &key(client), now).await, now)
    }

    fn live(&self, tries: Option<Tries>, now: Timestamp) -> Option<Tries> {
        tries.filter(|tries| self.pace.ends(tries) > now)
    }

    fn keep(&self, tries: Tries) -> Change<Tries> {
        let until = self.pace.ends(&tries);
        Change::Put { value: tries, until }
    }
}

/// A client's digest: the cache may be on disk, and contains no addresses.
fn key(client: &str) -> Vec<u8> {
    sha256([client.as_bytes()]).to_vec()
}

/// Short digests of guesses.
fn digests<G: AsRef<str>>(guesses: &[G]) -> Vec<u32> {
    let digest = |guess: &G| {
        let [a, b, c, d, ..] = sha256([guess.as_ref().as_bytes()]);
        u32::from_be_bytes([a, b, c, d])
    };
    guesses.iter().map(digest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACE: CacheSpace = CacheSpace { name: "tries", most: 16, most_bytes: 1 << 16 };
    const START: Timestamp = Timestamp::from_seconds(1_000);

    fn throttle(pace: Pace) -> Throttle {
        Throttle::new(&Cache::in_memory(), SPACE, pace)
    }

    #[tokio::test]
    async fn failures_slow_down_then_lock_then_are_forgotten() {
        let forget = Duration::from_hours(1);
        let logins = throttle(Pace::Doubling { free: 5, lock_at: 10, lock: Duration::from_mins(15), forget });
        let (mut now, mut waits) = (START, Vec::new());
        for _ in 0..12 {
            if let Err(wait) = logins.count("ada", now).await {
                waits.push(wait.as_secs());
                now = now + wait;
                logins.count("ada", now).await.unwrap();
            }
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 900, 900]);
        assert!(logins.count("eve", now).await.is_ok(), "others have their own");
        assert!(logins.check("ada", now + Duration::from_mins(15)).await.is_ok());
        for _ in 0..5 {
            assert!(logins.count("ada", now + forget).await.is_ok(), "all are forgotten");
        }
        assert_eq!(logins.count("ada", now + forget).await, Err(Duration::from_secs(1)));
        logins.give_back("ada", now + forget).await;
        assert!(logins.count("ada", now + forget).await.is_ok(), "one that did not fail does not count");
        logins.forget("ada", now + forget).await;
        for _ in 0..5 {
            assert!(logins.count("ada", now + forget).await.is_ok());
        }
    }

    #[tokio::test]
    async fn a_window_ends_whatever_happens_in_it() {
        let span = Duration::from_mins(15);
        let look_ups = throttle(Pace::Window { most: 3, span });
        for second in 0..5 {
            let now = START + Duration::from_secs(second);
            assert_eq!(
                look_ups.check("ada", now).await.err().map(|wait| wait.as_secs()),
                (second > 2).then_some(900 - second)
            );
            look_ups.fail("ada", now).await;
        }
        assert!(look_ups.check("ada", START + Duration::from_secs(899)).await.is_err());
        assert!(look_ups.check("ada", START + span).await.is_ok());
    }

    #[tokio::test]
    async fn different_wrong_guesses_count_and_known_ones_stay_free() {
        let codes = throttle(Pace::Window { most: 3, span: Duration::from_mins(10) });
        codes.note_guesses("ada", &[], &["GOOD"], START).await;
        for _ in 0..5 {
            codes.note_guesses("ada", &["A", "B"], &["FINE"], START).await;
        }
        assert!(codes.check_guesses("ada", &["C"], START).await.is_ok(), "two wrong ones");
        codes.note_guesses("ada", &["C", "D"], &[], START).await;
        assert_eq!(codes.check_guesses("ada", &["E"], START).await, Err(Duration::from_mins(10)));
        assert!(codes.check_guesses("ada", &["A", "C", "FINE"], START).await.is_ok(), "nothing new");
        for unknown in ["D", "GOOD"] {
            assert!(codes.check_guesses("ada", &[unknown], START).await.is_err(), "{unknown} was not remembered");
        }
    }
}
