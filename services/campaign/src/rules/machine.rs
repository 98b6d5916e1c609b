//! The state machine of a campaign, and its scheduled transitions.

use promox_contract::condition::Timetable;
use promox_contract::promotion::RejectReason;
use promox_kernel::{Amount, Timestamp};

use crate::records::{Campaign, CampaignStatus as Status};

/// The statuses to which a campaign with this status can change.
pub(crate) fn allowed(from: Status) -> &'static [Status] {
    match from {
        Status::Draft => &[Status::Scheduled, Status::Active, Status::Cancelled],
        Status::Scheduled => &[Status::Active, Status::Cancelled],
        Status::Active => &[Status::Paused, Status::Ended],
        Status::Paused => &[Status::Active, Status::Ended, Status::Cancelled],
        Status::Ended | Status::Cancelled => &[],
    }
}

impl Status {
    /// Whether it is final.
    pub(crate) fn is_over(self) -> bool {
        allowed(self).is_empty()
    }
}

impl Campaign {
    /// The time of its next scheduled transition.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        match self.status {
            Status::Scheduled => self.starts_at,
            Status::Active => self.ends_at,
            _ => None,
        }
    }

    /// The remaining budget; `None` without a budget.
    pub(crate) fn left(&self) -> Option<Amount> {
        self.budget.map(|budget| budget - self.spent - self.held)
    }

    /// Adds amounts that orders hold and spend, or release if negative, in the scale of the currency.
    pub(crate) fn use_budget(&mut self, held: Amount, spent: Amount) {
        self.held = self.currency.round((self.held + held).0);
        self.spent = self.currency.round((self.spent + spent).0);
    }

    /// Whether confirmed orders have spent all of its budget.
    pub(crate) fn is_budget_spent(&self) -> bool {
        self.budget.is_some_and(|budget| self.spent >= budget)
    }

    /// The schedule. It was validated when it was saved; if it does not parse any more, it is always open.
    fn timetable(&self) -> Timetable {
        Timetable::read(&self.timezone, self.schedule.as_ref().map(|schedule| &schedule.0), "").unwrap_or_default()
    }

    /// The reason why the campaign does not apply now. It depends on the time, not on whether a job has updated the
    /// row.
    pub(crate) fn reject_reason(&self, now: Timestamp) -> Option<RejectReason> {
        let started = self.starts_at.is_some_and(|start| start <= now);
        match self.status {
            Status::Active => {}
            Status::Scheduled if started => {}
            Status::Draft | Status::Scheduled => return Some(RejectReason::NotStarted),
            Status::Paused => return Some(RejectReason::Paused),
            Status::Ended | Status::Cancelled => return Some(RejectReason::Expired),
        }
        if self.ends_at.is_some_and(|end| end <= now) {
            return Some(RejectReason::Expired);
        }
        if !self.timetable().is_open(now) {
            return Some(RejectReason::NotStarted);
        }
        self.left().filter(|left| *left <= Amount::ZERO).map(|_| RejectReason::BudgetExhausted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transitions_match_the_contract() {
        let moves = |from: Status| allowed(from).iter().map(|to| to.as_str()).collect::<Vec<_>>().join(" ");
        let graph = Status::ALL.iter().map(|from| format!("{from}: {}", moves(*from)));
        let expected = [
            "DRAFT: SCHEDULED ACTIVE CANCELLED",
            "SCHEDULED: ACTIVE CANCELLED",
            "ACTIVE: PAUSED ENDED",
            "PAUSED: ACTIVE ENDED CANCELLED",
            "ENDED: ",
            "CANCELLED: ",
        ];
        assert_eq!(graph.collect::<Vec<_>>(), expected);
    }
}
