//! Builds the replies: sums of periods, in the store's currency and zone, with the names of their subjects.

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
use crate::rules::period::{Period, period};
use crate::rules::ratios::{average, ratio};
use crate::rules::sold::Sold;
use crate::views::{
    CouponFigures, Figure, FlashFigures, PeriodFigures, PointFigures, ProductFigures, PromotionFigures, SalesFigures,
    Summary,
};

/// Names looked up by one read.
pub(crate) const NAMES: usize = 5_000;
/// How many top entries the dashboard shows.
const TOP: usize = 10;

/// The store's currency and zone.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(crate) currency: Currency,
    pub(crate) timezone: String,
    pub(crate) zone: TimeZone,
}

impl Store {
    /// Queries them.
    pub(crate) async fn of(cx: &Cx) -> Result<Self, Error> {
        let facts = cx.call(GetStoreProfile {}).await?;
        let zone = TimeZone::get(&facts.timezone).map_err(Error::internal)?;
        Ok(Self { currency: facts.currency, timezone: facts.timezone, zone })
    }

    /// The requested period.
    pub(crate) fn period(&self, cx: &Cx, from: Option<&String>, to: Option<&String>) -> Result<Period, Error> {
        period(from.map(String::as_str), to.map(String::as_str), cx.now, &self.zone)
    }

    /// An amount in the store's currency.
    pub(crate) fn amount(&self, amount: Amount) -> Amount {
        self.currency.round(amount.0)
    }
}

/// The figures of a period; `liability` is the points held at its end.
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

/// The value of a metric at a point.
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
        let held = self.points_held(&[period.to, before.to]).await?;
        let [held, held_before] = held.as_slice() else { return Err(Error::internal("a period without its points")) };
        let now = figures(store, period, &sums, *held);
        Ok(Summary {
            from: now.from,
            to: now.to,
            currency: store.currency,
            sales: now.sales,
            top_products: self.top_products(store, &sums, ProductOrder::Revenue, TOP).await?,
            top_promotions: top_promotions(cx, store, &sums).await?,
            flash_sales: top_flash_sales(cx, store, &sums).await?,
            coupons: now.coupons,
            points: now.points,
            previous: figures(store, before, &sums_before, *held_before),
        })
    }

    /// The top products, with their names.
    pub(crate) async fn top_products(
        &self,
        store: &Store,
        sums: &Sums,
        by: ProductOrder,
        most: usize,
    ) -> Result<Vec<ProductFigures>, Error> {
        let worth = |sold: &Sold| match by {
            ProductOrder::Revenue => sold.revenue.0,
            ProductOrder::Quantity => Decimal::from(sold.units),
            ProductOrder::Orders => Decimal::from(sold.orders),
        };
        let leading =
            leading(sums.products().map(|(number, sold)| (number, *sold)).collect(), most, |item| worth(&item.1));
        let mut described = Vec::with_capacity(leading.len());
        for some in leading.chunks(NAMES) {
            let found = |tx: &Tx<'_>| some.iter().map(|(number, _)| tx.get::<NumberedSku>(number)).collect();
            let rows: Vec<Option<NumberedSku>> = self.db.read::<_, StoreError, _>(found).await?;
            described.extend(rows.into_iter().zip(some).filter_map(|(row, (_, sold))| Some((row?, *sold))));
        }
        described.sort_by_cached_key(|(row, sold)| (Reverse(worth(sold)), row.sku.fold()));
        described.truncate(most);
        let figures = |(row, sold): (NumberedSku, Sold)| ProductFigures {
            sku: row.sku,
            product_id: row.product_id.map(ProductId),
            name: row.name,
            orders: sold.orders,
            quantity: sold.units,
            revenue: store.amount(sold.revenue),
        };
        Ok(described.into_iter().map(figures).collect())
    }
}

/// Those with the highest values, unordered, with all that equal the lowest of them: equals are ordered by their names,
/// not by their internal numbers.
pub(crate) fn leading<T>(mut all: Vec<T>, most: usize, worth: impl Fn(&T) -> Decimal) -> Vec<T> {
    if all.len() > most && most > 0 {
        let (_, least, _) = all.select_nth_unstable_by_key(most - 1, |item| Reverse(worth(item)));
        let least = worth(least);
        all.retain(|item| worth(item) >= least);
    }
    all
}

/// Those with the highest values first, the lower number first among equals.
fn best<T>(mut all: Vec<(i64, T)>, most: usize, worth: impl Fn(&T) -> Decimal) -> Vec<(i64, T)> {
    let key = |entry: &(i64, T)| (Reverse(worth(&entry.1)), entry.0);
    if all.len() > most && most > 0 {
        all.select_nth_unstable_by_key(most - 1, key);
        all.truncate(most);
    }
    all.sort_unstable_by_key(key);
    all
}

async fn top_promotions(cx: &Cx, store: &Store, sums: &Sums) -> Result<Vec<PromotionFigures>, Error> {
    let all: Vec<(i64, Attributed)> = sums.promotions.iter().map(|(id, part)| (*id, *part)).collect();
    let best = best(all, TOP, |part| part.revenue.0);
    if best.is_empty() {
        return Ok(Vec::new());
    }
    let ids = best.iter().map(|(id, _)| PromotionId(*id)).collect();
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
    Ok(best.into_iter().map(figures).collect())
}

async fn top_flash_sales(cx: &Cx, store: &Store, sums: &Sums) -> Result<Vec<FlashFigures>, Error> {
    let all: Vec<(i64, Sold)> = sums.flash_sales.iter().map(|(id, sold)| (*id, *sold)).collect();
    let best = best(all, TOP, |sold| sold.revenue.0);
    if best.is_empty() {
        return Ok(Vec::new());
    }
    let ids = best.iter().map(|(id, _)| FlashSaleId(*id)).collect();
    let known = cx.call(DescribeFlashSales { ids }).await?.items.into_iter();
    let mut names: BTreeMap<i64, String> = known.map(|item| (item.id.0, item.name)).collect();
    let figures = |(id, sold): (i64, Sold)| FlashFigures {
        flash_sale_id: FlashSaleId(id),
        name: names.remove(&id),
        orders: sold.orders,
        quantity: sold.units,
        revenue: store.amount(sold.revenue),
    };
    Ok(best.into_iter().map(figures).collect())
}
