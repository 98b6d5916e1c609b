//! Limits on guessing: who tries codes that are none too often waits, wherever codes are tried.
//!
//! Different codes count, not tries: a cart that keeps a code which is not good any more is looked at as often as one likes.
//! Who has to wait may go on with the codes tried before, which tell nothing new.

use std::time::Duration;

use promox_contract::codes;
use promox_contract::coupon::normal_code;
use promox_kernel::{Cx, Error, Kind, Principal, Timestamp, sha256};
use promox_storage::{Cache, CacheSpace, Change};
use serde::{Deserialize, Serialize};

/// Different wrong codes that a client has in a window.
const MOST: usize = 20;
/// Good codes of a client with wrong ones that are remembered.
const MOST_GOOD: usize = 64;
/// The window.
const WINDOW: Duration = Duration::from_mins(10);
/// Clients that are remembered.
const CLIENTS: CacheSpace = CacheSpace { name: "wrong coupon codes", most: 65_536, most_bytes: 8 << 20 };

/// What a client tried in a window, by digests.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Tried {
    /// When the window began, in microseconds.
    since: i64,
    wrong: Vec<u32>,
    good: Vec<u32>,
}

impl Tried {
    fn knows(&self, code: u32) -> bool {
        self.wrong.contains(&code) || self.good.contains(&code)
    }
}

/// A client: the account, or else the address.
fn client(cx: &Cx) -> Vec<u8> {
    match cx.principal.user() {
        Some(user) => format!("user {user}").into_bytes(),
        None => format!("{:?}", cx.client).into_bytes(),
    }
}

fn short(code: &str) -> u32 {
    let [a, b, c, d, ..] = sha256([normal_code(code).as_bytes()]);
    u32::from_be_bytes([a, b, c, d])
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

    /// Whether guesses of this caller are counted at all.
    pub(crate) fn counts(&self, cx: &Cx) -> bool {
        self.enabled && cx.principal != Principal::System
    }

    /// Refuses who guessed too often and now tries a code that was not tried before.
    pub(crate) fn admit(&self, cx: &Cx, codes: &[String]) -> Result<(), Error> {
        if !self.counts(cx) || codes.is_empty() {
            return Ok(());
        }
        let Some(tried) = self.cache.get::<Tried>(CLIENTS, &client(cx), cx.now) else { return Ok(()) };
        if tried.wrong.len() < MOST || codes.iter().all(|code| tried.knows(short(code))) {
            return Ok(());
        }
        let wait = WINDOW.saturating_sub(cx.now.since(Timestamp(tried.since))).as_secs();
        let error = Error::new(
            Kind::Throttled,
            codes::TOO_MANY_GUESSES,
            "Too many wrong coupon codes; try \
             again later.",
        );
        Err(error.retry_after(u32::try_from(wait).unwrap_or(1).max(1)))
    }

    /// Remembers what became of codes; the good ones only of who has wrong ones.
    pub(crate) fn note(&self, cx: &Cx, wrong: &[&String], good: &[&String]) {
        if !self.counts(cx) {
            return;
        }
        let known = self.cache.get::<Tried>(CLIENTS, &client(cx), cx.now);
        let is_new = |code: &&String| known.as_ref().is_none_or(|tried| !tried.knows(short(code)));
        if !(wrong.iter().any(is_new) || (known.is_some() && good.iter().any(is_new))) {
            return;
        }
        self.cache.update(CLIENTS, &client(cx), cx.now, |before: Option<Tried>| {
            let mut tried = before.unwrap_or_else(|| Tried { since: cx.now.0, ..Tried::default() });
            for code in wrong.iter().map(|code| short(code)) {
                if !tried.wrong.contains(&code) && tried.wrong.len() < MOST {
                    tried.wrong.push(code);
                }
            }
            for code in good.iter().map(|code| short(code)) {
                if !tried.knows(code) && tried.good.len() < MOST_GOOD {
                    tried.good.push(code);
                }
            }
            let until = Timestamp(tried.since) + WINDOW;
            (Change::Put { value: tried, until }, ())
        });
    }
}
