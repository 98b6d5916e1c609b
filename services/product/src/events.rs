//! Consumption of events: stock changes update the in-stock state of lists. Products themselves are read from rows, so
//! their events only signal that there is something to read.

use std::sync::Arc;

use promox_contract::ids::VariantId;
use promox_contract::inventory::{GetAvailableStock, StockChanged};
use promox_kernel::{Cx, Error};
use promox_storage::{Event, StoreError};

use crate::Products;
use crate::search::Projection;

/// Maximum batches of events applied in one run. Further ones wait for the next run.
const MAX_BATCHES: usize = 64;
/// Variants per query of their stock.
const STOCK_BATCH: usize = 500;

impl Products {
    /// Applies new events. Returns whether there may be more.
    async fn follow(&self) -> Result<bool, Error> {
        let mut feed = self.feed.lock().await;
        let Some(follower) = feed.as_mut() else { return Ok(false) };
        for _ in 0..MAX_BATCHES {
            let events = follower.next().await?;
            if events.is_empty() {
                return Ok(false);
            }
            apply_stock_changes(&mut self.projection.write(), &events)?;
        }
        Ok(true)
    }

    /// Updates lists from rows and events. Returns whether there may be more events.
    pub(crate) async fn refresh(&self, cx: &Cx) -> Result<bool, Error> {
        let more = self.follow().await?;
        self.read_current(|_, _| Ok(())).await?;
        self.query_stock(cx).await?;
        Ok(more)
    }

    /// Queries the stock of variants that are new to the lists, until none is left.
    pub(crate) async fn query_stock(&self, cx: &Cx) -> Result<(), Error> {
        loop {
            let variants: Vec<VariantId> = {
                let mut projection = self.projection.write();
                let rest = projection.unqueried.len().saturating_sub(STOCK_BATCH);
                projection.unqueried.split_off(rest)
            };
            if variants.is_empty() {
                return Ok(());
            }
            let stock = cx.call(GetAvailableStock { variants: variants.clone() }).await;
            let mut projection = self.projection.write();
            match stock {
                Ok(stock) => {
                    variants.iter().zip(stock.available).for_each(|(id, units)| projection.set_stock(*id, units > 0));
                }
                Err(error) => {
                    projection.unqueried.extend(variants);
                    return Err(error);
                }
            }
        }
    }
}

fn apply_stock_changes(projection: &mut Projection, events: &[Arc<Event>]) -> Result<(), StoreError> {
    for event in events.iter().filter(|event| event.is::<StockChanged>()) {
        let fact: StockChanged = event.fact()?;
        projection.set_stock(fact.variant_id, fact.available > 0);
    }
    Ok(())
}
