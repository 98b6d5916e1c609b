//! What follows from events: stock that comes and goes changes what lists say is in stock. Products themselves are read
//! from rows, so their events only say that there is something to read.

use promox_contract::ids::VariantId;
use promox_contract::inventory::{GetAvailableStock, StockChanged};
use promox_kernel::{Cx, Error};
use promox_storage::{Event, StoreError};

use crate::Products;
use crate::search::Projection;

/// Batches that are taken at once; what is left waits for the next turn.
const MOST_BATCHES: usize = 64;
/// Variants that are asked about at once.
const ASKED_AT_ONCE: usize = 500;

impl Products {
    /// Takes the events that have come; whether there may be more.
    async fn follow(&self) -> Result<bool, Error> {
        let mut feed = self.feed.lock().await;
        let Some(follower) = feed.as_mut() else { return Ok(false) };
        for _ in 0..MOST_BATCHES {
            let events = follower.next().await?;
            if events.is_empty() {
                return Ok(false);
            }
            take(&mut self.shelves.write(), &events)?;
        }
        Ok(true)
    }

    /// Brings lists up to what rows and events say now; whether there may be more.
    pub(crate) async fn refresh(&self, cx: &Cx) -> Result<bool, Error> {
        let more = self.follow().await?;
        self.read_current(|_, _| Ok(())).await?;
        self.ask_stock(cx).await?;
        Ok(more)
    }

    /// Asks the inventory about variants that are new to the lists.
    pub(crate) async fn ask_stock(&self, cx: &Cx) -> Result<(), Error> {
        loop {
            let variants: Vec<VariantId> = {
                let mut shelves = self.shelves.write();
                let rest = shelves.unasked.len().saturating_sub(ASKED_AT_ONCE);
                shelves.unasked.split_off(rest)
            };
            if variants.is_empty() {
                return Ok(());
            }
            let asked = cx.call(GetAvailableStock { variants: variants.clone() }).await;
            let mut shelves = self.shelves.write();
            match asked {
                Ok(answer) => {
                    variants.iter().zip(answer.available).for_each(|(id, pieces)| shelves.set_stock(*id, pieces > 0));
                }
                Err(error) => {
                    shelves.unasked.extend(variants);
                    return Err(error);
                }
            }
        }
    }
}

fn take(shelves: &mut Projection, events: &[Event]) -> Result<(), StoreError> {
    for event in events.iter().filter(|event| event.is::<StockChanged>()) {
        let told: StockChanged = event.fact()?;
        shelves.set_stock(told.variant_id, told.available > 0);
    }
    Ok(())
}
