//! Who a use counts for, and over which time: the names of the counters that limits go by.

use jiff::ToSpan;
use jiff::civil::Date;
use promox_contract::condition::weekday;
use promox_contract::promotion::RejectReason;
use promox_kernel::Timestamp;

use super::compile::Rule;
use super::language::{CountedPer, Period};
use super::schedule::Window;

/// The buyer as limits count: by account, and by digests of address and shipping address.
#[derive(Clone, Debug, Default)]
pub struct Buyer {
    /// The account.
    pub user: Option<i64>,
    /// A digest of the normalised e-mail address.
    pub email: Option<String>,
    /// A digest of the shipping address.
    pub address: Option<String>,
}

/// A counter that a use goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Its name among the promotion's counters.
    pub name: String,
    /// How many uses it takes; `None` for one that only counts.
    pub most: Option<u32>,
    /// What a buyer is told when it is full.
    pub reason: RejectReason,
    /// When nobody asks for it any more.
    pub ends: Option<Timestamp>,
}

/// The counter of all uses.
pub const TOTAL: &str = "total";

impl Rule {
    /// The counters of a use by this buyer now, and whether some limit cannot be checked because the buyer is not known.
    pub fn counters(&self, buyer: &Buyer, now: Timestamp) -> (Vec<Counter>, bool) {
        let limits = &self.limits;
        let total = limits.total;
        let mut found =
            vec![Counter { name: TOTAL.to_owned(), most: total, reason: RejectReason::LimitReached, ends: None }];
        let mut unchecked = false;
        if limits.per_user.is_some() {
            let names: Vec<String> = [by_user(buyer), by_email(buyer)].into_iter().flatten().collect();
            unchecked |= names.is_empty();
            let count =
                |name| Counter { name, most: limits.per_user, reason: RejectReason::UserLimitReached, ends: None };
            found.extend(names.into_iter().map(count));
        }
        for limit in &limits.periods {
            let (who, reason) = match limit.per {
                CountedPer::User => (by_user(buyer).or_else(|| by_email(buyer)), RejectReason::UserLimitReached),
                CountedPer::Email => (by_email(buyer), RejectReason::UserLimitReached),
                CountedPer::Address => {
                    (buyer.address.as_ref().map(|it| format!("address:{it}")), RejectReason::UserLimitReached)
                }
                CountedPer::Total => (Some(TOTAL.to_owned()), RejectReason::LimitReached),
            };
            let Some(who) = who else {
                unchecked = true;
                continue;
            };
            let (first, ends) = span(&self.window, limit.period, now);
            let name = format!("{}:{first}:{}:{who}", limit.period, limit.per);
            found.push(Counter { name, most: Some(limit.count), reason, ends: Some(ends) });
        }
        (found, unchecked)
    }
}

fn by_user(buyer: &Buyer) -> Option<String> {
    buyer.user.map(|id| format!("user:{id}"))
}

fn by_email(buyer: &Buyer) -> Option<String> {
    buyer.email.as_ref().map(|digest| format!("email:{digest}"))
}

/// The first day of the period that holds now where the promotion is, and when the period ends there.
fn span(window: &Window, period: Period, now: Timestamp) -> (Date, Timestamp) {
    let today = window.date(now);
    let (first, next) = match period {
        Period::Day => (today, today.saturating_add(1.day())),
        Period::Week => {
            let back = i64::try_from(weekday(today.weekday())).unwrap_or(0);
            let monday = today.saturating_sub(back.days());
            (monday, monday.saturating_add(7.days()))
        }
        Period::Month => (today.first_of_month(), today.last_of_month().saturating_add(1.day())),
    };
    (first, window.start_of(next))
}
