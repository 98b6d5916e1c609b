//! The figures of the current day as server-sent events.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use promox_kernel::{Amount, Cx, Error, Streamed, Timestamp, server_sent};
use serde::Serialize;

use crate::Analytics;
use crate::dashboard::Store;
use crate::queries::sums::Wanted;
use crate::rules::period::{Granularity, Period};
use crate::rules::ratios::{average, ratio};

/// The maximum number of listeners of a node.
pub(crate) const MAX_LISTENERS: usize = 100;

/// The figures of the current day, as they are sent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DayFigures {
    from: Timestamp,
    orders: i64,
    revenue: Amount,
    discounts: Amount,
    refunds: Amount,
    returned: Amount,
    net_revenue: Amount,
    average_order_value: Amount,
    items_sold: i64,
    new_customers: i64,
    visits: i64,
    conversion_rate: Option<Amount>,
}

/// The figures of the current day as JSON text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figures(Arc<str>);

impl Streamed for Figures {
    fn event(&self, _: Option<&Self>) -> Bytes {
        server_sent("figures", &self.0)
    }
}

/// Reads the figures of the current day in the store's zone.
pub(crate) async fn figures(analytics: &Analytics, cx: &Cx) -> Result<Figures, Error> {
    let store = Store::of(cx).await?;
    let today = Period { from: cx.now, to: Timestamp(i64::MAX) }.first_part(Granularity::Day, &store.zone);
    let sums = analytics.sum(today, Wanted::default()).await?;
    let it = &sums.measures;
    let day = DayFigures {
        from: today.from,
        orders: it.orders,
        revenue: store.amount(it.revenue),
        discounts: store.amount(it.discounts),
        refunds: store.amount(it.refunds),
        returned: store.amount(it.returned),
        net_revenue: store.amount(sums.net_revenue()),
        average_order_value: average(it.revenue, it.orders, store.currency),
        items_sold: it.items,
        new_customers: it.new_customers,
        visits: it.visits,
        conversion_rate: ratio(it.orders, it.views),
    };
    Ok(Figures(serde_json::to_string(&day).map_err(Error::internal)?.into()))
}

impl Analytics {
    /// Sends listeners the figures if they have changed. There is never more to do immediately.
    pub(crate) async fn publish(&self, cx: &Cx) -> Result<bool, Error> {
        if !self.listeners.topics().is_empty() {
            let figures = figures(self, cx).await?;
            self.listeners.publish(&BTreeMap::from([((), Some(figures))]), cx.now);
        }
        Ok(false)
    }
}
