//! Sales as server-sent events. A listener is a channel with little room; the clock's job writes to it what has changed
//! since it last could, so that a rush is a few events a second and a slow listener skips to the newest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use promox_contract::ids::FlashSaleId;
use promox_kernel::{BodyReader, BodySender, Error, Sku, Timestamp};
use promox_storage::{StoreError, Tx};
use serde::Serialize;

use crate::queries;
use crate::records::{FlashSale, SaleStatus};

/// Listeners of a node at most.
const MOST_LISTENERS: usize = 1_000;
/// A listener that hears nothing else hears this often that the stream lives; it is also how one that left is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What is said of a sale.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct News {
    flash_sale_id: FlashSaleId,
    status: SaleStatus,
    items: Vec<ItemNews>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemNews {
    sku: Sku,
    remaining: i64,
    sold: i64,
}

/// A sale as it can be said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    status: SaleStatus,
    json: Arc<str>,
}

/// How a sale stands; none for one that is not shown.
pub(crate) fn state(tx: &Tx<'_>, id: FlashSaleId) -> Result<Option<State>, StoreError> {
    let Some(sale) = tx.get::<FlashSale>(&id)?.filter(|sale| sale.listed.is_some()) else { return Ok(None) };
    let items = queries::items(tx, id)?.into_iter();
    let items = items.map(|it| ItemNews { remaining: it.left(), sold: it.sold, sku: it.sku }).collect();
    let news = News { flash_sale_id: id, status: sale.status, items };
    let json = serde_json::to_string(&news).map_err(|error| StoreError::Io(error.to_string()))?;
    Ok(Some(State { status: sale.status, json: json.into() }))
}

impl State {
    fn is_over(&self) -> bool {
        matches!(self.status, SaleStatus::Ended | SaleStatus::Cancelled)
    }

    /// The event that leads here from an earlier state.
    fn event(&self, before: Option<&Self>) -> Bytes {
        let name = match before {
            _ if self.is_over() => "end",
            Some(before) if before.status == SaleStatus::Scheduled && self.status != before.status => "start",
            _ => "remaining",
        };
        Bytes::from(format!("event: {name}\ndata: {}\n\n", self.json))
    }
}

/// Who follows a sale.
#[derive(Debug)]
struct Listener {
    sale: FlashSaleId,
    sender: BodySender,
    /// What it was told last.
    told: State,
    heard_at: Timestamp,
}

impl Listener {
    /// Tells what is new; whether it still listens.
    fn tell(&mut self, state: Option<&State>, now: Timestamp) -> bool {
        let Some(state) = state else { return false };
        let chunk = if *state != self.told {
            state.event(Some(&self.told))
        } else if now.since(self.heard_at) >= KEEP_ALIVE {
            Bytes::from_static(b": still here\n\n")
        } else {
            return true;
        };
        match self.sender.offer(chunk) {
            Some(true) => {
                self.told = state.clone();
                self.heard_at = now;
                !state.is_over()
            }
            Some(false) => true,
            None => false,
        }
    }
}

/// Everybody who follows a sale on this node.
#[derive(Debug, Default)]
pub(crate) struct Listeners(Mutex<Vec<Listener>>);

impl Listeners {
    /// Takes a listener in, who hears at once how the sale stands. When it is over, that is all.
    pub(crate) fn join(&self, sale: FlashSaleId, state: State, now: Timestamp) -> Result<BodyReader, Error> {
        let (sender, reader) = BodyReader::pair();
        let mut listeners = self.0.lock();
        if listeners.len() >= MOST_LISTENERS {
            return Err(Error::unavailable("TOO_MANY_LISTENERS", "Too many follow sales now; try again.", 5));
        }
        sender.offer(state.event(None));
        if !state.is_over() {
            listeners.push(Listener { sale, sender, told: state, heard_at: now });
        }
        Ok(reader)
    }

    /// The sales that anybody follows.
    pub(crate) fn sales(&self) -> Vec<FlashSaleId> {
        let mut sales: Vec<FlashSaleId> = self.0.lock().iter().map(|listener| listener.sale).collect();
        sales.sort_unstable();
        sales.dedup();
        sales
    }

    /// Tells everybody what is new, and lets those go who left or whose sale is over.
    pub(crate) fn tell(&self, states: &BTreeMap<FlashSaleId, Option<State>>, now: Timestamp) {
        self.0.lock().retain_mut(|listener| match states.get(&listener.sale) {
            Some(state) => listener.tell(state.as_ref(), now),
            None => true,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALE: FlashSaleId = FlashSaleId(1);

    fn state(status: SaleStatus, json: &str) -> State {
        State { status, json: json.into() }
    }

    async fn heard(reader: &mut BodyReader) -> String {
        String::from_utf8(reader.next().await.unwrap().unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_slow_listener_skips_to_the_newest_and_one_that_left_is_let_go() {
        let (listeners, now) = (Listeners::default(), Timestamp::EPOCH);
        let mut slow = listeners.join(SALE, state(SaleStatus::Active, "0"), now).unwrap();
        drop(listeners.join(SALE, state(SaleStatus::Active, "0"), now).unwrap());
        for n in 1..=100 {
            listeners.tell(&BTreeMap::from([(SALE, Some(state(SaleStatus::Active, &n.to_string())))]), now);
        }
        assert_eq!(listeners.0.lock().len(), 1);
        for n in 0..8 {
            assert_eq!(heard(&mut slow).await, format!("event: remaining\ndata: {n}\n\n"));
        }
        listeners.tell(&BTreeMap::from([(SALE, Some(state(SaleStatus::Active, "100")))]), now);
        assert_eq!(heard(&mut slow).await, "event: remaining\ndata: 100\n\n");
        listeners.tell(&BTreeMap::from([(SALE, Some(state(SaleStatus::Active, "100")))]), now + KEEP_ALIVE);
        assert_eq!(heard(&mut slow).await, ": still here\n\n");
    }

    #[tokio::test]
    async fn there_is_room_for_so_many() {
        let listeners = Listeners::default();
        let join = || listeners.join(SALE, state(SaleStatus::Scheduled, "0"), Timestamp::EPOCH);
        let kept: Vec<_> = (0..MOST_LISTENERS).map(|_| join().unwrap()).collect();
        assert_eq!(join().unwrap_err().code(), "TOO_MANY_LISTENERS");
        drop(kept);
    }
}
