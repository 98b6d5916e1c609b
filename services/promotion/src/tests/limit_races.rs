//! Limits that change while orders come in: random interleavings are compared with a simple model.

use std::time::Duration;

use promox_contract::ids::{OrderId, PromotionId};
use promox_kernel::{Currency, Error};
use promox_storage::Tx;
use promox_testkit::Dice;
use serde_json::{Value, json};

use super::neighbours::Shop;
use crate::commands::promotions::{self, CommandContext};
use crate::commands::recount::{self, Batch, NewCount};
use crate::queries;
use crate::rules::{CountedBy, Promotion};

/// Seconds per hour and day.
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// A use in the model.
struct Used {
    order: i64,
    user: i64,
    /// When, in seconds.
    at: i64,
}

/// Limits in the model: the maximum per person, and by what uses of a day count with their maximum.
#[derive(Clone, Default)]
struct Limits {
    per_user: Option<usize>,
    daily: Option<(&'static str, usize)>,
    in_tokyo: bool,
}

impl Limits {
    fn random(dice: &mut Dice) -> Self {
        let per = ["USER", "EMAIL", "TOTAL", "ADDRESS"][dice.roll(4)];
        Self {
            per_user: (dice.roll(2) == 0).then(|| 1 + dice.roll(4)),
            daily: (dice.roll(2) == 0).then(|| (per, 1 + dice.roll(5))),
            in_tokyo: dice.roll(2) == 0,
        }
    }

    fn apply(&self, promotion: &mut Promotion) {
        let periods: Vec<Value> =
            self.daily.iter().map(|(per, count)| json!({"per": per, "period": "DAY", "count": count})).collect();
        let limits = json!({"perUser": self.per_user, "periods": periods, "whenShort": "REFUSE"});
        promotion.limits = serde_json::from_value(limits).unwrap();
        promotion.timezone = if self.in_tokyo { "Asia/Tokyo" } else { "UTC" }.into();
    }

    fn day(&self, at: i64) -> i64 {
        (at + if self.in_tokyo { 9 * HOUR } else { 0 }).div_euclid(DAY)
    }

    /// Whether they admit a use. In this model all buyers have the same address and each has one e-mail address.
    fn admit(&self, used: &[Used], user: i64, now: i64) -> bool {
        let mine = used.iter().filter(|used| used.user == user).count();
        let today = used.iter().filter(|used| self.day(used.at) == self.day(now));
        self.per_user.is_none_or(|most| mine < most)
            && self.daily.is_none_or(|(per, most)| match per {
                "USER" | "EMAIL" => today.filter(|used| used.user == user).count() < most,
                _ => today.count() < most,
            })
    }
}

/// A change of limits on its way.
struct Change {
    limits: Limits,
    document: Promotion,
    version: i64,
    /// Holds that were read and not yet counted.
    batch: Option<Batch>,
}

/// One promotion whose limits change while orders use it.
struct Race {
    shop: Shop,
    id: PromotionId,
    dice: Dice,
    used: Vec<Used>,
    limits: Limits,
    change: Option<Change>,
    published: usize,
}

impl Race {
    async fn begin(seed: u64) -> Self {
        let (shop, mut dice) = (Shop::open(), Dice::new(seed));
        shop.advance(Duration::from_hours(u64::try_from(dice.roll(24)).unwrap()));
        let id = shop.active(json!({})).await;
        Self { shop, id, dice, used: Vec::new(), limits: Limits::default(), change: None, published: 0 }
    }

    async fn order(&mut self, order: i64) {
        let (user, now) = (1 + i64::try_from(self.dice.roll(3)).unwrap(), self.shop.now().seconds());
        let fits = self.limits.admit(&self.used, user, now);
        let held = self.shop.hold(order, Some(user), &[(self.id, "1.00")]).await;
        assert_eq!(held.is_ok(), fits, "order {order}: {held:?}");
        if fits {
            self.used.push(Used { order, user, at: now });
        }
    }

    async fn cancel(&mut self) {
        if !self.used.is_empty() {
            let cancelled = self.used.remove(self.dice.roll(self.used.len()));
            self.shop.release(cancelled.order).await;
        }
    }

    fn context(&self) -> CommandContext {
        CommandContext { cx: self.shop.cx(), currency: Currency::GBP }
    }

    async fn announce(&mut self, order: i64) {
        let (id, limits, context) = (self.id, Limits::random(&mut self.dice), self.context());
        let count = NewCount { token: format!("t{order}"), until: self.shop.now() + Duration::from_mins(10) };
        let before = self.shop.write(move |tx: &mut Tx<'_>| queries::promotion(tx, id)).await.unwrap();
        let (mut document, version) = (before.document.0, before.version);
        limits.apply(&mut document);
        let wanted = document.clone();
        let announce = move |tx: &mut Tx<'_>| promotions::announce(tx, &context, (id, version), &document, &count);
        self.shop.write(announce).await.unwrap();
        self.change = Some(Change { limits, document: wanted, version, batch: None });
    }

    /// Reads a batch, or counts the one that was read.
    async fn count(&mut self) {
        let (id, Some(change)) = (self.id, &mut self.change) else { return };
        match change.batch.take() {
            Some(batch) => {
                self.shop.write(move |tx: &mut Tx<'_>| Ok(recount::count(tx, id, false, &batch)?)).await.unwrap();
            }
            None => {
                change.batch = self.shop.write(move |tx: &mut Tx<'_>| Ok(recount::batch(tx, id, 3)?)).await.unwrap();
            }
        }
    }

    async fn publish(&mut self) {
        let Some(change) = self.change.take() else { return };
        let (id, version, context) = (self.id, change.version, self.context());
        let (counted, document) = (CountedBy::of(&change.document), change.document.clone());
        let done = self.shop.write(move |tx: &mut Tx<'_>| Ok(recount::is_complete(tx, id, &counted)?)).await.unwrap();
        let write = move |tx: &mut Tx<'_>| promotions::update(tx, &context, (id, version), &document, None).map(drop);
        let answer: Result<(), Error> = self.shop.write(write).await;
        match answer {
            Ok(()) => {
                self.limits = change.limits;
                self.published += 1;
            }
            Err(error) => {
                assert!(error.code() == "CHANGED_MEANWHILE" && !done, "{error:?}");
                // The request would go on counting, unless its client gives up.
                self.change = (self.dice.roll(4) > 0).then_some(change);
            }
        }
    }

    async fn step(&mut self, order: i64) {
        match self.dice.roll(16) {
            0 => self.shop.advance(Duration::from_hours(u64::try_from(self.dice.roll(9)).unwrap())),
            1 | 2 => self.cancel().await,
            3 if self.change.is_none() => self.announce(order).await,
            3..=7 => self.count().await,
            8 => self.publish().await,
            9 if self.dice.roll(8) == 0 => self.shop.run_job("promotion.recount").await,
            _ => self.order(order).await,
        }
    }
}

#[tokio::test]
async fn limits_that_change_while_orders_come_in_are_never_passed_and_refuse_no_other() {
    let mut published = 0;
    for seed in 0..60 {
        let mut race = Race::begin(seed).await;
        for order in 1..150 {
            race.step(order).await;
            if order % 30 == 0 {
                race.shop.verify();
            }
        }
        published += race.published;
        race.shop.verify();
    }
    assert!(published > 60, "only {published} changes were published");
}

#[tokio::test]
async fn a_use_that_comes_while_earlier_ones_are_counted_counts_too() {
    let mut race = Race::begin(1).await;
    race.shop.hold(1, Some(1), &[(race.id, "1.00")]).await.unwrap();
    race.announce(1).await;
    let (limits, id) = (Limits { per_user: Some(1), ..Limits::default() }, race.id);
    let change = race.change.as_mut().unwrap();
    limits.apply(&mut change.document);
    let (counted, context, version) = (CountedBy::of(&change.document), race.context(), 2);
    let count = NewCount { token: "t".into(), until: race.shop.now() + Duration::from_mins(10) };
    race.shop.write(move |tx: &mut Tx<'_>| Ok(recount::begin(tx, id, counted.clone(), &count)?)).await.unwrap();
    let batch = race.shop.write(move |tx: &mut Tx<'_>| Ok(recount::batch(tx, id, 9)?)).await.unwrap().unwrap();
    assert_eq!(batch.orders(), [OrderId(1)]);
    // The limit is announced but refuses nobody yet.
    race.shop.hold(2, Some(1), &[(id, "1.00")]).await.unwrap();
    race.shop.hold(3, Some(2), &[(id, "1.00")]).await.unwrap();
    race.shop.write(move |tx: &mut Tx<'_>| Ok(recount::count(tx, id, false, &batch)?)).await.unwrap();
    let document = race.change.take().unwrap().document;
    let write = move |tx: &mut Tx<'_>| promotions::update(tx, &context, (id, version), &document, None).map(drop);
    race.shop.write(write).await.unwrap();
    for (order, user) in [(4, 1), (5, 2)] {
        race.shop.hold(order, Some(user), &[(id, "1.00")]).await.unwrap_err();
    }
    race.shop.hold(6, Some(3), &[(id, "1.00")]).await.unwrap();
    race.shop.verify();
}
