//! Random steps: the invariants hold after each, and at the end every unit is accounted for.

use promox_contract::ids::{FlashReservationId, FlashSaleId};
use promox_kernel::Entropy;

use super::market::{Market, item};
use crate::api::CancelSale;

/// A market with the reservations and orders made so far.
struct Scenario {
    market: Market,
    entropy: Entropy,
    sales: Vec<FlashSaleId>,
    reservations: Vec<(FlashSaleId, i64, FlashReservationId)>,
    orders: i64,
}

impl Scenario {
    fn below(&self, bound: usize) -> usize {
        usize::try_from(self.entropy.below(bound as u64)).unwrap()
    }

    fn random_reservation(&self) -> Option<(FlashSaleId, i64, FlashReservationId)> {
        if self.reservations.is_empty() { None } else { Some(self.reservations[self.below(self.reservations.len())]) }
    }

    async fn step(&mut self) {
        let user = 1 + i64::try_from(self.below(4)).unwrap();
        match self.below(20) {
            0..=6 => {
                let (id, quantity) = (self.sales[self.below(self.sales.len())], 1 + self.entropy.below(3));
                if let Ok(made) = self.market.reserve(id, user, u32::try_from(quantity).unwrap()).await {
                    self.reservations.push((id, user, made.reservation_id));
                }
            }
            7 | 8 => {
                if let Some((id, user, rid)) = self.random_reservation() {
                    let _ = self.market.release_reservation(id, user, rid).await;
                }
            }
            9..=12 => {
                if let Some((_, user, rid)) = self.random_reservation() {
                    self.orders += 1;
                    let _ = self.market.claim(self.orders, user, &[rid]).await;
                }
            }
            13..=15 => self.market.confirm(1 + i64::try_from(self.below(10)).unwrap().min(self.orders)).await,
            16 => self.market.release(1 + self.orders - i64::try_from(self.below(6)).unwrap().min(self.orders)).await,
            17 => self.market.wait(self.entropy.below(400)).await,
            18 => self.market.try_work().await.unwrap(),
            _ if self.below(30) == 0 => {
                let id = self.sales[self.below(self.sales.len())];
                let _ = self.market.call(CancelSale { id }).await;
            }
            _ => {}
        }
    }
}

async fn run_seed(seed: u64) {
    let market = Market::open();
    let sales = vec![
        market.make(vec![item("A", 9, Some(4))]).await,
        market.make(vec![item("A", 20, None), item("B", 3, Some(1))]).await,
    ];
    let mut scenario = Scenario { market, entropy: Entropy::seeded(seed), sales, reservations: Vec::new(), orders: 0 };
    scenario.market.wait(60).await;
    for _ in 0..120 {
        scenario.step().await;
        scenario.market.verify();
    }
    for order in 1..=scenario.orders {
        if order % 3 == 0 {
            scenario.market.release(order).await;
        } else {
            scenario.market.confirm(order).await;
        }
    }
    scenario.market.wait(9_999).await;
    scenario.market.verify();
    let (sold_in_first, sold_in_second): (i64, i64) =
        (scenario.market.first(scenario.sales[0]).await.1, scenario.market.first(scenario.sales[1]).await.1);
    assert_eq!(i64::from(scenario.market.free("A")), 100 - sold_in_first - sold_in_second, "seed {seed}");
    assert_eq!(scenario.market.free("B"), 100);
    let sold: u32 = scenario.market.neighbours.warehouse.lock().sold.values().map(|(_, quantity)| *quantity).sum();
    assert_eq!(i64::from(sold), sold_in_first + sold_in_second, "seed {seed}");
}

#[tokio::test]
async fn invariants_hold_for_random_steps() {
    for seed in 1..=60 {
        run_seed(seed).await;
    }
}
