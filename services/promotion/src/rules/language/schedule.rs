//! When a promotion runs: its start and end, and its hours of the week in its time zone.

use promox_contract::condition::Timetable;
use promox_contract::promotion::RejectReason;
use promox_kernel::Timestamp;

use crate::rules::language::faults::DocumentFaults;
use crate::rules::language::promotion::Promotion;

/// A quarter of an hour in microseconds. In every time zone, hours begin at multiples of it.
const QUARTER_OF_AN_HOUR: i64 = 15 * 60_000_000;

/// The times in which a promotion runs.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    starts: Option<Timestamp>,
    ends: Option<Timestamp>,
    hours: Timetable,
}

impl Window {
    /// Compiles the window of a promotion and notes faults.
    pub(crate) fn of(promotion: &Promotion, faults: &mut DocumentFaults) -> Self {
        let read = |at: &str| Timetable::read(&promotion.timezone, promotion.schedule.as_ref(), at);
        let hours = faults.read(read).unwrap_or_default();
        match (promotion.starts_at, promotion.ends_at) {
            (Some(starts), Some(ends)) if starts >= ends => {
                faults.compared("/endsAt", &["/startsAt"], "must be after startsAt");
            }
            (Some(starts), Some(ends)) if !hours.ever_opens(starts, ends) => {
                let detail = "the schedule has no time between startsAt and endsAt";
                faults.compared("/schedule", &["/startsAt", "/endsAt", "/timezone"], detail);
            }
            _ => {}
        }
        Self { starts: promotion.starts_at, ends: promotion.ends_at, hours }
    }

    /// Checks whether the promotion runs. The error is the reason why not.
    pub(crate) fn check(&self, now: Timestamp) -> Result<(), RejectReason> {
        if self.starts.is_some_and(|starts| now < starts) {
            return Err(RejectReason::NotStarted);
        }
        if self.ends.is_some_and(|ends| now >= ends) {
            return Err(RejectReason::Expired);
        }
        self.check_hours(now)
    }

    /// Checks only the hours of the week, which is how past orders are evaluated.
    pub(crate) fn check_hours(&self, now: Timestamp) -> Result<(), RejectReason> {
        if self.hours.is_open(now) { Ok(()) } else { Err(RejectReason::NotStarted) }
    }

    /// The period around `now` during which the window does not open or close: its start and exclusive end. With
    /// `hourly`, the period is also within one hour of the promotion's time zone.
    pub(crate) fn steady(&self, now: Timestamp, hourly: bool) -> (Timestamp, Timestamp) {
        let (mut since, mut until) = (Timestamp(i64::MIN), Timestamp(i64::MAX));
        let mut bound = |at: Timestamp| if at <= now { since = since.max(at) } else { until = until.min(at) };
        self.starts.into_iter().chain(self.ends).for_each(&mut bound);
        if self.starts.is_some_and(|starts| now < starts) || self.ends.is_some_and(|ends| ends <= now) {
            return (since, until);
        }
        let (opened, closes) = self.hours.steady(now);
        opened.into_iter().chain(closes).for_each(&mut bound);
        if hourly {
            let quarter = Timestamp(now.0.div_euclid(QUARTER_OF_AN_HOUR) * QUARTER_OF_AN_HOUR);
            bound(quarter);
            bound(Timestamp(quarter.0 + QUARTER_OF_AN_HOUR));
        }
        (since, until)
    }

    /// The day of the week (Monday is 0) and the hour, in the promotion's time zone.
    pub(crate) fn day_and_hour(&self, now: Timestamp) -> (usize, i64) {
        self.hours.day_and_hour(now)
    }

    /// Its hours of the week and their time zone.
    pub(crate) fn hours(&self) -> &Timetable {
        &self.hours
    }
}
