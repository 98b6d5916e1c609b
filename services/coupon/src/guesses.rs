//! Limits on guessing: who tries codes that are none too often waits.

use std::time::Duration;

use promox_kernel::{Cx, Error, Kind, Principal, Timestamp};
use promox_storage::{Cache, CacheSpace, Change};

/// Wrong codes that a client has in a window.
const MOST: u32 = 20;
/// The window.
const WINDOW: Duration = Duration::from_mins(10);
/// Clients that are remembered.
const CLIENTS: CacheSpace = CacheSpace { name: "wrong coupon codes", most: 65_536, most_bytes: 4 << 20 };

/// When a client's window began, in microseconds, and the wrong codes in it.
type Wrong = (i64, u32);

/// A client: the account, or else the address.
fn client(cx: &Cx) -> Vec<u8> {
    match cx.principal.user() {
        Some(user) => format!("user {user}").into_bytes(),
        None => format!("{:?}", cx.client).into_bytes(),
    }
}

/// Wrong codes by client, in the cache: its loss would cost a guesser a little less time.
#[derive(Debug)]
pub(crate) struct Guesses {
    enabled: bool,
    cache: Cache,
}

impl Guesses {
    pub(crate) fn new(cache: Cache, enabled: bool) -> Self {
        Self { enabled, cache }
    }

    /// Refuses who guessed too often.
    pub(crate) fn check(&self, cx: &Cx) -> Result<(), Error> {
        if !self.enabled || cx.principal == Principal::System {
            return Ok(());
        }
        match self.cache.get::<Wrong>(CLIENTS, &client(cx), cx.now) {
            Some((since, count)) if count >= MOST => {
                let wait = WINDOW.saturating_sub(cx.now.since(Timestamp(since))).as_secs();
                let error = Error::new(Kind::Throttled, "TOO_MANY_GUESSES", "Too many wrong codes; try again later.");
                Err(error.retry_after(u32::try_from(wait).unwrap_or(1).max(1)))
            }
            _ => Ok(()),
        }
    }

    /// Counts a wrong one.
    pub(crate) fn wrong(&self, cx: &Cx) {
        self.cache.update(CLIENTS, &client(cx), cx.now, |before: Option<Wrong>| {
            let (since, count) = before.unwrap_or((cx.now.0, 0));
            let until = Timestamp(since) + WINDOW;
            (Change::Put { value: (since, count.saturating_add(1)), until }, ())
        });
    }
}
