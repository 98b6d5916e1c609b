//! Handlers of the operations: each parses the period, reads the sums and builds the reply.

use promox_contract::campaign::GetCampaignStates;
use promox_contract::promotion::DescribePromotions;
use promox_kernel::{Cx, Download, Error, Handle, sha256};
use promox_storage::Lane;

use crate::api::{
    FollowFigures, GetCampaignFigures, GetFunnel, GetPromotionFigures, GetRfm, GetState, GetSummary, Granularity,
    ListSeries, ListTopProducts, Metric, ProductOrder, Rebuild, RecordEvent,
};
use crate::commands::visits;
use crate::dashboard::Store;
use crate::queries::sums::Wanted;
use crate::rules::ratios::{CAMPAIGN_ROI, ROI};
use crate::table::Tabled;
use crate::views::{CampaignView, Funnel, PromotionView, Rfm, Series, StateView, Summary, TopProducts};
use crate::{Analytics, reports, stream};

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
        let (metric, granularity) = (op.metric.unwrap_or(Metric::Revenue), op.granularity.unwrap_or(Granularity::Day));
        Ok(Tabled::new(cx, self.series(&store, period, metric, granularity).await?))
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
        let period = Store::of(cx).await?.period(cx, op.from.as_ref(), op.to.as_ref())?;
        let measures = self.sum(period, Wanted::default()).await?.measures;
        Ok(Tabled::new(cx, reports::funnel(period, &measures)))
    }
}

impl Handle<GetRfm> for Analytics {
    async fn handle(&self, cx: &Cx, op: GetRfm) -> Result<Tabled<Rfm>, Error> {
        let store = Store::of(cx).await?;
        let period = store.period(cx, op.from.as_ref(), op.to.as_ref())?;
        Ok(Tabled::new(cx, self.rfm(&store, period, op.limit.get()).await?))
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
        let effect = reports::effect(&store, period, part.unwrap_or_default(), ROI);
        Ok(Tabled::new(cx, PromotionView { promotion_id: op.id, effect }))
    }
}

impl Handle<GetCampaignFigures> for Analytics {
    async fn handle(&self, cx: &Cx, op: GetCampaignFigures) -> Result<Tabled<CampaignView>, Error> {
        let store = Store::of(cx).await?;
        let period = store.period(cx, op.from.as_ref(), op.to.as_ref())?;
        let mut sums = self.sum(period, Wanted { campaigns: true, ..Wanted::default() }).await?;
        let part = sums.campaigns.remove(&op.id.0);
        let states = GetCampaignStates { ids: vec![op.id], customer: None };
        if part.is_none() && cx.call(states).await?.items.is_empty() {
            return Err(Error::not_found("campaign"));
        }
        let effect = reports::effect(&store, period, part.unwrap_or_default(), CAMPAIGN_ROI);
        Ok(Tabled::new(cx, CampaignView { campaign_id: op.id, effect }))
    }
}

impl Handle<FollowFigures> for Analytics {
    async fn handle(&self, cx: &Cx, _: FollowFigures) -> Result<Download, Error> {
        let state = stream::figures(self, cx).await?;
        let reader = self.listeners.join(cx, (), state)?;
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
