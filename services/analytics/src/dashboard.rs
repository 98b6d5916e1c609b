//! Builds replies: the sums of periods in the store's currency and zone, with the names of products and promotions.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use promox_contract::flashsale::DescribeFlashSales;
use promox_contract::ids::{FlashSaleId, ProductId, PromotionId};
use promox_contract::promotion::DescribePromotions;
use promox_contract::store::GetStoreProfile;
use promox_kernel::{Amount, Currency, Cx, Error};
use promox_storage::{StoreError, Tx};
use rust_decimal::Decimal;

use crate::Analytics;
use crate::api::{Metric, ProductOrder};
use crate::queries::sums::{Sums, Wanted};
use crate::records::NumberedSku;
use crate::rules::attributed::Attributed;
use crate::rules::packed::Totals;
use crate::rules::period::{Period, period};
use crate::rules::ratios::{average, ratio};
use crate::rules::sold::Sold;
use crate::views::{
    CouponFigures, Figure, FlashFigures, PeriodFigures, PointFigures, ProductFigures, PromotionFigures, SalesFigures,
    Summary,
};

/// The maximum number of names looked up by one read.
pub(crate) const NAMES_PER_READ: usize = 5_000;

/// The number of top products, promotions and flash sales that the dashboard shows.
const TOP_COUNT: usize = 10;

/// The store's currency and zone.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(crate) currency: Currency,
    pub(crate) timezone: String,
    pub(crate) zone: TimeZone,
}

impl Store {
    /// Queries the store service for them.
    pub(crate) async fn of(cx: &Cx) -> Result<Self, Error> {
        let profile = cx.call(GetStoreProfile {}).await?;
        let zone = TimeZone::get(&profile.timezone).map_err(Error::internal)?;
        Ok(Self { currency: profile.currency, timezone: profile.timezone, zone })
    }

    /// Parses the requested period.
    pub(crate) fn period(&self, cx: &Cx, from: Option<&String>, to: Option<&String>) -> Result<Period, Error> {
        period(from.map(String::as_str), to.map(String::as_str), cx.now, &self.zone)
    }

    /// Rounds an amount to the store's currency.
    pub(crate) fn amount(&self, amount: Amount) -> Amount {
        self.currency.round(amount.0)
    }
}

/// The figures of a period. `liability` is the number of points that customers hold at its end.
fn figures(store: &Store, period: Period, sums: &Sums, liability: i64) -> PeriodFigures {
    let measures = &sums.measures;
    PeriodFigures {
        from: period.from,
        to: period.to,
        sales: SalesFigures {
            orders: measures.orders,
            revenue: store.amount(measures.revenue),
            discounts: store.amount(measures.discounts),
            refunds: store.amount(measures.refunds),
            returned: store.amount(measures.returned),
            net_revenue: store.amount(sums.net_revenue()),
            average_order_value: average(measures.revenue, measures.orders, store.currency),
            items_sold: measures.items,
            new_customers: measures.new_customers,
            returning_customers: sums.returning_customers(),
            conversion_rate: ratio(measures.orders, measures.views),
        },
        coupons: CouponFigures { issued: measures.coupons_issued, redeemed: measures.coupons_redeemed },
        points: PointFigures {
            awarded: measures.points_awarded,
            redeemed: measures.points_redeemed,
            expired: measures.points_expired,
            restored: measures.points_restored,
            revoked: measures.points_revoked,
            liability,
        },
    }
}

/// The value of a metric for sums.
pub(crate) fn metric(store: &Store, metric: Metric, sums: &Sums) -> Figure {
    let measures = &sums.measures;
    let money = |amount| Figure::Amount(Some(store.amount(amount)));
    match metric {
        Metric::Orders => Figure::Count(measures.orders),
        Metric::Revenue => money(measures.revenue),
        Metric::Discounts => money(measures.discounts),
        Metric::Refunds => money(measures.refunds),
        Metric::Returned => money(measures.returned),
        Metric::NetRevenue => money(sums.net_revenue()),
        Metric::AverageOrderValue => Figure::Amount(Some(average(measures.revenue, measures.orders, store.currency))),
        Metric::ItemsSold => Figure::Count(measures.items),
        Metric::NewCustomers => Figure::Count(measures.new_customers),
        Metric::ReturningCustomers => Figure::Count(sums.returning_customers()),
        Metric::Visits => Figure::Count(measures.visits),
        Metric::ProductViews => Figure::Count(measures.views),
        Metric::ConversionRate => Figure::Amount(ratio(measures.orders, measures.views)),
        Metric::CouponsIssued => Figure::Count(measures.coupons_issued),
        Metric::CouponsRedeemed => Figure::Count(measures.coupons_redeemed),
        Metric::PointsAwarded => Figure::Count(measures.points_awarded),
        Metric::PointsRedeemed => Figure::Count(measures.points_redeemed),
    }
}

impl Analytics {
    /// The dashboard of a period.
    pub(crate) async fn summary(&self, cx: &Cx, store: &Store, period: Period) -> Result<Summary, Error> {
        let wanted = Wanted { buyers: true, products: true, promotions: true, flash_sales: true, campaigns: false };
        let sums = self.sum(period, wanted).await?;
        let before = period.previous(&store.zone);
        let sums_before = self.sum(before, Wanted { buyers: true, ..Wanted::default() }).await?;
        // The period before ends where this one begins.
        let held_before = self.points_held(period.from).await?;
        let held = held_before + sums.measures.points_held();
        Ok(Summary {
            figures: figures(store, period, &sums, held),
            currency: store.currency,
            top_products: self.top_products(store, &sums, ProductOrder::Revenue, TOP_COUNT).await?,
            top_promotions: top_promotions(cx, store, &sums).await?,
            flash_sales: top_flash_sales(cx, store, &sums).await?,
            previous: figures(store, before, &sums_before, held_before),
        })
    }

    /// The top products, with their names.
    pub(crate) async fn top_products(
        &self,
        store: &Store,
        sums: &Sums,
        by: ProductOrder,
        limit: usize,
    ) -> Result<Vec<ProductFigures>, Error> {
        let value = |totals: &Totals| match by {
            ProductOrder::Revenue => totals.revenue,
            ProductOrder::Quantity => i128::from(totals.units),
            ProductOrder::Orders => i128::from(totals.orders),
        };
        let candidates = top_with_ties(sums.products.iter().collect(), limit, |(_, totals)| value(totals));
        let mut described = Vec::with_capacity(candidates.len());
        for chunk in candidates.chunks(NAMES_PER_READ) {
            let read = |tx: &Tx<'_>| chunk.iter().map(|(number, _)| tx.get::<NumberedSku>(number)).collect();
            let rows: Vec<Option<NumberedSku>> = self.db.read::<_, StoreError, _>(read).await?;
            described.extend(rows.into_iter().zip(chunk).filter_map(|(row, (_, totals))| Some((row?, *totals))));
        }
        described.sort_by_cached_key(|(row, totals)| (Reverse(value(totals)), row.sku.fold()));
        described.truncate(limit);
        let described = described.into_iter().map(|(row, totals)| (row, sums.products.sold(totals)));
        let figures = |(row, sold): (NumberedSku, Sold)| ProductFigures {
            sku: row.sku,
            product_id: row.product_id.map(ProductId),
            name: row.name,
            orders: sold.orders,
            quantity: sold.units,
            revenue: store.amount(sold.revenue),
        };
        Ok(described.map(figures).collect())
    }
}

/// The items with the `limit` highest values, in any order, and all items that tie with the lowest of them. The caller
/// orders ties by name, which does not depend on internal numbers.
pub(crate) fn top_with_ties<T, V: Ord>(mut all: Vec<T>, limit: usize, value: impl Fn(&T) -> V) -> Vec<T> {
    if all.len() > limit && limit > 0 {
        let (_, lowest, _) = all.select_nth_unstable_by_key(limit - 1, |item| Reverse(value(item)));
        let lowest = value(lowest);
        all.retain(|item| value(item) >= lowest);
    }
    all
}

/// The `limit` items with the highest values, highest first. Of equals, the one with the lower number comes first.
fn top<T>(mut all: Vec<(i64, T)>, limit: usize, value: impl Fn(&T) -> Decimal) -> Vec<(i64, T)> {
    let key = |entry: &(i64, T)| (Reverse(value(&entry.1)), entry.0);
    if all.len() > limit && limit > 0 {
        all.select_nth_unstable_by_key(limit - 1, key);
        all.truncate(limit);
    }
    all.sort_unstable_by_key(key);
    all
}

/// The promotions with the highest revenue, with their names.
async fn top_promotions(cx: &Cx, store: &Store, sums: &Sums) -> Result<Vec<PromotionFigures>, Error> {
    let all: Vec<(i64, Attributed)> = sums.promotions.iter().map(|(id, part)| (*id, *part)).collect();
    let top = top(all, TOP_COUNT, |part| part.revenue.0);
    if top.is_empty() {
        return Ok(Vec::new());
    }
    let ids = top.iter().map(|(id, _)| PromotionId(*id)).collect();
    let known = cx.call(DescribePromotions { ids }).await?.items.into_iter();
    let mut names: BTreeMap<i64, String> = known.map(|item| (item.id.0, item.name)).collect();
    let figures = |(id, part): (i64, Attributed)| PromotionFigures {
        promotion_id: PromotionId(id),
        name: names.remove(&id),
        orders: part.orders,
        revenue: store.amount(part.revenue),
        discount_cost: store.amount(part.cost),
        redemptions: part.redemptions,
        new_customers: part.new_customers,
    };
    Ok(top.into_iter().map(figures).collect())
}

/// The flash sales with the highest revenue, with their names.
async fn top_flash_sales(cx: &Cx, store: &Store, sums: &Sums) -> Result<Vec<FlashFigures>, Error> {
    let all: Vec<(i64, Sold)> = sums.flash_sales.iter().map(|(id, sold)| (*id, *sold)).collect();
    let top = top(all, TOP_COUNT, |sold| sold.revenue.0);
    if top.is_empty() {
        return Ok(Vec::new());
    }
    let ids = top.iter().map(|(id, _)| FlashSaleId(*id)).collect();
    let known = cx.call(DescribeFlashSales { ids }).await?.items.into_iter();
    let mut names: BTreeMap<i64, String> = known.map(|item| (item.id.0, item.name)).collect();
    let figures = |(id, sold): (i64, Sold)| FlashFigures {
        flash_sale_id: FlashSaleId(id),
        name: names.remove(&id),
        orders: sold.orders,
        quantity: sold.units,
        revenue: store.amount(sold.revenue),
    };
    Ok(top.into_iter().map(figures).collect())
}
