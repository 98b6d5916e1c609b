//! Scheduled jobs: make lots available and expire them, update tiers, issue the coupons of redeemed offers, check
//! referrals, and grant birthday bonuses.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use promox_contract::order::FindFirstPaidOrder;
use promox_contract::store::GetStoreProfile;
use promox_contract::user::ListBirthdays;
use promox_kernel::{Cx, Error, Job, Json, UserId};
use promox_storage::{Lane, Tx};
use serde_json::{Value, json};

use crate::Rewards;
use crate::commands::referrals::Finding;
use crate::commands::{accounts, offers, referrals};
use crate::records::Setting;
use crate::rules::calendar;

/// The maximum number of redemptions or referrals that one run handles.
const BATCH: usize = 20;
/// The name of the row with the progress of the birthday bonuses.
const BIRTHDAYS: &str = "birthdays";
/// The maximum number of days that are caught up after the node was down.
const MAX_MISSED_DAYS: usize = 7;
/// The maximum number of users who get a birthday bonus in one transaction.
const USERS_PER_TRANSACTION: usize = 100;

/// Brings accounts up to date when they are due.
pub(crate) fn settle_due_accounts(rewards: &Arc<Rewards>) -> Job {
    let rewards = rewards.clone();
    Job::new("reward.keep_time", Duration::from_secs(1), move |cx| {
        let rewards = rewards.clone();
        async move { rewards.settle_due_accounts(&cx).await }
    })
}

/// Continues interrupted redemptions.
pub(crate) fn finish_redemptions(rewards: &Arc<Rewards>) -> Job {
    let rewards = rewards.clone();
    Job::new("reward.finish_redemptions", Duration::from_secs(1), move |cx| {
        let rewards = rewards.clone();
        async move { rewards.finish_due(&cx).await }
    })
}

/// Checks whether referred users have paid their first order.
pub(crate) fn check_referrals(rewards: &Arc<Rewards>) -> Job {
    let rewards = rewards.clone();
    Job::new("reward.give_referrals", Duration::from_secs(1), move |cx| {
        let rewards = rewards.clone();
        async move { rewards.check_referrals(&cx).await }
    })
}

/// Grants birthday bonuses, one page of users per run.
pub(crate) fn grant_birthday_bonuses(rewards: &Arc<Rewards>) -> Job {
    let rewards = rewards.clone();
    Job::new("reward.celebrate", Duration::from_mins(1), move |cx| {
        let rewards = rewards.clone();
        async move { rewards.grant_birthday_bonuses(&cx).await }
    })
}

/// Deletes expired idempotency keys of this database.
pub(crate) fn prune_keys(rewards: &Arc<Rewards>) -> Job {
    let rewards = rewards.clone();
    Job::new("reward.prune_keys", Duration::from_mins(1), move |cx| {
        let db = rewards.db.clone();
        async move { db.prune_keys(&cx).await }
    })
}

/// The progress of the birthday bonuses of a day.
#[derive(Clone, Debug, PartialEq)]
struct BirthdayProgress {
    day: Date,
    /// The last user of the previous page.
    after: Option<UserId>,
    done: bool,
}

impl BirthdayProgress {
    fn read(value: &Value) -> Option<Self> {
        let after = value.get("after").and_then(Value::as_i64).map(UserId);
        let day = value.get("day").and_then(Value::as_str)?.parse().ok()?;
        Some(Self { day, after, done: value.get("done").and_then(Value::as_bool)? })
    }

    fn write(&self) -> Value {
        json!({ "day": self.day.to_string(), "after": self.after, "done": self.done })
    }

    /// Returns what to do next, if anything: first the unfinished day, then each missed day, the earliest first, but no
    /// more than [`MAX_MISSED_DAYS`].
    fn next(known: Option<Self>, today: Date) -> Option<Self> {
        let first = |day| Self { day, after: None, done: false };
        match known {
            None => Some(first(today)),
            Some(known) if !known.done => Some(known),
            Some(known) if known.day >= today => None,
            Some(known) => {
                let mut days = std::iter::successors(Some(today), |day| day.yesterday().ok());
                let missed = days.by_ref().take(MAX_MISSED_DAYS).take_while(|day| *day > known.day).last();
                missed.map(first)
            }
        }
    }
}

impl Rewards {
    async fn settle_due_accounts(&self, cx: &Cx) -> Result<bool, Error> {
        let due = self.db.read(|tx| accounts::any_due(tx, &*self.terms.at(tx)?, cx.now)).await?;
        if !due {
            return Ok(false);
        }
        let terms = self.terms.clone();
        let work = move |tx: &mut Tx<'_>| accounts::settle_due_accounts(tx, &*terms.at(tx)?);
        self.db.write_in(cx, Lane::Bulk, work).await
    }

    /// Makes the redemptions due that the previous process left pending, because their requests have ended with it.
    pub(crate) async fn make_pending_redemptions_due(&self, cx: &Cx) -> Result<(), Error> {
        while self.db.write(cx, |tx| offers::make_pending_due(tx, BATCH)).await? {}
        Ok(())
    }

    async fn finish_due(&self, cx: &Cx) -> Result<bool, Error> {
        let due = self.db.read(|tx| offers::due(tx, cx, BATCH)).await?;
        let more = due.len() == BATCH;
        for redemption in due {
            self.finish_redemption(cx, redemption).await?;
        }
        Ok(more)
    }

    async fn check_referrals(&self, cx: &Cx) -> Result<bool, Error> {
        let due = self.db.read(|tx| referrals::due(tx, cx.now, BATCH)).await?;
        let more = due.len() == BATCH;
        for referral in due {
            let (user_id, referrer) = (referral.user_id, referral.referrer);
            let first = cx.call(FindFirstPaidOrder { user_id, referrer }).await?;
            let found = match first.order_id {
                None => Finding::Nothing,
                Some(order_id) if first.by_account && !first.of_referrer => Finding::First(order_id),
                Some(_) => Finding::Refused,
            };
            let terms = self.terms.clone();
            let work = move |tx: &mut Tx<'_>| referrals::apply_finding(tx, &*terms.at(tx)?, &referral, found);
            self.db.write(cx, work).await?;
        }
        Ok(more)
    }

    async fn grant_birthday_bonuses(&self, cx: &Cx) -> Result<bool, Error> {
        if self.db.read(|tx| self.terms.at(tx)).await?.settings.birthday_bonus == 0 {
            return Ok(false);
        }
        let timezone = cx.call(GetStoreProfile {}).await?.timezone;
        let row = self.db.read(|tx| tx.get::<Setting>(&BIRTHDAYS.to_owned())).await?;
        let known = row.and_then(|row| BirthdayProgress::read(&row.value));
        let Some(mut step) = BirthdayProgress::next(known, calendar::day(cx.now, &timezone)) else { return Ok(false) };
        let (days, year) = (calendar::born_on(step.day), step.day.year());
        let page = cx.call(ListBirthdays { days, after: step.after }).await?;
        for users in page.user_ids.chunks(USERS_PER_TRANSACTION) {
            self.grant_birthday_bonus_to(cx, users.to_vec(), year).await?;
        }
        (step.after, step.done) = (page.next, page.next.is_none());
        let row = Setting { name: BIRTHDAYS.to_owned(), value: Json(step.write()), version: 0 };
        self.db.write(cx, move |tx| tx.put(&row)).await?;
        Ok(true)
    }

    async fn grant_birthday_bonus_to(&self, cx: &Cx, users: Vec<UserId>, year: i16) -> Result<(), Error> {
        let terms = self.terms.clone();
        let work = move |tx: &mut Tx<'_>| {
            let terms = terms.at(tx)?;
            users.iter().try_for_each(|user| accounts::grant_birthday_bonus(tx, &terms, *user, year))
        };
        self.db.write_in(cx, Lane::Bulk, work).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn missed_days_are_caught_up_in_order() {
        let known = |day: i8, done: bool| Some(BirthdayProgress { day: date(2026, 11, day), after: None, done });
        for (before, today, want) in [
            (None, 23, Some(23)),
            (known(23, true), 23, None),
            (known(23, false), 24, Some(23)),
            (known(23, true), 24, Some(24)),
            (known(20, true), 23, Some(21)),
            (known(1, true), 23, Some(17)),
            (known(24, true), 23, None),
        ] {
            let next = BirthdayProgress::next(before.clone(), date(2026, 11, today));
            assert_eq!(next.map(|item| item.day.day()), want, "{before:?} on {today}");
        }
    }
}
