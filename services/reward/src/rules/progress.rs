//! Progress towards an achievement: events are counted, and removed when they are undone.

use std::time::Duration;

use promox_kernel::{Amount, Timestamp};
use rust_decimal::Decimal;

use crate::records::{Mark, Progress};
use crate::rules::achievement::{MAX_COUNTED, Rule};

impl Rule {
    /// Counts an event. Returns whether the rule is met.
    pub(crate) fn add_event(&self, progress: &mut Progress, mark: Mark, now: Timestamp) -> bool {
        progress.count += 1;
        progress.sum += mark.amount;
        progress.updated_at = now;
        if let Some(days) = self.within {
            progress.marks.push(mark);
            drop_old_events(progress, now - Duration::from_hours(24 * u64::from(days.0)));
        }
        progress.count >= self.required_count() && self.sum.is_none_or(|sum| progress.sum >= sum)
    }

    /// Removes events that were undone.
    pub(crate) fn remove_events(&self, progress: &mut Progress, undone: &Undone) {
        if self.within.is_none() {
            progress.count = (progress.count - undone.times).max(0);
            progress.sum = (progress.sum - undone.amount).max(Amount(Decimal::ZERO));
            return;
        }
        if undone.times > 0 {
            progress.marks.retain(|known| known.of != undone.of);
        } else if let Some(mark) = progress.marks.iter_mut().find(|known| known.of == undone.of) {
            mark.amount = (mark.amount - undone.amount).max(Amount(Decimal::ZERO));
        }
        sum_up(progress);
    }
}

/// The events of an order or a redemption that were undone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Undone {
    pub(crate) of: i64,
    /// The number of events; 0 if only a part of the amount was undone.
    pub(crate) times: i64,
    pub(crate) amount: Amount,
}

/// Drops the events before a time, and those beyond the number that a rule can require.
fn drop_old_events(progress: &mut Progress, before: Timestamp) {
    progress.marks.retain(|mark| mark.at > before.0);
    let over = progress.marks.len().saturating_sub(MAX_COUNTED);
    progress.marks.drain(..over);
    sum_up(progress);
}

fn sum_up(progress: &mut Progress) {
    progress.count = i64::try_from(progress.marks.len()).unwrap_or(i64::MAX);
    progress.sum = progress.marks.iter().map(|mark| mark.amount).sum();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::AchievementId;
    use crate::rules::achievement::{CountedEvent, Days};
    use promox_kernel::UserId;

    fn rule(count: Option<u32>, sum: Option<&str>, within: Option<u32>) -> Rule {
        let event = CountedEvent::OrderConfirmed;
        Rule { event, count, sum: sum.map(|item| item.parse().unwrap()), within: within.map(Days) }
    }

    fn reached(rule: &Rule, events: &[(u64, &str)]) -> Vec<bool> {
        let start = Timestamp::from_seconds(1_000_000);
        let (marks, sum) = (promox_kernel::Json(Vec::new()), Amount::ZERO);
        let mut progress =
            Progress { user_id: UserId(1), achievement_id: AchievementId(1), count: 0, sum, marks, updated_at: start };
        let count = |(of, (days, amount)): (i64, &(u64, &str))| {
            let at = start + Duration::from_hours(24 * days);
            rule.add_event(&mut progress, Mark { of, at: at.0, amount: amount.parse().unwrap() }, at)
        };
        (1..).zip(events).map(count).collect()
    }

    #[test]
    fn rules_count_and_sum_within_their_days() {
        for (rule, events, want) in [
            (rule(None, None, None), &[(0, "1.00")][..], &[true][..]),
            (rule(Some(2), None, None), &[(0, "1.00"), (900, "1.00")], &[false, true]),
            (rule(None, Some("10.00"), None), &[(0, "9.99"), (1, "0.01")], &[false, true]),
            (rule(Some(3), Some("10.00"), None), &[(0, "9.99"), (1, "0.01"), (2, "0.00")], &[false, false, true]),
            (rule(Some(2), None, Some(7)), &[(0, "1.00"), (7, "1.00"), (13, "1.00")], &[false, false, true]),
            (rule(None, Some("5.00"), Some(7)), &[(0, "4.00"), (8, "4.00"), (9, "1.00")], &[false, false, true]),
        ] {
            assert_eq!(reached(&rule, events), want, "{rule:?}");
        }
    }
}
