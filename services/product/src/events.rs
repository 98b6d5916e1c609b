//! Effects of events: stock changes update the in-stock state of lists. Products themselves are read from rows, so
//! their events only signal that there is something to read.

use promox_contract::ids::VariantId;
use promox_contract::inventory::{GetAvailableStock, StockChanged};
use promox_kernel::{Cx, Error};
use promox_storage::{Event, StoreError};

use crate::Products;
use crate::search::Projection;

/// Batches taken at once; the rest waits for the next run.
const MAX_BATCHES: usize = 64;
/// Variants queried at once.
const ASKED_AT_ONCE: usize = 500;

impl Products {
    /// Applies new events; whether there may be more.
    async fn follow(&self) -> Result<bool, Error> {
        let mut feed = self.feed.lock().await;
        let Some(follower) = feed.as_mut() else { return Ok(false) };
        for _ in 0..MAX_BATCHES {
            let events = follower.next().await?;
            if events.is_empty() {
                return Ok(false);
            }
            take(&mut self.projection.write(), &events)?;
        }
        Ok(true)
    }

    /// Updates lists from rows and events; whether there may be more.
    pub(crate) async fn refresh(&self, cx: &Cx) -> Result<bool, Error> {
        let more = self.follow().await?;
        self.read_current(|_, _| Ok(())).await?;
        self.ask_stock(cx).await?;
        Ok(more)
    }

    /// Queries the stock of variants that are new to the lists.
    pub(crate) async fn ask_stock(&self, cx: &Cx) -> Result<(), Error> {
        loop {
            let variants: Vec<VariantId> = {
                let mut projection = self.projection.write();
                let rest = projection.unasked.len().saturating_sub(ASKED_AT_ONCE);
                projection.unasked.split_off(rest)
            };
            if variants.is_empty() {
                return Ok(());
            }
            let asked = cx.call(GetAvailableStock { variants: variants.clone() }).await;
            let mut projection = self.projection.write();
            match asked {
                Ok(answer) => {
                    variants.iter().zip(answer.available).for_each(|(id, units)| projection.set_stock(*id, units > 0));
                }
                Err(error) => {
                    projection.unasked.extend(variants);
                    return Err(error);
                }
            }
        }
    }
}

fn take(projection: &mut Projection, events: &[Event]) -> Result<(), StoreError> {
    for event in events.iter().filter(|event| event.is::<StockChanged>()) {
        let fact: StockChanged = event.fact()?;
        projection.set_stock(fact.variant_id, fact.available > 0);
    }
    Ok(())
}
