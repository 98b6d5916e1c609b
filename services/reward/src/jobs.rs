//! Scheduled jobs: lots become available and expire, tiers are updated, coupons of taken offers are issued, birthdays
//! are rewarded.

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
use crate::commands::referrals::Found;
use crate::commands::{accounts, catalogue, referrals};
use crate::records::Setting;
use crate::rules::calendar;

/// Redemptions that one run continues.
const BATCH: usize = 20;
/// The row with the progress of the search for birthdays.
const BIRTHDAYS: &str = "birthdays";
/// Maximum days that are caught up after the node was down.
const MADE_UP: usize = 7;
/// Users who get a birthday bonus in one transaction.
const CELEBRATED: usize = 100;

/// Updates accounts when they are due.
pub(crate) fn keep_time(rewards: &Arc<Rewards>) -> Job {
    let rewards = rewards.clone();
    Job::new("reward.keep_time", Duration::from_secs(1), move |cx| {
        let rewards = rewards.clone();
        async move { rewards.keep_time(&cx).await }
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
pub(crate) fn give_referrals(rewards: &Arc<Rewards>) -> Job {
    let rewards = rewards.clone();
    Job::new("reward.give_referrals", Duration::from_secs(1), move |cx| {
        let rewards = rewards.clone();
        async move { rewards.give_referrals(&cx).await }
    })
}

/// Searches for birthdays, some accounts at a time.
pub(crate) fn celebrate(rewards: &Arc<Rewards>) -> Job {
    let rewards = rewards.clone();
    Job::new("reward.celebrate", Duration::from_mins(1), move |cx| {
        let rewards = rewards.clone();
        async move { rewards.celebrate(&cx).await }
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

/// The progress of the search for birthdays.
#[derive(Clone, Debug, PartialEq)]
struct Celebrated {
    day: Date,
    after: Option<UserId>,
    done: bool,
}

impl Celebrated {
    fn read(value: &Value) -> Option<Self> {
        let after = value.get("after").and_then(Value::as_i64).map(UserId);
        let day = value.get("day").and_then(Value::as_str)?.parse().ok()?;
        Some(Self { day, after, done: value.get("done").and_then(Value::as_bool)? })
    }

    fn write(&self) -> Value {
        json!({ "day": self.day.to_string(), "after": self.after, "done": self.done })
    }

    /// The next search, if any: first the unfinished one, then each missed day, as far as days are caught up.
    fn next(known: Option<Self>, today: Date) -> Option<Self> {
        let first = |day| Self { day, after: None, done: false };
        match known {
            None => Some(first(today)),
            Some(known) if !known.done => Some(known),
            Some(known) if known.day >= today => None,
            Some(known) => {
                let mut days = std::iter::successors(Some(today), |day| day.yesterday().ok());
                let made_up = days.by_ref().take(MADE_UP).take_while(|day| *day > known.day).last();
                made_up.map(first)
            }
        }
    }
}

impl Rewards {
    async fn keep_time(&self, cx: &Cx) -> Result<bool, Error> {
        let due = self.db.read(|tx| accounts::any_due(tx, &*self.terms.at(tx)?, cx.now)).await?;
        if !due {
            return Ok(false);
        }
        let terms = self.terms.clone();
        let work = move |tx: &mut Tx<'_>| accounts::keep_time(tx, &*terms.at(tx)?);
        self.db.write_in(cx, Lane::Bulk, work).await
    }

    /// Makes redemptions due that requests of the previous process left between points and coupon.
    pub(crate) async fn take_over_redemptions(&self, cx: &Cx) -> Result<(), Error> {
        while self.db.write(cx, |tx| catalogue::take_over(tx, BATCH)).await? {}
        Ok(())
    }

    async fn finish_due(&self, cx: &Cx) -> Result<bool, Error> {
        let due = self.db.read(|tx| catalogue::due(tx, cx, BATCH)).await?;
        let more = due.len() == BATCH;
        for redemption in due {
            self.finish(cx, redemption).await?;
        }
        Ok(more)
    }

    async fn give_referrals(&self, cx: &Cx) -> Result<bool, Error> {
        let due = self.db.read(|tx| referrals::due(tx, cx.now, BATCH)).await?;
        let more = due.len() == BATCH;
        for referral in due {
            let (user_id, referrer) = (referral.user_id, referral.referrer);
            let first = cx.call(FindFirstPaidOrder { user_id, referrer }).await?;
            let found = match first.order_id {
                None => Found::Nothing,
                Some(order_id) if first.by_account && !first.of_referrer => Found::First(order_id),
                Some(_) => Found::Refused,
            };
            let terms = self.terms.clone();
            let work = move |tx: &mut Tx<'_>| referrals::settle(tx, &*terms.at(tx)?, &referral, found);
            self.db.write(cx, work).await?;
        }
        Ok(more)
    }

    async fn celebrate(&self, cx: &Cx) -> Result<bool, Error> {
        if self.db.read(|tx| self.terms.at(tx)).await?.settings.birthday_bonus == 0 {
            return Ok(false);
        }
        let timezone = cx.call(GetStoreProfile {}).await?.timezone;
        let row = self.db.read(|tx| tx.get::<Setting>(&BIRTHDAYS.to_owned())).await?;
        let known = row.and_then(|row| Celebrated::read(&row.value));
        let Some(mut step) = Celebrated::next(known, calendar::day(cx.now, &timezone)) else { return Ok(false) };
        let (days, year) = (calendar::born_on(step.day), step.day.year());
        let page = cx.call(ListBirthdays { days, after: step.after }).await?;
        for users in page.user_ids.chunks(CELEBRATED) {
            self.give_birthday_bonus(cx, users.to_vec(), year).await?;
        }
        (step.after, step.done) = (page.next, page.next.is_none());
        let row = Setting { name: BIRTHDAYS.to_owned(), value: Json(step.write()), version: 0 };
        self.db.write(cx, move |tx| tx.put(&row)).await?;
        Ok(true)
    }

    async fn give_birthday_bonus(&self, cx: &Cx, users: Vec<UserId>, year: i16) -> Result<(), Error> {
        let terms = self.terms.clone();
        let work = move |tx: &mut Tx<'_>| {
            let terms = terms.at(tx)?;
            users.iter().try_for_each(|user| accounts::celebrate(tx, &terms, *user, year))
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
        let known = |day: i8, done: bool| Some(Celebrated { day: date(2026, 11, day), after: None, done });
        for (before, today, want) in [
            (None, 23, Some(23)),
            (known(23, true), 23, None),
            (known(23, false), 24, Some(23)),
            (known(23, true), 24, Some(24)),
            (known(20, true), 23, Some(21)),
            (known(1, true), 23, Some(17)),
            (known(24, true), 23, None),
        ] {
            let next = Celebrated::next(before.clone(), date(2026, 11, today));
            assert_eq!(next.map(|item| item.day.day()), want, "{before:?} on {today}");
        }
    }
}
