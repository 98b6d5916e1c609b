//! Limits on guessing: an address that looks up wrong orders too often waits.

use std::time::Duration;

use promox_contract::codes;
use promox_kernel::{Cx, Error, Kind, Timestamp};
use promox_storage::{Cache, CacheSpace, Change};

/// Wrong look-ups an address has in a window.
const MOST: u32 = 10;
/// The window.
const WINDOW: Duration = Duration::from_mins(15);
/// Addresses that are remembered.
const ADDRESSES: CacheSpace = CacheSpace { name: "wrong order look-ups", most: 65_536, most_bytes: 4 << 20 };

/// When an address's window began, in microseconds, and the wrong look-ups in it.
type Wrong = (i64, u32);

/// Wrong look-ups by address, in the cache: its loss would cost a guesser a little less time.
#[derive(Debug)]
pub(crate) struct Guesses {
    enabled: bool,
    cache: Cache,
}

fn address(cx: &Cx) -> Vec<u8> {
    format!("{:?}", cx.client).into_bytes()
}

impl Guesses {
    pub(crate) fn new(cache: Cache, enabled: bool) -> Self {
        Self { enabled, cache }
    }

    /// Refuses who guessed too often.
    pub(crate) fn check(&self, cx: &Cx) -> Result<(), Error> {
        if !self.enabled {
            return Ok(());
        }
        match self.cache.get::<Wrong>(ADDRESSES, &address(cx), cx.now) {
            Some((since, count)) if count >= MOST => {
                let wait = WINDOW.saturating_sub(cx.now.since(Timestamp(since))).as_secs();
                let error = Error::new(
                    Kind::Throttled,
                    codes::TOO_MANY_GUESSES,
                    "Too many wrong order look-ups; try \
                         again later.",
                );
                Err(error.retry_after(u32::try_from(wait).unwrap_or(1).max(1)))
            }
            _ => Ok(()),
        }
    }

    /// Counts a wrong one.
    pub(crate) fn wrong(&self, cx: &Cx) {
        self.cache.update(ADDRESSES, &address(cx), cx.now, |before: Option<Wrong>| {
            let (since, count) = before.unwrap_or((cx.now.0, 0));
            let until = Timestamp(since) + WINDOW;
            (Change::Put { value: (since, count.saturating_add(1)), until }, ())
        });
    }
}
