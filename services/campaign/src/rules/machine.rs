//! The state machine of a campaign, and its scheduled transitions.

use promox_contract::condition::Timetable;
use promox_contract::promotion::RejectReason;
use promox_kernel::{Amount, Timestamp};

use crate::records::{Campaign, CampaignStatus as Status};

/// The transitions that are allowed.
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
    pub(crate) fn due(&self) -> Option<Timestamp> {
        match self.status {
            Status::Scheduled => self.starts_at,
            Status::Active => self.ends_at,
            _ => None,
        }
    }

    /// The rest of its budget.
    pub(crate) fn left(&self) -> Option<Amount> {
        self.budget.map(|budget| budget - self.spent - self.held)
    }

    /// Adds what orders use, or release if negative, in the currency's digits.
    pub(crate) fn take(&mut self, held: Amount, spent: Amount) {
        self.held = self.currency.round((self.held + held).0);
        self.spent = self.currency.round((self.spent + spent).0);
    }

    /// Whether confirmed orders have spent all of its budget.
    pub(crate) fn is_spent(&self) -> bool {
        self.budget.is_some_and(|budget| self.spent >= budget)
    }

    /// Its schedule, which was validated when it was saved; one with an unknown zone is always open.
    fn timetable(&self) -> Timetable {
        Timetable::read(&self.timezone, self.schedule.as_ref().map(|schedule| &schedule.0), "").unwrap_or_default()
    }

    /// Why the campaign does not apply now; by time, even before its row has been updated.
    pub(crate) fn reason(&self, now: Timestamp) -> Option<RejectReason> {
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
    fn the_graph_matches_the_contract() {
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
