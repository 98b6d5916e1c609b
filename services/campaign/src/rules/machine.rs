//! The state machine of a campaign, and how it stands by the clock.

use promox_contract::condition::Timetable;
use promox_contract::promotion::RejectReason;
use promox_kernel::{Amount, Timestamp};

use crate::records::{Campaign, CampaignStatus as Status};

/// Where a campaign can go.
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
    /// Whether it goes nowhere from here.
    pub(crate) fn is_over(self) -> bool {
        allowed(self).is_empty()
    }
}

impl Campaign {
    /// When it moves by itself next.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        match self.status {
            Status::Scheduled => self.starts_at,
            Status::Active => self.ends_at,
            _ => None,
        }
    }

    /// What is left of its budget.
    pub(crate) fn left(&self) -> Option<Amount> {
        self.budget.map(|budget| budget - self.spent - self.held)
    }

    /// Counts what orders take, or give back below zero, in the currency's digits.
    pub(crate) fn take(&mut self, held: Amount, spent: Amount) {
        self.held = self.currency.round((self.held + held).0);
        self.spent = self.currency.round((self.spent + spent).0);
    }

    /// Whether confirmed orders have taken all of its budget.
    pub(crate) fn is_spent(&self) -> bool {
        self.budget.is_some_and(|budget| self.spent >= budget)
    }

    /// Its hours, which were read when it was saved; one whose zone is no longer known is open all the time.
    fn timetable(&self) -> Timetable {
        Timetable::read(&self.timezone, self.schedule.as_ref().map(|it| &it.0), "").unwrap_or_default()
    }

    /// Why what belongs to it does not apply now; by the clock, also before the row has followed it.
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
    fn the_graph_is_the_contracts() {
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
