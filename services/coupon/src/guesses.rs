//! Limits on guessing: who tries codes that are none too often waits.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use promox_kernel::{Cx, Error, Kind, Principal, Timestamp, UserId};

/// Wrong codes that a client has in a window.
const MOST: u32 = 20;
/// The window.
const WINDOW: Duration = Duration::from_mins(10);
/// Clients that are remembered; past that all are forgotten, which only gives somebody some more tries.
const MOST_CLIENTS: usize = 100_000;

/// A client: the account, or else the address.
type Client = (Option<UserId>, Option<IpAddr>);

fn client(cx: &Cx) -> Client {
    match cx.principal.user() {
        Some(user) => (Some(user), None),
        None => (None, cx.client),
    }
}

/// Wrong codes by client. In memory: a restart costs a guesser a little less time.
#[derive(Debug)]
pub(crate) struct Guesses {
    enabled: bool,
    wrong: Mutex<HashMap<Client, (Timestamp, u32)>>,
}

impl Guesses {
    pub(crate) fn new(enabled: bool) -> Self {
        Self { enabled, wrong: Mutex::new(HashMap::new()) }
    }

    /// Refuses who guessed too often.
    pub(crate) fn check(&self, cx: &Cx) -> Result<(), Error> {
        if !self.enabled || cx.principal == Principal::System {
            return Ok(());
        }
        match self.wrong.lock().get(&client(cx)) {
            Some((since, count)) if *count >= MOST && cx.now.since(*since) < WINDOW => {
                let wait = WINDOW.saturating_sub(cx.now.since(*since)).as_secs();
                let error = Error::new(Kind::Throttled, "TOO_MANY_GUESSES", "Too many wrong codes; try again later.");
                Err(error.retry_after(u32::try_from(wait).unwrap_or(1).max(1)))
            }
            _ => Ok(()),
        }
    }

    /// Counts a wrong one.
    pub(crate) fn wrong(&self, cx: &Cx) {
        let mut wrong = self.wrong.lock();
        if wrong.len() >= MOST_CLIENTS {
            wrong.clear();
        }
        let entry = wrong.entry(client(cx)).or_insert((cx.now, 0));
        if cx.now.since(entry.0) >= WINDOW {
            *entry = (cx.now, 0);
        }
        entry.1 += 1;
    }
}
