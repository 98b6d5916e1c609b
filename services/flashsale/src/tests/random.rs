//! Random steps in random order: the invariants hold after each, and at the end every unit is accounted for.

use promox_contract::ids::{FlashReservationId, FlashSaleId};
use promox_kernel::Entropy;

use super::market::{Market, item};
use crate::api::CancelSale;

/// The market and its history so far.
struct Story {
    market: Market,
    entropy: Entropy,
    sales: Vec<FlashSaleId>,
    made: Vec<(FlashSaleId, i64, FlashReservationId)>,
    orders: i64,
}

impl Story {
    fn below(&self, bound: usize) -> usize {
        usize::try_from(self.entropy.below(bound as u64)).unwrap()
    }

    fn any(&self) -> Option<(FlashSaleId, i64, FlashReservationId)> {
        if self.made.is_empty() { None } else { Some(self.made[self.below(self.made.len())]) }
    }

    async fn step(&mut self) {
        let user = 1 + i64::try_from(self.below(4)).unwrap();
        match self.below(20) {
            0..=6 => {
                let (id, quantity) = (self.sales[self.below(self.sales.len())], 1 + self.entropy.below(3));
                if let Ok(made) = self.market.reserve(id, user, u32::try_from(quantity).unwrap()).await {
                    self.made.push((id, user, made.reservation_id));
                }
            }
            7 | 8 => {
                if let Some((id, user, rid)) = self.any() {
                    let _ = self.market.release_reservation(id, user, rid).await;
                }
            }
            9..=12 => {
                if let Some((_, user, rid)) = self.any() {
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

async fn play(seed: u64) {
    let market = Market::open();
    let sales = vec![
        market.make(vec![item("A", 9, Some(4))]).await,
        market.make(vec![item("A", 20, None), item("B", 3, Some(1))]).await,
    ];
    let mut story = Story { market, entropy: Entropy::seeded(seed), sales, made: Vec::new(), orders: 0 };
    story.market.wait(60).await;
    for _ in 0..120 {
        story.step().await;
        story.market.verify();
    }
    for order in 1..=story.orders {
        if order % 3 == 0 {
            story.market.release(order).await;
        } else {
            story.market.confirm(order).await;
        }
    }
    story.market.wait(9_999).await;
    story.market.verify();
    let (a, b): (i64, i64) = (story.market.first(story.sales[0]).await.1, story.market.first(story.sales[1]).await.1);
    assert_eq!(i64::from(story.market.free("A")), 100 - a - b, "seed {seed}");
    assert_eq!(story.market.free("B"), 100);
    let sold: u32 = story.market.around.warehouse.lock().sold.values().map(|(_, quantity)| *quantity).sum();
    assert_eq!(i64::from(sold), a + b, "seed {seed}");
}

#[tokio::test]
async fn invariants_hold_for_random_steps() {
    for seed in 1..=60 {
        play(seed).await;
    }
}
