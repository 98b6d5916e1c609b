//! Limits on guessing: an address that looks up wrong orders too often waits.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use promox_kernel::{Cx, Error, Kind, Timestamp};

/// Wrong look-ups an address has in a window.
const MOST: u32 = 10;
/// The window.
const WINDOW: Duration = Duration::from_mins(15);
/// Addresses that are remembered; past that all are forgotten, which only gives somebody ten more tries.
const MOST_ADDRESSES: usize = 100_000;

/// Wrong look-ups by address.
#[derive(Debug)]
pub(crate) struct Guesses {
    enabled: bool,
    wrong: Mutex<HashMap<Option<IpAddr>, (Timestamp, u32)>>,
}

impl Guesses {
    pub(crate) fn new(enabled: bool) -> Self {
        Self { enabled, wrong: Mutex::new(HashMap::new()) }
    }

    /// Refuses who guessed too often.
    pub(crate) fn check(&self, cx: &Cx) -> Result<(), Error> {
        let wrong = self.wrong.lock();
        match wrong.get(&cx.client) {
            Some((since, count)) if self.enabled && *count >= MOST && cx.now.since(*since) < WINDOW => {
                let wait = WINDOW.saturating_sub(cx.now.since(*since)).as_secs();
                let error =
                    Error::new(Kind::Throttled, "TOO_MANY_GUESSES", "Too many wrong look-ups; try again later.");
                Err(error.retry_after(u32::try_from(wait).unwrap_or(1).max(1)))
            }
            _ => Ok(()),
        }
    }

    /// Counts a wrong one.
    pub(crate) fn wrong(&self, cx: &Cx) {
        let mut wrong = self.wrong.lock();
        if wrong.len() >= MOST_ADDRESSES {
            wrong.clear();
        }
        let entry = wrong.entry(cx.client).or_insert((cx.now, 0));
        if cx.now.since(entry.0) >= WINDOW {
            *entry = (cx.now, 0);
        }
        entry.1 += 1;
    }
}
