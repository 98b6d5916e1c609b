//! Limits on guessing: a client with too many failed attempts has to wait.
//!
//! Failures are kept in the cache, by a digest of the client. If they are lost, a guesser only has to wait a little
//! less. The messages of refusals are up to the services.

use std::time::Duration;

use promox_kernel::{BackOff, Timestamp, sha256};
use serde::{Deserialize, Serialize};

use crate::{Cache, CacheSpace, Change};

/// Maximum correct guesses remembered for a client that also made wrong ones.
const MAX_RIGHT: usize = 64;
/// The growing pauses between the free failures and the lock.
const DOUBLING: BackOff = BackOff { first: Duration::from_secs(1), doublings: 16 };

/// How failures slow a client down.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// A number of failures is allowed in a window, which begins with the first one. After them the client has to wait
    /// until the window ends.
    Window {
        /// Maximum failures.
        max_failures: u32,
        /// The length of a window.
        span: Duration,
    },
    /// Each failure is followed by a pause, which doubles from one second, and finally by a lock.
    Doubling {
        /// The number of failures without a pause.
        free: u32,
        /// The number of failures from which the pause is `lock`.
        lock_at: u32,
        /// The maximum pause.
        lock: Duration,
        /// All failures are forgotten after this time without one.
        forget: Duration,
    },
}

/// The failed attempts of one client.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Attempts {
    /// The time of the first failure, in microseconds since 1970.
    first: i64,
    /// The time of the last failure, in microseconds since 1970.
    last: i64,
    failures: u32,
    /// Digests of the wrong guesses, if guesses are distinguished.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    wrong: Vec<u32>,
    /// Digests of correct guesses of a client that also made wrong ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    right: Vec<u32>,
}

impl Attempts {
    fn new(now: Timestamp) -> Self {
        Self { first: now.0, last: now.0, failures: 0, wrong: Vec::new(), right: Vec::new() }
    }

    fn failed(&mut self, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        self.last = now.0;
    }

    fn has_guess(&self, guess: u32) -> bool {
        self.wrong.contains(&guess) || self.right.contains(&guess)
    }
}

impl Pace {
    /// Returns when the failures are forgotten.
    fn forgotten_at(self, attempts: &Attempts) -> Timestamp {
        match self {
            Self::Window { span, .. } => Timestamp(attempts.first) + span,
            Self::Doubling { forget, .. } => Timestamp(attempts.last) + forget,
        }
    }

    /// Returns how long the client has to wait before its next attempt.
    fn wait(self, attempts: &Attempts, now: Timestamp) -> Duration {
        match self {
            Self::Window { max_failures, span } if attempts.failures >= max_failures => {
                span.saturating_sub(now.since(Timestamp(attempts.first)))
            }
            Self::Window { .. } => Duration::ZERO,
            Self::Doubling { free, lock_at, lock, .. } => {
                let pause = match attempts.failures {
                    few if few < free => Duration::ZERO,
                    some if some < lock_at => DOUBLING.after(some - free + 1).min(lock),
                    _ => lock,
                };
                pause.saturating_sub(now.since(Timestamp(attempts.last)))
            }
        }
    }

    fn check(self, attempts: &Attempts, now: Timestamp) -> Result<(), Duration> {
        let wait = self.wait(attempts, now);
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
    /// Creates a limit that keeps its failures in `space`.
    pub fn new(cache: &Cache, space: CacheSpace, pace: Pace) -> Self {
        Self { cache: cache.clone(), space, pace }
    }

    /// Checks whether a client may make an attempt. The error is how long it has to wait.
    pub async fn check(&self, client: &str, now: Timestamp) -> Result<(), Duration> {
        self.attempts(client, now).await.map_or(Ok(()), |attempts| self.pace.check(&attempts, now))
    }

    /// Checks whether a client may make these guesses. The error is how long it has to wait. Repeating earlier guesses
    /// is always allowed, because it reveals nothing new.
    pub async fn check_guesses<G: AsRef<str> + Sync>(
        &self,
        client: &str,
        guesses: &[G],
        now: Timestamp,
    ) -> Result<(), Duration> {
        let Some(attempts) = self.attempts(client, now).await else { return Ok(()) };
        let checked = self.pace.check(&attempts, now);
        if checked.is_err() && digests(guesses).into_iter().all(|guess| attempts.has_guess(guess)) {
            Ok(())
        } else {
            checked
        }
    }

    /// Counts a failure.
    pub async fn fail(&self, client: &str, now: Timestamp) {
        self.cache
            .update(self.space, &key(client), now, |before: Option<Attempts>| {
                let mut attempts = self.live(before, now).unwrap_or_else(|| Attempts::new(now));
                attempts.failed(now);
                (self.keep(attempts), ())
            })
            .await;
    }

    /// Counts an attempt as failed in advance, so that concurrent attempts cannot exceed the limit. The error is how
    /// long the client has to wait. An attempt that turns out to succeed is taken back with [`Throttle::uncount`].
    pub async fn count(&self, client: &str, now: Timestamp) -> Result<(), Duration> {
        self.cache
            .update(self.space, &key(client), now, |before: Option<Attempts>| {
                let mut attempts = self.live(before, now).unwrap_or_else(|| Attempts::new(now));
                match self.pace.check(&attempts, now) {
                    Ok(()) => {
                        attempts.failed(now);
                        (self.keep(attempts), Ok(()))
                    }
                    Err(wait) => (Change::Keep, Err(wait)),
                }
            })
            .await
    }

    /// Takes back an attempt that was counted by [`Throttle::count`] and did not fail.
    pub async fn uncount(&self, client: &str, now: Timestamp) {
        self.cache
            .update(self.space, &key(client), now, |before: Option<Attempts>| match before {
                Some(attempts) if attempts.failures > 1 => {
                    (self.keep(Attempts { failures: attempts.failures - 1, ..attempts }), ())
                }
                _ => (Change::Remove, ()),
            })
            .await;
    }

    /// Forgets a client's failures.
    pub async fn forget(&self, client: &str, now: Timestamp) {
        self.cache.remove(self.space, &key(client), now).await;
    }

    /// Counts each distinct wrong guess once, and remembers the correct guesses of a client that also made wrong ones.
    /// The error is how long the client has to wait because it made more wrong guesses at once than it had left; then it
    /// must not be told which ones were wrong.
    pub async fn note_guesses<G: AsRef<str> + Sync>(
        &self,
        client: &str,
        wrong: &[G],
        right: &[G],
        now: Timestamp,
    ) -> Result<(), Duration> {
        let (wrong, right): (Vec<u32>, Vec<u32>) = (digests(wrong), digests(right));
        let known = self.attempts(client, now).await;
        let is_new = |guess: &u32| known.as_ref().is_none_or(|attempts| !attempts.has_guess(*guess));
        if !(wrong.iter().any(is_new) || (known.is_some() && right.iter().any(is_new))) {
            return Ok(());
        }
        self.cache
            .update(self.space, &key(client), now, |before: Option<Attempts>| {
                let mut attempts = self.live(before, now).unwrap_or_else(|| Attempts::new(now));
                let mut noted = Ok(());
                for guess in wrong.iter().filter(|guess| !attempts.wrong.contains(guess)).collect::<Vec<_>>() {
                    noted = self.pace.check(&attempts, now);
                    if noted.is_err() {
                        break;
                    }
                    attempts.wrong.push(*guess);
                    attempts.failed(now);
                }
                for guess in &right {
                    if noted.is_ok() && !attempts.has_guess(*guess) && attempts.right.len() < MAX_RIGHT {
                        attempts.right.push(*guess);
                    }
                }
                (self.keep(attempts), noted)
            })
            .await
    }

    async fn attempts(&self, client: &str, now: Timestamp) -> Option<Attempts> {
        self.live(self.cache.get(self.space, &key(client), now).await, now)
    }

    /// The attempts, unless they are already forgotten.
    fn live(&self, attempts: Option<Attempts>, now: Timestamp) -> Option<Attempts> {
        attempts.filter(|attempts| self.pace.forgotten_at(attempts) > now)
    }

    fn keep(&self, attempts: Attempts) -> Change<Attempts> {
        let until = self.pace.forgotten_at(&attempts);
        Change::Put { value: attempts, until }
    }
}

/// Returns the digest of a client, because the cache may be on disk, where no addresses should be.
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

    const SPACE: CacheSpace = CacheSpace { name: "attempts", max_entries: 16, max_bytes: 1 << 16 };
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
        assert!(logins.count("eve", now).await.is_ok(), "each client has a limit of its own");
        assert!(logins.check("ada", now + Duration::from_mins(15)).await.is_ok());
        for _ in 0..5 {
            assert!(logins.count("ada", now + forget).await.is_ok(), "all failures are forgotten");
        }
        assert_eq!(logins.count("ada", now + forget).await, Err(Duration::from_secs(1)));
        logins.uncount("ada", now + forget).await;
        assert!(logins.count("ada", now + forget).await.is_ok(), "a successful attempt does not count");
        logins.forget("ada", now + forget).await;
        for _ in 0..5 {
            assert!(logins.count("ada", now + forget).await.is_ok());
        }
    }

    #[tokio::test]
    async fn a_window_is_not_extended_by_failures_in_it() {
        let span = Duration::from_mins(15);
        let look_ups = throttle(Pace::Window { max_failures: 3, span });
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
    async fn each_wrong_guess_counts_once_and_known_guesses_stay_allowed() {
        let codes = throttle(Pace::Window { max_failures: 3, span: Duration::from_mins(10) });
        codes.note_guesses("ada", &[], &["GOOD"], START).await.unwrap();
        for _ in 0..5 {
            codes.note_guesses("ada", &["A", "B"], &["FINE"], START).await.unwrap();
        }
        assert!(codes.check_guesses("ada", &["C"], START).await.is_ok(), "only two wrong guesses so far");
        let noted = codes.note_guesses("ada", &["C", "D"], &["LUCKY"], START).await;
        assert_eq!(noted, Err(Duration::from_mins(10)), "one wrong guess was left, and two were made");
        assert_eq!(codes.check_guesses("ada", &["E"], START).await, Err(Duration::from_mins(10)));
        assert!(codes.check_guesses("ada", &["A", "C", "FINE"], START).await.is_ok(), "all of them were made before");
        for unknown in ["D", "GOOD", "LUCKY"] {
            assert!(codes.check_guesses("ada", &[unknown], START).await.is_err(), "{unknown} was not remembered");
        }
    }
}
