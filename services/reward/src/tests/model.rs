//! Compares the ledger with a simple model of lots: earn, hold, confirm, return, release, adjust, and the passing of
//! time.

use promox_kernel::{Amount, Timestamp};
use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::rules::calendar::{days_after, months_after};
use crate::rules::returns::revoked_share;

const USER: i64 = 7;
const PENDING: u32 = 10;

/// A step of a scenario. The orders are 1 to 6.
#[derive(Clone, Debug)]
enum Step {
    Hold(i64, u32),
    Confirm(i64, i64),
    /// An order, the percentage that is returned in total, and how many points this return restores.
    Return(i64, i64, i64),
    Release(i64),
    Adjust(i64),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let order = 1_i64..7;
    let step = prop_oneof![
        3 => (order.clone(), 1_u32..80).prop_map(|(order, points)| Step::Hold(order, points)),
        4 => (order.clone(), 0_i64..100).prop_map(|(order, points)| Step::Confirm(order, points)),
        3 => (order.clone(), 1_i64..101, 0_i64..40)
            .prop_map(|(order, percent, points)| Step::Return(order, percent, points)),
        2 => order.prop_map(Step::Release),
        2 => (-60_i64..100).prop_filter("not 0", |points| *points != 0).prop_map(Step::Adjust),
        3 => (1_u64..25).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..40)
}

#[derive(Clone, Debug, Default)]
struct Order {
    held: Vec<(usize, i64)>,
    redeemed: i64,
    confirmed: bool,
    released: bool,
    earned: i64,
    taken: i64,
    lot: Option<usize>,
}

/// A lot: when it becomes available, when it expires, the points that remain, and those that expired.
#[derive(Clone, Debug)]
struct Lot {
    from: Timestamp,
    until: Timestamp,
    left: i64,
    expired: i64,
}

/// The model of the points.
#[derive(Default)]
struct Model {
    lots: Vec<Lot>,
    orders: BTreeMap<i64, Order>,
    carries: bool,
    owed: i64,
}

impl Model {
    fn grant(&mut self, now: Timestamp, points: i64, days: u32) -> usize {
        self.lots.push(Lot { from: days_after(now, days), until: months_after(now, 1), left: points, expired: 0 });
        self.lots.len() - 1
    }

    fn expire(&mut self, now: Timestamp) {
        for lot in self.lots.iter_mut().filter(|lot| lot.until <= now) {
            lot.expired += std::mem::take(&mut lot.left);
        }
    }

    fn balance(&self, now: Timestamp) -> i64 {
        self.lots.iter().filter(|lot| lot.from <= now).map(|lot| lot.left).sum()
    }

    fn pending(&self, now: Timestamp) -> i64 {
        self.lots.iter().filter(|lot| lot.from > now).map(|lot| lot.left).sum()
    }

    /// Takes up to this many points, the first to expire first.
    fn draw(&mut self, now: Timestamp, points: i64) -> Vec<(usize, i64)> {
        let mut open: Vec<usize> = (0..self.lots.len()).filter(|i| self.lots[*i].from <= now).collect();
        open.sort_by_key(|i| (self.lots[*i].until, *i));
        let (mut left, mut drawn) = (points, Vec::new());
        for i in open {
            let taken = left.min(self.lots[i].left);
            self.lots[i].left -= taken;
            left -= taken;
            if taken > 0 {
                drawn.push((i, taken));
            }
        }
        drawn
    }

    fn collect_owed(&mut self, now: Timestamp) {
        let drawn: i64 = self.draw(now, self.owed).iter().map(|item| item.1).sum();
        self.owed -= drawn;
    }

    fn hold(&mut self, now: Timestamp, order: i64, points: i64) -> bool {
        let known = self.orders.contains_key(&order);
        let balance = self.balance(now);
        if known || balance < points {
            return self.orders.get(&order).is_some_and(|order| !order.released && order.redeemed == points);
        }
        let held = self.draw(now, points);
        self.orders.insert(order, Order { held, redeemed: points, ..Order::default() });
        true
    }

    fn confirm(&mut self, now: Timestamp, order: i64, earned: i64) {
        let mut entry = self.orders.get(&order).cloned().unwrap_or_default();
        if entry.confirmed || entry.released {
            return;
        }
        entry.confirmed = true;
        entry.earned = earned;
        entry.lot = (earned > 0).then(|| self.grant(now, earned, PENDING));
        self.orders.insert(order, entry);
        self.collect_owed(now);
    }

    fn restore(&mut self, now: Timestamp, entry: &mut Order, points: i64) {
        let mut left = points;
        while let Some((lot, held)) = entry.held.pop() {
            let back = left.min(held);
            left -= back;
            if held > back {
                entry.held.push((lot, held - back));
            }
            if self.lots[lot].until <= now && back > 0 {
                let until = self.lots[lot].until;
                self.lots.push(Lot { from: now, until, left: back, expired: 0 });
            } else {
                self.lots[lot].left += back;
            }
            if left == 0 {
                break;
            }
        }
    }

    fn revoke(&mut self, now: Timestamp, entry: &mut Order, until: i64) {
        let mut left = until - entry.taken;
        entry.taken = until;
        if let Some(lot) = entry.lot {
            let taken = left.min(self.lots[lot].left);
            self.lots[lot].left -= taken;
            left -= taken;
            let expired = left.min(self.lots[lot].expired);
            self.lots[lot].expired -= expired;
            left -= expired;
        }
        left -= self.draw(now, left).iter().map(|item| item.1).sum::<i64>();
        if self.carries {
            self.owed += left;
        }
        self.collect_owed(now);
    }

    fn return_part(&mut self, now: Timestamp, order: i64, percent: i64, points: i64) {
        let Some(mut entry) = self.orders.get(&order).cloned().filter(|order| order.confirmed && !order.released)
        else {
            return;
        };
        let held: i64 = entry.held.iter().map(|item| item.1).sum();
        self.restore(now, &mut entry, points.min(held));
        let until = revoked_share(entry.earned, Amount(percent.into()), Amount(100.into())).max(entry.taken);
        self.revoke(now, &mut entry, until);
        self.orders.insert(order, entry);
    }

    fn release(&mut self, now: Timestamp, order: i64) {
        let mut entry = self.orders.get(&order).cloned().unwrap_or_default();
        if !entry.released {
            entry.released = true;
            let held: i64 = entry.held.iter().map(|item| item.1).sum();
            self.restore(now, &mut entry, held);
            let until = entry.earned;
            self.revoke(now, &mut entry, until);
        }
        self.orders.insert(order, entry);
    }
}

async fn run_steps(steps: Vec<Step>, carries: bool) {
    let shortfall = if carries { "CARRY" } else { "WAIVE" };
    let shop = Shop::with(json!({"pendingDays": PENDING, "expiryMonths": 1, "returnShortfall": shortfall})).await;
    let mut model = Model { carries, ..Model::default() };
    for step in steps {
        let now = shop.node.clock.now();
        match step.clone() {
            Step::Hold(order, points) => {
                let held = shop.hold(order, USER, points).await.is_ok();
                assert_eq!(held, model.hold(now, order, i64::from(points)), "{step:?}");
            }
            Step::Confirm(order, earned) => {
                shop.confirmed(order, USER, earned).await;
                model.confirm(now, order, earned);
            }
            Step::Return(order, percent, points) => {
                shop.returned(order, USER, percent, points).await;
                model.return_part(now, order, percent, points);
            }
            Step::Release(order) => {
                shop.release(order).await;
                model.release(now, order);
            }
            Step::Adjust(points) => {
                let fits = points > 0 || model.balance(now) >= -points;
                assert_eq!(shop.adjust(USER, points).await.is_ok(), fits, "{step:?}");
                if points > 0 {
                    model.grant(now, points, 0);
                    model.collect_owed(now);
                } else if fits {
                    model.draw(now, -points);
                }
            }
            Step::Pass(days) => {
                shop.pass_days(days).await;
                let later = shop.node.clock.now();
                model.expire(later);
                model.collect_owed(later);
            }
        }
        shop.work().await;
        model.expire(now);
        let now = shop.node.clock.now();
        assert_eq!(shop.points(USER).await, (model.balance(now), model.pending(now)), "{step:?}");
        let earned: i64 = model.orders.values().map(|order| order.earned - order.taken).sum();
        assert_eq!(shop.account(USER).await["lifetimeEarned"], earned, "{step:?}");
    }
    assert_eq!(shop.account(USER).await["owed"], model.owed);
    shop.verify();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_ledger_matches_its_model(steps in steps(), carries: bool) {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(run_steps(steps, carries));
    }
}
