//! The running day as server-sent events. A listener is a channel with little room; the clock's job writes to it what has
//! changed since it last could, so that a rush is an event a second and a slow listener skips to the newest.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use promox_kernel::{Amount, BodyReader, BodySender, Cx, Error, Timestamp};
use serde::Serialize;

use crate::Analytics;
use crate::dashboard::Store;
use crate::queries::sums::Wanted;
use crate::rules::period::{Granularity, Period};
use crate::rules::ratios::{average, ratio};

/// Listeners of a node at most.
const MOST_LISTENERS: usize = 100;
/// A listener that hears nothing else hears this often that the stream lives; it is also how one that left is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What is said of the running day.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct News {
    from: Timestamp,
    orders: i64,
    revenue: Amount,
    discounts: Amount,
    refunds: Amount,
    net_revenue: Amount,
    average_order_value: Amount,
    items_sold: i64,
    new_customers: i64,
    visits: i64,
    conversion_rate: Option<Amount>,
}

/// The running day's figures as they are said.
pub(crate) async fn figures(analytics: &Analytics, cx: &Cx) -> Result<Arc<str>, Error> {
    let store = Store::of(cx).await?;
    let parts = Period { from: cx.now, to: Timestamp(i64::MAX) }.first(Granularity::Day, &store.zone);
    let sums = analytics.sum(parts, Wanted::default()).await?;
    let it = &sums.measures;
    let news = News {
        from: parts.from,
        orders: it.orders,
        revenue: store.told(it.revenue),
        discounts: store.told(it.discounts),
        refunds: store.told(it.refunds),
        net_revenue: store.told(sums.net_revenue()),
        average_order_value: average(it.revenue, it.orders, store.currency),
        items_sold: it.items,
        new_customers: it.new_customers,
        visits: it.visits,
        conversion_rate: ratio(it.orders, it.views),
    };
    Ok(serde_json::to_string(&news).map_err(Error::internal)?.into())
}

fn event(figures: &str) -> Bytes {
    Bytes::from(format!("event: figures\ndata: {figures}\n\n"))
}

/// Who follows the day.
#[derive(Debug)]
struct Listener {
    sender: BodySender,
    /// What it was told last.
    told: Arc<str>,
    heard_at: Timestamp,
}

impl Listener {
    /// Tells what is new; whether it still listens.
    fn tell(&mut self, figures: &Arc<str>, now: Timestamp) -> bool {
        let chunk = if *figures != self.told {
            event(figures)
        } else if now.since(self.heard_at) >= KEEP_ALIVE {
            Bytes::from_static(b": still here\n\n")
        } else {
            return true;
        };
        match self.sender.offer(chunk) {
            Some(true) => {
                self.told = figures.clone();
                self.heard_at = now;
                true
            }
            Some(false) => true,
            None => false,
        }
    }
}

/// Everybody who follows the day on this node.
#[derive(Debug, Default)]
pub(crate) struct Listeners(Mutex<Vec<Listener>>);

impl Listeners {
    /// Takes a listener in, who hears at once how the day stands.
    pub(crate) fn join(&self, figures: Arc<str>, now: Timestamp) -> Result<BodyReader, Error> {
        let (sender, reader) = BodyReader::pair();
        let mut listeners = self.0.lock();
        if listeners.len() >= MOST_LISTENERS {
            return Err(Error::unavailable("TOO_MANY_LISTENERS", "Too many follow the figures now; try again.", 5));
        }
        sender.offer(event(&figures));
        listeners.push(Listener { sender, told: figures, heard_at: now });
        Ok(reader)
    }

    fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    fn tell(&self, figures: &Arc<str>, now: Timestamp) {
        self.0.lock().retain_mut(|listener| listener.tell(figures, now));
    }
}

impl Analytics {
    /// Tells listeners what is new.
    pub(crate) async fn tell_listeners(&self, cx: &Cx) -> Result<bool, Error> {
        if !self.listeners.is_empty() {
            let figures = figures(self, cx).await?;
            self.listeners.tell(&figures, cx.now);
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn heard(reader: &mut BodyReader) -> String {
        String::from_utf8(reader.next().await.unwrap().unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_slow_listener_skips_to_the_newest_and_one_that_left_is_let_go() {
        let (listeners, now) = (Listeners::default(), Timestamp::EPOCH);
        let mut slow = listeners.join("0".into(), now).unwrap();
        drop(listeners.join("0".into(), now).unwrap());
        (1..=100).for_each(|n| listeners.tell(&n.to_string().into(), now));
        assert_eq!(listeners.0.lock().len(), 1);
        for n in 0..8 {
            assert_eq!(heard(&mut slow).await, format!("event: figures\ndata: {n}\n\n"));
        }
        listeners.tell(&"100".into(), now);
        assert_eq!(heard(&mut slow).await, "event: figures\ndata: 100\n\n");
        listeners.tell(&"100".into(), now + KEEP_ALIVE);
        assert_eq!(heard(&mut slow).await, ": still here\n\n");
    }

    #[tokio::test]
    async fn there_is_room_for_so_many() {
        let listeners = Listeners::default();
        let join = || listeners.join("0".into(), Timestamp::EPOCH);
        let kept: Vec<_> = (0..MOST_LISTENERS).map(|_| join().unwrap()).collect();
        assert_eq!(join().unwrap_err().code(), "TOO_MANY_LISTENERS");
        drop(kept);
    }
}
