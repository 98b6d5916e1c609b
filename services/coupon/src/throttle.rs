//! Limits guessing: a client that tried too many wrong codes has to wait, in every operation that accepts codes.
//!
//! Different codes are counted, not attempts. A client that has to wait can still use the codes that it tried before,
//! because they reveal nothing new. Codes of a cart are counted once, before they are stored in it.

use std::time::Duration;

use promox_contract::codes;
use promox_contract::coupon::normal_code;
use promox_contract::promotion::{FindPromotionCodes, RejectReason, ResolvedCode};
use promox_kernel::{Cx, Error, Principal};
use promox_storage::{Cache, CacheSpace, Pace, Throttle};

use crate::Coupons;
use crate::rules::eligibility::public_reason;

/// Maximum different wrong codes of a caller per period.
const CALLER: Pace = Pace::Window { max_failures: 20, span: Duration::from_mins(10) };
/// Maximum different wrong codes of all callers from one network per period, because accounts and carts cost nothing.
const NETWORK: Pace = Pace::Window { max_failures: 100, span: Duration::from_mins(10) };

/// The cache of clients with wrong codes.
const CLIENTS: CacheSpace = CacheSpace { name: "wrong coupon codes", max_entries: 65_536, max_bytes: 8 << 20 };

/// Identifies the caller by the account, the guest's cart, or else the network.
fn caller(cx: &Cx) -> String {
    match (cx.principal.user(), &cx.cart_token) {
        (Some(user), _) => format!("user {user}"),
        (None, Some(token)) => format!("cart {token}"),
        (None, None) => format!("no cart, {}", cx.network_key()),
    }
}

/// Counts wrong codes by caller and by network.
#[derive(Debug)]
pub(crate) struct GuessThrottle(Option<(Throttle, Throttle)>);

impl GuessThrottle {
    pub(crate) fn new(cache: &Cache, enabled: bool) -> Self {
        Self(enabled.then(|| (Throttle::new(cache, CLIENTS, CALLER), Throttle::new(cache, CLIENTS, NETWORK))))
    }

    /// The throttles, if this caller's guesses are counted.
    fn of(&self, cx: &Cx) -> Option<&(Throttle, Throttle)> {
        self.0.as_ref().filter(|_| cx.principal != Principal::System)
    }

    /// Whether guesses of this caller are counted.
    pub(crate) fn counts(&self, cx: &Cx) -> bool {
        self.of(cx).is_some()
    }

    /// Refuses a caller who tried too many wrong codes and now tries a new one.
    pub(crate) async fn check(&self, cx: &Cx, codes: &[String]) -> Result<(), Error> {
        let Some((callers, networks)) = self.of(cx).filter(|_| !codes.is_empty()) else { return Ok(()) };
        let codes: Vec<String> = codes.iter().map(|code| normal_code(code)).collect();
        callers.check_guesses(&caller(cx), &codes, cx.now).await.map_err(refusal)?;
        networks.check_guesses(&cx.network_key(), &codes, cx.now).await.map_err(refusal)
    }

    /// Records wrong codes, and refuses a caller with more of them than were left. Valid codes are recorded only for
    /// clients that also have wrong ones.
    pub(crate) async fn note(&self, cx: &Cx, wrong: &[&String], good: &[&String]) -> Result<(), Error> {
        let Some((callers, networks)) = self.of(cx) else { return Ok(()) };
        let normal = |codes: &[&String]| codes.iter().map(|code| normal_code(code)).collect::<Vec<String>>();
        let (wrong, good) = (normal(wrong), normal(good));
        callers.note_guesses(&caller(cx), &wrong, &good, cx.now).await.map_err(refusal)?;
        networks.note_guesses(&cx.network_key(), &wrong, &good, cx.now).await.map_err(refusal)
    }
}

fn refusal(wait: Duration) -> Error {
    Error::throttled(codes::TOO_MANY_GUESSES, "Too many wrong coupon codes; try again later.", wait)
}

impl Coupons {
    /// Counts codes that do not exist, and codes that the caller must not be able to distinguish from them.
    pub(crate) async fn note_guesses(&self, cx: &Cx, codes: &[String], found: &[ResolvedCode]) -> Result<(), Error> {
        if codes.is_empty() || !self.guesses.counts(cx) {
            return Ok(());
        }
        let anonymous = cx.principal == Principal::Anonymous;
        let coupon = |code: &String| found.iter().find(|coupon| coupon.code == *code);
        let others: Vec<String> =
            codes.iter().filter(|code| coupon(code).is_none()).map(|code| normal_code(code)).collect();
        let promotions =
            if others.is_empty() { Vec::new() } else { cx.call(FindPromotionCodes { codes: others }).await?.taken };
        let hidden = |reason: Option<RejectReason>| {
            reason.is_some_and(|reason| public_reason(reason, anonymous) == RejectReason::Unknown)
        };
        let is_known = |code: &&String| match coupon(code) {
            Some(coupon) => !hidden(coupon.reason),
            None => promotions.contains(&normal_code(code)),
        };
        let (known, wrong): (Vec<&String>, Vec<&String>) = codes.iter().partition(is_known);
        self.guesses.note(cx, &wrong, &known).await
    }
}
