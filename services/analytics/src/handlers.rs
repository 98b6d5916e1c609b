//! Handlers of the operations: each parses the period, reads the sums and builds the reply.

use std::collections::BTreeMap;

use promox_contract::audit::Audited;
use promox_contract::campaign::GetCampaignStates;
use promox_contract::promotion::DescribePromotions;
use promox_kernel::{Amount, Cx, Download, Error, Handle, sha256};
use promox_storage::{Database, Lane, StoreError};

use crate::Analytics;
use crate::api::{
    FollowFigures, GetCampaignFigures, GetFunnel, GetPromotionFigures, GetRfm, GetState, GetSummary, Granularity,
    ListSeries, ListTopProducts, Metric, ProductOrder, Rebuild, RecordEvent,
};
use crate::commands::{generations, visits};
use crate::dashboard::{Store, metric, top_with_ties};
use crate::queries::sums::Wanted;
use crate::records::{Generation, GenerationStatus};
use crate::rules::attributed::Attributed;
use crate::rules::ratios::{CAMPAIGN_ROI, ROI, ratio, roi};
use crate::rules::rfm::{Buyer, Scores, Segment, score};
use crate::stream;
use crate::table::Tabled;
use crate::views::{
    CampaignView, CustomerFigures, Funnel, FunnelStep, GenerationView, LogView, Point, PromotionView, Rfm,
    SegmentFigures, Series, StateView, Summary, TopProducts,
};

impl Handle<GetSummary> for Analytics {
    async fn handle(&self, cx: &Cx, op: GetSummary) -> Result<Tabled<Summary>, Error> {
        let store = Store::of(cx).await?;
        let period = store.period(cx, op.from.as_ref(), op.to.as_ref())?;
        Ok(Tabled::new(cx, self.summary(cx, &store, period).await?))
    }
}

impl Handle<ListSeries> for Analytics {
    async fn handle(&self, cx: &Cx, op: ListSeries) -> Result<Tabled<Series>, Error> {
        let store = Store::of(cx).await?;
        let period = store.period(cx, op.from.as_ref(), op.to.as_ref())?;
        let (wanted, granularity) = (op.metric.unwrap_or(Metric::Revenue), op.granularity.unwrap_or(Granularity::Day));
        let parts = period.parts(granularity, &store.zone).ok_or_else(|| {
            let max = granularity.max_points();
            Error::field(
                "?granularity",
                format!(
                    "a chart has at most {max} points of a {granularity}; use a coarser granularity or a \
                         shorter period"
                ),
            )
        })?;
        let buyers = wanted == Metric::ReturningCustomers;
        let sums = self.sums(&parts, Wanted { buyers, ..Wanted::default() }).await?;
        let point = |(part, sums): (&crate::rules::period::Period, _)| Point {
            from: part.from,
            to: part.to,
            value: metric(&store, wanted, sums),
        };
        let items = parts.iter().zip(&sums).map(point).collect();
        let (currency, timezone) = (store.currency, store.timezone.clone());
        let (from, to) = (period.from, period.to);
        Ok(Tabled::new(cx, Series { metric: wanted, granularity, from, to, currency, timezone, items }))
    }
}

impl Handle<ListTopProducts> for Analytics {
    async fn handle(&self, cx: &Cx, op: ListTopProducts) -> Result<Tabled<TopProducts>, Error> {
        let store = Store::of(cx).await?;
        let period = store.period(cx, op.from.as_ref(), op.to.as_ref())?;
        let sums = self.sum(period, Wanted { products: true, ..Wanted::default() }).await?;
        let by = op.by.unwrap_or(ProductOrder::Revenue);
        let items = self.top_products(&store, &sums, by, op.limit.get()).await?;
        Ok(Tabled::new(cx, TopProducts { from: period.from, to: period.to, currency: store.currency, items }))
    }
}

impl Handle<GetFunnel> for Analytics {
    async fn handle(&self, cx: &Cx, op: GetFunnel) -> Result<Tabled<Funnel>, Error> {
        let store = Store::of(cx).await?;
        let period = store.period(cx, op.from.as_ref(), op.to.as_ref())?;
        let it = self.sum(period, Wanted::default()).await?.measures;
        let counts = [
            ("VISIT", it.visits),
            ("PRODUCT_VIEWED", it.views),
            ("CART_ADDED", it.carts),
            ("CHECKOUT_STARTED", it.checkouts),
            ("ORDER_PLACED", it.placed),
            ("ORDER", it.orders),
        ];
        let before = std::iter::once(it.visits).chain(counts.iter().map(|(_, count)| *count));
        let step = |((name, count), before): (&(&str, i64), i64)| FunnelStep {
            step: (*name).to_owned(),
            count: *count,
            of_visits: ratio(*count, it.visits),
            of_previous: ratio(*count, before),
        };
        let items = counts.iter().zip(before).map(step).collect();
        Ok(Tabled::new(cx, Funnel { from: period.from, to: period.to, items }))
    }
}

impl Handle<GetRfm> for Analytics {
    async fn handle(&self, cx: &Cx, op: GetRfm) -> Result<Tabled<Rfm>, Error> {
        let store = Store::of(cx).await?;
        let period = store.period(cx, op.from.as_ref(), op.to.as_ref())?;
        let buyers = self.buyers(period).await?;
        let mut ranked: Vec<(&Buyer, Scores)> = buyers.iter().zip(score(&buyers)).collect();
        let segments = segments(&store, &ranked);
        ranked = top_with_ties(ranked, op.limit.get(), |(buyer, _)| buyer.revenue.0);
        let numbers: Vec<i64> = ranked.iter().map(|(buyer, _)| buyer.number).collect();
        let names = self.customer_names(&numbers).await?;
        let mut named: Vec<_> = ranked.iter().zip(names).collect();
        named.sort_by(|(a, a_name), (b, b_name)| b.0.revenue.cmp(&a.0.revenue).then_with(|| a_name.cmp(b_name)));
        named.truncate(op.limit.get());
        let items = named.into_iter().map(|((buyer, scores), name)| customer(&store, buyer, *scores, name));
        Ok(Tabled::new(
            cx,
            Rfm {
                from: period.from,
                to: period.to,
                currency: store.currency,
                customers: i64::try_from(buyers.len()).unwrap_or(i64::MAX),
                segments,
                items: items.collect(),
            },
        ))
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

impl Handle<GetPromotionFigures> for Analytics {
    async fn handle(&self, cx: &Cx, op: GetPromotionFigures) -> Result<Tabled<PromotionView>, Error> {
        let store = Store::of(cx).await?;
        let period = store.period(cx, op.from.as_ref(), op.to.as_ref())?;
        let mut sums = self.sum(period, Wanted { promotions: true, ..Wanted::default() }).await?;
        let part = sums.promotions.remove(&op.id.0);
        if part.is_none() && cx.call(DescribePromotions { ids: vec![op.id] }).await?.items.is_empty() {
            return Err(Error::not_found("promotion"));
        }
        let Attributed { orders, redemptions, new_customers, revenue, cost } = part.unwrap_or_default();
        Ok(Tabled::new(
            cx,
            PromotionView {
                promotion_id: op.id,
                from: period.from,
                to: period.to,
                currency: store.currency,
                orders,
                revenue: store.amount(revenue),
                discount_cost: store.amount(cost),
                redemptions,
                new_customers,
                roi: roi(revenue, cost),
                roi_definition: ROI.to_owned(),
            },
        ))
    }
}

impl Handle<GetCampaignFigures> for Analytics {
    async fn handle(&self, cx: &Cx, op: GetCampaignFigures) -> Result<Tabled<CampaignView>, Error> {
        let store = Store::of(cx).await?;
        let period = store.period(cx, op.from.as_ref(), op.to.as_ref())?;
        let mut sums = self.sum(period, Wanted { campaigns: true, ..Wanted::default() }).await?;
        let part = sums.campaigns.remove(&op.id.0);
        if part.is_none() {
            let known = cx.call(GetCampaignStates { ids: vec![op.id], customer: None }).await?;
            known.items.first().ok_or_else(|| Error::not_found("campaign"))?;
        }
        let Attributed { orders, redemptions, new_customers, revenue, cost } = part.unwrap_or_default();
        Ok(Tabled::new(
            cx,
            CampaignView {
                campaign_id: op.id,
                from: period.from,
                to: period.to,
                currency: store.currency,
                orders,
                revenue: store.amount(revenue),
                discount_cost: store.amount(cost),
                redemptions,
                new_customers,
                roi: roi(revenue, cost),
                roi_definition: CAMPAIGN_ROI.to_owned(),
            },
        ))
    }
}

impl Handle<FollowFigures> for Analytics {
    async fn handle(&self, cx: &Cx, _: FollowFigures) -> Result<Download, Error> {
        let state = stream::figures(self, cx).await?;
        let reader = self.listeners.join((), state, cx.now)?;
        Ok(Download::stream("text/event-stream", reader))
    }
}

impl Handle<RecordEvent> for Analytics {
    async fn handle(&self, cx: &Cx, op: RecordEvent) -> Result<(), Error> {
        let is_valid =
            (8..=128).contains(&op.session_id.len()) && op.session_id.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_valid {
            return Err(Error::field("/sessionId", "must be 8 to 128 printable ASCII characters without spaces"));
        }
        let session = sha256([op.session_id.as_bytes()]).to_vec();
        let RecordEvent { stage, product_id, .. } = op;
        let now = cx.now;
        if self.db.read(|tx| visits::is_recorded(tx, &session, stage, now)).await? {
            return Ok(());
        }
        Ok(self.db.write_in(cx, Lane::Bulk, move |tx| visits::record(tx, &session, stage, product_id)).await?)
    }
}

impl Handle<GetState> for Analytics {
    async fn handle(&self, _: &Cx, _: GetState) -> Result<StateView, Error> {
        Ok(self.state().await?)
    }
}

impl Handle<Rebuild> for Analytics {
    async fn handle(&self, cx: &Cx, _: Rebuild) -> Result<StateView, Error> {
        self.begin_rebuild(cx).await?;
        Ok(self.state().await?)
    }
}

impl Analytics {
    /// Starts a rebuild, unless one is running.
    pub(crate) async fn begin_rebuild(&self, cx: &Cx) -> Result<(), Error> {
        let actor = cx.principal.name();
        let begin = move |tx: &mut promox_storage::Tx<'_>| {
            let row = generations::rebuild(tx)?;
            let subject = format!("generation:{}", row.id);
            let entry = Audited::new(actor.clone(), "analytics.rebuild", subject, (), row.started_at);
            tx.emit(i64::from(row.id), &entry)
        };
        Ok(self.db.write(cx, begin).await?)
    }

    /// The positions of the current generation and of a running rebuild in the event logs.
    #[allow(clippy::redundant_closure_for_method_calls, reason = "the method alone is not general over lifetimes")]
    pub(crate) async fn state(&self) -> Result<StateView, StoreError> {
        let shop = self.shop.last_position().await?;
        let read = |tx: &promox_storage::Tx<'_>| Ok::<_, StoreError>((generations::all(tx)?, tx.last_position()?));
        let (rows, promox) = self.db.read(read).await?;
        let positions = self.positions.lock();
        let view = |row: &Generation| GenerationView {
            generation: row.id,
            shop: LogView { position: positions.of(row, Database::Ecommerce), last: shop },
            promotion: LogView { position: positions.of(row, Database::Promox), last: promox },
            started_at: row.started_at,
        };
        let with_status = |status| rows.iter().find(|row| row.status == status).map(view);
        Ok(StateView {
            current: with_status(GenerationStatus::Current),
            rebuild: with_status(GenerationStatus::Rebuilding),
        })
    }
}
