//! Compares the inventory with a simple model under random operations.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::api::{AdjustStock, ConfirmReservation, CreateReservation, ReleaseReservation};
use proptest::prelude::*;

use super::shop::{Shop, by_sku};

const SKUS: [&str; 3] = ["A", "B", "C"];

#[derive(Clone, Debug)]
enum Step {
    Count(usize, i64),
    Adjust(usize, i64),
    Hold(i64, Vec<(usize, u32)>),
    Confirm(i64),
    Post,
    ReleaseOrder(i64),
    Restock(i64, i64, usize, u32),
    Reserve(i64, usize, u32),
    ConfirmReservation(i64),
    ReleaseReservation(i64),
    Wait(u64),
    Sweep,
}

fn steps() -> impl Strategy<Value = Step> {
    let sku = 0..SKUS.len();
    let order = 1_i64..6;
    let lines = prop::collection::btree_map(0..SKUS.len(), 1_u32..6, 1..=3).prop_map(|map| map.into_iter().collect());
    prop_oneof![
        (sku.clone(), 0_i64..12).prop_map(|(sku, n)| Step::Count(sku, n)),
        (sku.clone(), prop_oneof![-6_i64..0, 1_i64..7]).prop_map(|(sku, n)| Step::Adjust(sku, n)),
        (order.clone(), lines).prop_map(|(order, lines)| Step::Hold(order, lines)),
        order.clone().prop_map(Step::Confirm),
        Just(Step::Post),
        order.clone().prop_map(Step::ReleaseOrder),
        (0_i64..4, order.clone(), sku.clone(), 1_u32..4).prop_map(|(r, o, s, q)| Step::Restock(r, o, s, q)),
        (order.clone(), sku, 1_u32..6).prop_map(|(r, s, q)| Step::Reserve(r, s, q)),
        order.clone().prop_map(Step::ConfirmReservation),
        order.prop_map(Step::ReleaseReservation),
        (1_u64..40).prop_map(Step::Wait),
        Just(Step::Sweep),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Held,
    Sold,
    Ended,
}

#[derive(Clone, Debug)]
struct Hold {
    state: State,
    /// SKU, quantity, and units that were returned.
    lines: Vec<(usize, i64, i64)>,
    /// The id and the time of expiry, for reservations.
    reservation: Option<(i64, u64)>,
}

/// A simple model of the stock.
#[derive(Default)]
struct Model {
    on_hand: [i64; 3],
    known: [bool; 3],
    holds: BTreeMap<String, Hold>,
    confirmed: Vec<String>,
    returns: Vec<i64>,
    now: u64,
}

impl Model {
    fn reserved(&self, sku: usize) -> i64 {
        let live = self.holds.values().filter(|hold| hold.state == State::Held);
        live.flat_map(|hold| &hold.lines).filter(|line| line.0 == sku).map(|line| line.1).sum()
    }

    fn fits(&self, lines: &[(usize, i64, i64)]) -> bool {
        lines.iter().all(|line| self.on_hand[line.0] - self.reserved(line.0) >= line.1)
    }

    fn sell(&mut self, name: &str) {
        let Some(hold) = self.holds.get_mut(name).filter(|hold| hold.state == State::Held) else { return };
        hold.state = State::Sold;
        for line in &hold.lines {
            self.on_hand[line.0] -= line.1;
        }
    }

    fn release_order(&mut self, name: &str) {
        let hold = self.holds.entry(name.to_owned());
        let hold = hold.or_insert(Hold { state: State::Ended, lines: Vec::new(), reservation: None });
        if hold.state == State::Sold {
            for line in &mut hold.lines {
                self.on_hand[line.0] += line.1 - line.2;
                line.2 = line.1;
            }
        }
        hold.state = State::Ended;
    }

    /// Restocks returned units. Returns whether this is accepted.
    fn restock(&mut self, reference: i64, name: &str, sku: usize, quantity: i64) -> bool {
        if self.returns.contains(&reference) {
            return true;
        }
        if let Some(hold) = self.holds.get(name) {
            let line = hold.lines.iter().find(|line| line.0 == sku);
            if hold.state == State::Ended || line.is_none_or(|line| line.1 - line.2 < quantity) {
                return false;
            }
            self.sell(name);
            let line = self.holds.get_mut(name).and_then(|hold| hold.lines.iter_mut().find(|line| line.0 == sku));
            line.unwrap().2 += quantity;
        }
        self.on_hand[sku] += quantity;
        self.known[sku] = true;
        self.returns.push(reference);
        true
    }
}

async fn run_step(shop: &Shop, model: &mut Model, step: Step) {
    match step {
        Step::Count(sku, n) => {
            let accepted = n >= model.on_hand[sku] || n >= model.reserved(sku);
            assert_eq!(shop.count(SKUS[sku], n, None, None).await.is_ok(), accepted);
            if accepted {
                model.on_hand[sku] = n;
                model.known[sku] = true;
            }
        }
        Step::Adjust(sku, delta) => {
            let accepted = model.known[sku] && (delta > 0 || model.on_hand[sku] + delta >= model.reserved(sku));
            let op = AdjustStock { sku: SKUS[sku].parse().unwrap(), delta, reason: "x".into(), location: None };
            assert_eq!(shop.call(op).await.is_ok(), accepted);
            model.on_hand[sku] += if accepted { delta } else { 0 };
        }
        Step::Hold(order, lines) => {
            let name = format!("order:{order}");
            let wanted: Vec<(&str, u32)> = lines.iter().map(|(sku, n)| (SKUS[*sku], *n)).collect();
            let lines: Vec<_> = lines.iter().map(|(sku, n)| (*sku, i64::from(*n), 0)).collect();
            let accepted = model.holds.get(&name).map_or_else(|| model.fits(&lines), |hold| hold.state != State::Ended);
            assert_eq!(shop.hold(order, &wanted).await.is_ok(), accepted);
            if accepted {
                model.holds.entry(name).or_insert(Hold { state: State::Held, lines, reservation: None });
            }
        }
        Step::Confirm(order) => {
            shop.confirm(order).await;
            model.confirmed.push(format!("order:{order}"));
        }
        Step::Post => {
            shop.consume().await;
            for name in std::mem::take(&mut model.confirmed) {
                model.sell(&name);
            }
        }
        Step::ReleaseOrder(order) => {
            shop.release_order(order).await.unwrap();
            model.release_order(&format!("order:{order}"));
        }
        Step::Restock(reference, order, sku, quantity) => {
            let accepted = model.restock(reference, &format!("order:{order}"), sku, i64::from(quantity));
            let done = shop.restock(&format!("return:{reference}"), order, &[(SKUS[sku], quantity)]).await;
            assert_eq!(done.is_ok(), accepted, "{done:?}");
        }
        other => reservations(shop, model, other).await,
    }
}

async fn reservations(shop: &Shop, model: &mut Model, step: Step) {
    match step {
        Step::Reserve(n, sku, quantity) => {
            let lines = vec![(sku, i64::from(quantity), 0)];
            let known = model.holds.get(&format!("r{n}")).map(|hold| hold.lines == lines);
            let accepted = known.unwrap_or_else(|| model.fits(&lines));
            let op = CreateReservation {
                reference: format!("r{n}"),
                items: by_sku(&[(SKUS[sku], quantity)]),
                ttl_seconds: 20,
            };
            let made = shop.call(op).await;
            assert_eq!(made.is_ok(), accepted, "{made:?}");
            if let (None, Ok(made)) = (known, made) {
                let reservation = Some((made.id.0, model.now + 20));
                model.holds.insert(format!("r{n}"), Hold { state: State::Held, lines, reservation });
            }
        }
        Step::ConfirmReservation(n) => {
            let Some(hold) = model.holds.get(&format!("r{n}")).cloned() else { return };
            let (id, expires_at) = hold.reservation.unwrap();
            let accepted = hold.state == State::Sold || (hold.state == State::Held && model.now < expires_at);
            assert_eq!(shop.call(ConfirmReservation { id: id.into() }).await.is_ok(), accepted);
            if accepted {
                model.sell(&format!("r{n}"));
            }
        }
        Step::ReleaseReservation(n) => {
            let Some(hold) = model.holds.get_mut(&format!("r{n}")) else { return };
            let (id, _) = hold.reservation.unwrap();
            let accepted = shop.call(ReleaseReservation { id: id.into() }).await.is_ok();
            assert_eq!(accepted, hold.state != State::Sold);
            if accepted {
                hold.state = State::Ended;
            }
        }
        Step::Wait(seconds) => {
            shop.advance(Duration::from_secs(seconds));
            model.now += seconds;
        }
        _ => {
            while shop.sweep().await {}
            let now = model.now;
            let expired = |hold: &&mut Hold| {
                hold.state == State::Held && hold.reservation.is_some_and(|(_, expires_at)| expires_at <= now)
            };
            model.holds.values_mut().filter(expired).for_each(|hold| hold.state = State::Ended);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_inventory_matches_its_model(script in prop::collection::vec(steps(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (shop, mut model) = (Shop::open(), Model::default());
            for step in script {
                run_step(&shop, &mut model, step).await;
                for (at, sku) in SKUS.iter().enumerate() {
                    let want = u32::try_from(model.on_hand[at] - model.reserved(at)).unwrap();
                    assert_eq!(shop.available(sku).await, want, "{sku}");
                }
            }
            shop.verify();
        });
    }
}
