//! How a use counts towards limits: the counters that it increments, and the limits on the buyer's own uses.

use std::collections::BTreeSet;

use jiff::ToSpan;
use jiff::civil::Date;
use promox_contract::buyer::Person;
use promox_contract::condition::{Timetable, weekday};
use promox_contract::promotion::RejectReason;
use promox_kernel::Timestamp;
use serde::{Deserialize, Serialize};

use crate::rules::compile::Rule;
use crate::rules::language::promotion::{CountedPer, Limits, Period, PeriodLimit, Promotion};

/// A buyer as limits count them: as a person, and by digests of the e-mail address and the shipping address.
#[derive(Clone, Debug, Default)]
pub struct CountedBuyer {
    /// The person.
    pub person: Person,
    /// A digest of the e-mail address to which the order is confirmed.
    pub email: Option<String>,
    /// A digest of the shipping address.
    pub address: Option<String>,
}

/// A counter that a use increments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Its name among the promotion's counters.
    pub name: String,
    /// The maximum number of uses; `None` if it has no limit.
    pub most: Option<u32>,
    /// The reason reported when it is full.
    pub reason: RejectReason,
    /// When its period ends; `None` if it counts permanently.
    pub ends: Option<Timestamp>,
}

/// A limit on the uses of one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PersonLimit {
    /// The time from which uses count.
    pub since: Timestamp,
    /// The maximum number of uses.
    pub most: u32,
}

/// How a use counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counting {
    /// The counters that it increments.
    pub counters: Vec<Counter>,
    /// The limits on the person's own uses; empty if there are none or the person is unknown.
    pub person: Vec<PersonLimit>,
    /// When the last period that counts the person's use ends; `None` if it counts permanently.
    pub person_ends: Option<Timestamp>,
    /// Whether some limit cannot be checked because the buyer is unknown.
    pub unchecked: bool,
}

/// The counter of all uses.
pub const TOTAL: &str = "total";

/// What the limits of a promotion count uses by, whatever their maximum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CountedBy {
    /// Whether each person's uses count permanently.
    per_user: bool,
    /// The periods in which uses count.
    periods: BTreeSet<(CountedPer, Period)>,
    /// The IANA time zone of the periods; empty if there are none.
    timezone: String,
}

impl CountedBy {
    /// What the limits of this promotion count.
    pub fn of(promotion: &Promotion) -> Self {
        let limits = promotion.limits.as_ref();
        let periods: BTreeSet<_> =
            limits.into_iter().flat_map(|limits| &limits.periods).map(|limit| (limit.per, limit.period)).collect();
        let timezone = if periods.is_empty() { String::new() } else { promotion.timezone.clone() };
        Self { per_user: limits.is_some_and(|limits| limits.per_user.is_some()), periods, timezone }
    }

    /// Whether something counts here that does not count in `other`.
    pub fn exceeds(&self, other: &Self) -> bool {
        (self.per_user && !other.per_user)
            || !self.periods.is_subset(&other.periods)
            || (!self.periods.is_empty() && self.timezone != other.timezone)
    }

    /// How a use by a buyer at a time counts. The limits are never reached.
    pub fn counting(&self, buyer: &CountedBuyer, at: Timestamp) -> Counting {
        let count = u32::MAX;
        let periods = self.periods.iter().map(|(per, period)| PeriodLimit { per: *per, period: *period, count });
        let per_user = self.per_user.then_some(count);
        let limits = Limits { per_user, periods: periods.collect(), ..Limits::default() };
        counting(&limits, &Timetable::read(&self.timezone, None, "").unwrap_or_default(), buyer, at)
    }
}

impl Rule {
    /// How a use of this promotion by a buyer counts now.
    pub fn counting(&self, buyer: &CountedBuyer, now: Timestamp) -> Counting {
        counting(&self.limits, self.window.hours(), buyer, now)
    }
}

fn counting(limits: &Limits, hours: &Timetable, buyer: &CountedBuyer, now: Timestamp) -> Counting {
    let reason = RejectReason::LimitReached;
    let mut found = Counting {
        counters: vec![Counter { name: TOTAL.to_owned(), most: limits.total, reason, ends: None }],
        ..Counting::default()
    };
    if let Some(most) = limits.per_user {
        found.count_person(buyer, PersonLimit { since: Timestamp::EPOCH, most }, None);
    }
    // The same date is another period in another time zone. UTC has no suffix.
    let zone = hours.zone_name().filter(|name| *name != "UTC").map_or_else(String::new, |name| format!("@{name}"));
    for limit in &limits.periods {
        let (since, first, ends) = current_period(hours, limit.period, now);
        let who = match limit.per {
            CountedPer::User => {
                let ends = if limits.per_user.is_some() { None } else { Some(ends) };
                found.count_person(buyer, PersonLimit { since, most: limit.count }, ends);
                continue;
            }
            CountedPer::Email => buyer.email.as_ref().map(|email| format!("email:{email}")),
            CountedPer::Address => buyer.address.as_ref().map(|address| format!("address:{address}")),
            CountedPer::Total => Some(TOTAL.to_owned()),
        };
        let Some(who) = who else {
            found.unchecked = true;
            continue;
        };
        let in_total = limit.per == CountedPer::Total;
        let reason = if in_total { RejectReason::LimitReached } else { RejectReason::UserLimitReached };
        let name = format!("{}:{first}{zone}:{}:{who}", limit.period, limit.per);
        found.counters.push(Counter { name, most: Some(limit.count), reason, ends: Some(ends) });
    }
    found
}

impl Counting {
    /// When the last period that counts the person's use ends, for these and further limits together; `None` if it
    /// counts permanently.
    pub fn person_ends_with(&self, more: &Self) -> Option<Timestamp> {
        match (self.person.is_empty(), more.person.is_empty()) {
            (true, _) => more.person_ends,
            (_, true) => self.person_ends,
            _ => later(self.person_ends, more.person_ends),
        }
    }

    fn count_person(&mut self, buyer: &CountedBuyer, limit: PersonLimit, ends: Option<Timestamp>) {
        if buyer.person.is_unknown() {
            self.unchecked = true;
            return;
        }
        self.person_ends = if self.person.is_empty() { ends } else { self.person_ends.max(ends) };
        self.person.push(limit);
    }
}

/// The later of two ends, of which `None` never comes.
pub(crate) fn later(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.zip(other).map(|(one, other)| one.max(other))
}

/// The current period in the promotion's time zone: when it started, its first day, and when it ends.
fn current_period(hours: &Timetable, period: Period, now: Timestamp) -> (Timestamp, Date, Timestamp) {
    let today = hours.date(now);
    let (first, next) = match period {
        Period::Day => (today, today.saturating_add(1.day())),
        Period::Week => {
            let back = i64::try_from(weekday(today.weekday())).unwrap_or(0);
            let monday = today.saturating_sub(back.days());
            (monday, monday.saturating_add(7.days()))
        }
        Period::Month => (today.first_of_month(), today.last_of_month().saturating_add(1.day())),
    };
    (hours.start_of(first), first, hours.start_of(next))
}
