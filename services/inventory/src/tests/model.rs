//! Random operations against a plain model of the stock.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::api::{AdjustStock, ConfirmReservation, CreateReservation, ReleaseReservation};
use proptest::prelude::*;

use super::shop::{Shop, by_sku};

const SKUS: [&str; 3] = ["A", "B", "C"];

#[derive(Clone, Debug)]
enum Act {
    Count(usize, i64),
    Adjust(usize, i64),
    Hold(i64, Vec<(usize, u32)>),
    Confirm(i64),
    Post,
    GiveBack(i64),
    Restock(i64, i64, usize, u32),
    Reserve(i64, usize, u32),
    ConfirmReservation(i64),
    Release(i64),
    Wait(u64),
    Sweep,
}

fn acts() -> impl Strategy<Value = Act> {
    let sku = 0..SKUS.len();
    let order = 1_i64..6;
    let lines = prop::collection::btree_map(0..SKUS.len(), 1_u32..6, 1..=3).prop_map(|map| map.into_iter().collect());
    prop_oneof![
        (sku.clone(), 0_i64..12).prop_map(|(sku, n)| Act::Count(sku, n)),
        (sku.clone(), prop_oneof![-6_i64..0, 1_i64..7]).prop_map(|(sku, n)| Act::Adjust(sku, n)),
        (order.clone(), lines).prop_map(|(order, lines)| Act::Hold(order, lines)),
        order.clone().prop_map(Act::Confirm),
        Just(Act::Post),
        order.clone().prop_map(Act::GiveBack),
        (0_i64..4, order.clone(), sku.clone(), 1_u32..4).prop_map(|(r, o, s, q)| Act::Restock(r, o, s, q)),
        (order.clone(), sku, 1_u32..6).prop_map(|(r, s, q)| Act::Reserve(r, s, q)),
        order.clone().prop_map(Act::ConfirmReservation),
        order.prop_map(Act::Release),
        (1_u64..40).prop_map(Act::Wait),
        Just(Act::Sweep),
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
    /// SKU, quantity, units that came back.
    lines: Vec<(usize, i64, i64)>,
    /// Its id and when it expires, for reservations.
    reservation: Option<(i64, u64)>,
}

/// The stock in the simplest form.
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

    fn give_back(&mut self, name: &str) {
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

    /// Whether a restock is accepted.
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

async fn act(shop: &Shop, model: &mut Model, act: Act) {
    match act {
        Act::Count(sku, n) => {
            let good = n >= model.on_hand[sku] || n >= model.reserved(sku);
            assert_eq!(shop.count(SKUS[sku], n, None, None).await.is_ok(), good);
            if good {
                model.on_hand[sku] = n;
                model.known[sku] = true;
            }
        }
        Act::Adjust(sku, delta) => {
            let good = model.known[sku] && (delta > 0 || model.on_hand[sku] + delta >= model.reserved(sku));
            let op = AdjustStock { sku: SKUS[sku].parse().unwrap(), delta, reason: "x".into(), location: None };
            assert_eq!(shop.call(op).await.is_ok(), good);
            model.on_hand[sku] += if good { delta } else { 0 };
        }
        Act::Hold(order, lines) => {
            let name = format!("order:{order}");
            let wanted: Vec<(&str, u32)> = lines.iter().map(|(sku, n)| (SKUS[*sku], *n)).collect();
            let lines: Vec<_> = lines.iter().map(|(sku, n)| (*sku, i64::from(*n), 0)).collect();
            let good = model.holds.get(&name).map_or_else(|| model.fits(&lines), |hold| hold.state != State::Ended);
            assert_eq!(shop.hold(order, &wanted).await.is_ok(), good);
            if good {
                model.holds.entry(name).or_insert(Hold { state: State::Held, lines, reservation: None });
            }
        }
        Act::Confirm(order) => {
            shop.confirm(order).await;
            model.confirmed.push(format!("order:{order}"));
        }
        Act::Post => {
            shop.consume().await;
            for name in std::mem::take(&mut model.confirmed) {
                model.sell(&name);
            }
        }
        Act::GiveBack(order) => {
            shop.give_back(order).await.unwrap();
            model.give_back(&format!("order:{order}"));
        }
        Act::Restock(reference, order, sku, quantity) => {
            let good = model.restock(reference, &format!("order:{order}"), sku, i64::from(quantity));
            let done = shop.restock(&format!("return:{reference}"), order, &[(SKUS[sku], quantity)]).await;
            assert_eq!(done.is_ok(), good, "{done:?}");
        }
        other => reservations(shop, model, other).await,
    }
}

async fn reservations(shop: &Shop, model: &mut Model, act: Act) {
    match act {
        Act::Reserve(n, sku, quantity) => {
            let lines = vec![(sku, i64::from(quantity), 0)];
            let known = model.holds.get(&format!("r{n}")).map(|hold| hold.lines == lines);
            let good = known.unwrap_or_else(|| model.fits(&lines));
            let op = CreateReservation {
                reference: format!("r{n}"),
                items: by_sku(&[(SKUS[sku], quantity)]),
                ttl_seconds: 20,
            };
            let made = shop.call(op).await;
            assert_eq!(made.is_ok(), good, "{made:?}");
            if let (None, Ok(made)) = (known, made) {
                let reservation = Some((made.id.0, model.now + 20));
                model.holds.insert(format!("r{n}"), Hold { state: State::Held, lines, reservation });
            }
        }
        Act::ConfirmReservation(n) => {
            let Some(hold) = model.holds.get(&format!("r{n}")).cloned() else { return };
            let (id, lapses) = hold.reservation.unwrap();
            let good = hold.state == State::Sold || (hold.state == State::Held && model.now < lapses);
            assert_eq!(shop.call(ConfirmReservation { id: id.into() }).await.is_ok(), good);
            if good {
                model.sell(&format!("r{n}"));
            }
        }
        Act::Release(n) => {
            let Some(hold) = model.holds.get_mut(&format!("r{n}")) else { return };
            let (id, _) = hold.reservation.unwrap();
            let good = shop.call(ReleaseReservation { id: id.into() }).await.is_ok();
            assert_eq!(good, hold.state != State::Sold);
            if good {
                hold.state = State::Ended;
            }
        }
        Act::Wait(seconds) => {
            shop.advance(Duration::from_secs(seconds));
            model.now += seconds;
        }
        _ => {
            while shop.sweep().await {}
            let now = model.now;
            let lapsed = |hold: &&mut Hold| {
                hold.state == State::Held && hold.reservation.is_some_and(|(_, lapses)| lapses <= now)
            };
            model.holds.values_mut().filter(lapsed).for_each(|hold| hold.state = State::Ended);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_inventory_matches_its_model(script in prop::collection::vec(acts(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (shop, mut model) = (Shop::open(), Model::default());
            for step in script {
                act(&shop, &mut model, step).await;
                for (at, sku) in SKUS.iter().enumerate() {
                    let want = u32::try_from(model.on_hand[at] - model.reserved(at)).unwrap();
                    assert_eq!(shop.available(sku).await, want, "{sku}");
                }
            }
            shop.verify();
        });
    }
}
