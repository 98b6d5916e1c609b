//! Builds the replies beside the dashboard: series, the funnel, customers by segment, and the effect of promotions and campaigns.

use std::collections::BTreeMap;

use promox_kernel::{Amount, Error};

use crate::Analytics;
use crate::api::{Granularity, Metric};
use crate::dashboard::{Store, metric, top_with_ties};
use crate::queries::sums::{Sums, Wanted};
use crate::rules::attributed::Attributed;
use crate::rules::measures::Measures;
use crate::rules::period::Period;
use crate::rules::ratios::{ratio, roi};
use crate::rules::rfm::{Buyer, Scores, Segment, score};
use crate::views::{CustomerFigures, EffectFigures, Funnel, FunnelStep, Point, Rfm, SegmentFigures, Series};

impl Analytics {
    /// A metric over a period, by granularity.
    pub(crate) async fn series(
        &self,
        store: &Store,
        period: Period,
        wanted: Metric,
        granularity: Granularity,
    ) -> Result<Series, Error> {
        let parts = period.parts(granularity, &store.zone).ok_or_else(|| too_many_points(granularity))?;
        let buyers = wanted == Metric::ReturningCustomers;
        let sums = self.sums(&parts, Wanted { buyers, ..Wanted::default() }).await?;
        let point =
            |(part, sums): (&Period, &Sums)| Point { from: part.from, to: part.to, value: metric(store, wanted, sums) };
        Ok(Series {
            metric: wanted,
            granularity,
            from: period.from,
            to: period.to,
            currency: store.currency,
            timezone: store.timezone.clone(),
            items: parts.iter().zip(&sums).map(point).collect(),
        })
    }

    /// Customers by recency, frequency and monetary value: all in the segments, at most `most` by name.
    pub(crate) async fn rfm(&self, store: &Store, period: Period, most: usize) -> Result<Rfm, Error> {
        let buyers = self.buyers(period).await?;
        let mut ranked: Vec<(&Buyer, Scores)> = buyers.iter().zip(score(&buyers)).collect();
        let segments = segments(store, &ranked);
        ranked = top_with_ties(ranked, most, |(buyer, _)| buyer.revenue.0);
        let numbers: Vec<i64> = ranked.iter().map(|(buyer, _)| buyer.number).collect();
        let names = self.customer_names(&numbers).await?;
        let mut named: Vec<_> = ranked.iter().zip(names).collect();
        named.sort_by(|(a, a_name), (b, b_name)| b.0.revenue.cmp(&a.0.revenue).then_with(|| a_name.cmp(b_name)));
        named.truncate(most);
        let items = named.into_iter().map(|((buyer, scores), name)| customer(store, buyer, *scores, name));
        Ok(Rfm {
            from: period.from,
            to: period.to,
            currency: store.currency,
            customers: i64::try_from(buyers.len()).unwrap_or(i64::MAX),
            segments,
            items: items.collect(),
        })
    }
}

fn too_many_points(granularity: Granularity) -> Error {
    let max = granularity.max_points();
    let detail =
        format!("a chart has at most {max} points of a {granularity}; use a coarser granularity or a shorter period");
    Error::field("?granularity", detail)
}

/// The steps from a visit to an order.
pub(crate) fn funnel(period: Period, measures: &Measures) -> Funnel {
    let counts = [
        ("VISIT", measures.visits),
        ("PRODUCT_VIEWED", measures.views),
        ("CART_ADDED", measures.carts),
        ("CHECKOUT_STARTED", measures.checkouts),
        ("ORDER_PLACED", measures.placed),
        ("ORDER", measures.orders),
    ];
    let before = std::iter::once(measures.visits).chain(counts.iter().map(|(_, count)| *count));
    let step = |((name, count), before): (&(&str, i64), i64)| FunnelStep {
        step: (*name).to_owned(),
        count: *count,
        of_visits: ratio(*count, measures.visits),
        of_previous: ratio(*count, before),
    };
    Funnel { from: period.from, to: period.to, items: counts.iter().zip(before).map(step).collect() }
}

/// The effect of a promotion or a campaign in a period; `definition` is how its ROI is defined.
pub(crate) fn effect(store: &Store, period: Period, part: Attributed, definition: &str) -> EffectFigures {
    EffectFigures {
        from: period.from,
        to: period.to,
        currency: store.currency,
        orders: part.orders,
        revenue: store.amount(part.revenue),
        discount_cost: store.amount(part.cost),
        redemptions: part.redemptions,
        new_customers: part.new_customers,
        roi: roi(part.revenue, part.cost),
        roi_definition: definition.to_owned(),
    }
}

fn segments(store: &Store, ranked: &[(&Buyer, Scores)]) -> Vec<SegmentFigures> {
    let mut sums = BTreeMap::<Segment, (i64, i64, Amount)>::new();
    for (buyer, scores) in ranked {
        let (customers, orders, revenue) = sums.entry(scores.segment()).or_default();
        *customers += 1;
        *orders += buyer.orders;
        *revenue += buyer.revenue;
    }
    let figures = |segment: &Segment| {
        let (customers, orders, revenue) = sums.get(segment).copied().unwrap_or_default();
        SegmentFigures { segment: *segment, customers, orders, revenue: store.amount(revenue) }
    };
    Segment::ALL.iter().map(figures).collect()
}

fn customer(store: &Store, buyer: &Buyer, scores: Scores, name: String) -> CustomerFigures {
    CustomerFigures {
        customer: name,
        segment: scores.segment(),
        recency: scores.recency,
        frequency: scores.frequency,
        monetary: scores.monetary,
        orders: buyer.orders,
        revenue: store.amount(buyer.revenue),
        last_order_at: buyer.last,
    }
}
