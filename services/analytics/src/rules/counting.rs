//! The contribution of an order: whether it counts, its revenue, and the share of each promotion and flash sale.

use std::collections::BTreeMap;

use promox_contract::analytics::below_list;
use promox_contract::order::{FigureLine, FigureUse, OrderFigure, OrderStatus};
use promox_contract::order_line::OrderLine;
use promox_kernel::encoding::{Column, ColumnType};
use promox_kernel::{Amount, Timestamp};

use super::measures::{Measures, plain};
use super::sold::{Products, Sold};

/// The use of a promotion by an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) promotion: i64,
    pub(crate) campaign: Option<i64>,
    /// The cost of the promotion: discounts on goods and shipping, and gifts at their catalog prices.
    pub(crate) cost: Amount,
}

/// The promotions of an order, by ascending id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uses(pub(crate) Vec<Use>);

impl Column for Uses {
    const TYPE: ColumnType = ColumnType::Bytea;
    fn put(&self, out: &mut Vec<u8>) {
        let put = |it: &Use, out: &mut Vec<u8>| {
            it.promotion.put(out);
            it.campaign.put(out);
            plain(it.cost).put(out);
        };
        put_list(&self.0, put, out);
    }
    fn take(input: &mut &[u8]) -> Option<Self> {
        let take = |input: &mut &[u8]| {
            Some(Use { promotion: i64::take(input)?, campaign: Column::take(input)?, cost: Amount::take(input)? })
        };
        take_list(input, take).map(Self)
    }
}

/// By campaign, the number of its promotions and flash sales that an order used, and their cost.
pub(crate) fn campaigns(uses: &Uses, sales: &CampaignSales) -> BTreeMap<i64, (i64, Amount)> {
    let promotions = uses.0.iter().filter_map(|item| Some((item.campaign?, item.cost)));
    let sales = sales.0.iter().map(|sale| (sale.campaign, sale.cost));
    let mut campaigns = BTreeMap::<i64, (i64, Amount)>::new();
    for (campaign, part_cost) in promotions.chain(sales) {
        let (uses, cost) = campaigns.entry(campaign).or_default();
        *uses += 1;
        *cost += part_cost;
    }
    campaigns
}

/// A campaign's flash sale in an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CampaignSale {
    pub(crate) sale: i64,
    pub(crate) campaign: i64,
    /// The cost of the sale: the list prices of its units less their sale prices.
    pub(crate) cost: Amount,
}

/// The campaigns' flash sales in an order, by ascending id. Older rows lack the column and are read as empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CampaignSales(pub(crate) Vec<CampaignSale>);

impl Column for CampaignSales {
    const TYPE: ColumnType = ColumnType::Bytea;
    fn put(&self, out: &mut Vec<u8>) {
        let put = |it: &CampaignSale, out: &mut Vec<u8>| {
            it.sale.put(out);
            it.campaign.put(out);
            plain(it.cost).put(out);
        };
        put_list(&self.0, put, out);
    }
    fn take(input: &mut &[u8]) -> Option<Self> {
        let take = |input: &mut &[u8]| {
            Some(CampaignSale { sale: i64::take(input)?, campaign: i64::take(input)?, cost: Amount::take(input)? })
        };
        take_list(input, take).map(Self)
    }
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

/// What an order bought in a flash sale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FlashPart {
    pub(crate) sale: i64,
    pub(crate) units: i64,
    pub(crate) revenue: Amount,
}

/// What an order bought in flash sales, by the sales' ascending ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flash(pub(crate) Vec<FlashPart>);

impl Column for Flash {
    const TYPE: ColumnType = ColumnType::Bytea;
    fn put(&self, out: &mut Vec<u8>) {
        let put = |it: &FlashPart, out: &mut Vec<u8>| {
            it.sale.put(out);
            it.units.put(out);
            plain(it.revenue).put(out);
        };
        put_list(&self.0, put, out);
    }
    fn take(input: &mut &[u8]) -> Option<Self> {
        let take = |input: &mut &[u8]| {
            Some(FlashPart { sale: i64::take(input)?, units: i64::take(input)?, revenue: Amount::take(input)? })
        };
        take_list(input, take).map(Self)
    }
}

/// Encodes items one after the other in one column.
fn put_list<T>(items: &[T], put: impl Fn(&T, &mut Vec<u8>), out: &mut Vec<u8>) {
    let mut bytes = Vec::new();
    items.iter().for_each(|item| put(item, &mut bytes));
    bytes.put(out);
}

/// Decodes items that were encoded by [`put_list`]; `None` if the bytes are invalid.
fn take_list<T>(input: &mut &[u8], take: impl Fn(&mut &[u8]) -> Option<T>) -> Option<Vec<T>> {
    let bytes = Vec::<u8>::take(input)?;
    let (mut rest, mut items) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        items.push(take(&mut rest)?);
    }
    Some(items)
}

/// Whether an order counts, which it does unless it is pending, failed or cancelled.
pub(crate) fn counts(status: OrderStatus) -> bool {
    !matches!(status, OrderStatus::Pending | OrderStatus::Failed | OrderStatus::Cancelled)
}

/// 1 if the order was placed in this store, 0 if it was imported.
pub(crate) fn placed(order: &OrderFigure) -> i64 {
    i64::from(!order.imported)
}

/// The measures of an order that counts.
pub(crate) fn measures(order: &OrderFigure) -> Measures {
    let tax_inside = order.prices_include_tax;
    Measures {
        orders: 1,
        placed: placed(order),
        items: order.lines.iter().map(|line| i64::from(line.line.quantity)).sum(),
        revenue: order.lines.iter().map(|line| line.line.net(tax_inside)).sum(),
        discounts: order.totals.discount,
        returned: order.returned,
        ..Measures::default()
    }
}

/// The sales of each product in an order. `number` returns the number of a line's product.
pub(crate) fn sold(order: &OrderFigure, number: impl Fn(&OrderLine) -> Option<i64>) -> Products {
    let mut products = BTreeMap::<i64, Sold>::new();
    for FigureLine { line, .. } in &order.lines {
        let Some(number) = number(line) else { continue };
        let sold = products.entry(number).or_default();
        sold.orders = 1;
        sold.units += i64::from(line.quantity);
        sold.revenue += line.net(order.prices_include_tax);
    }
    Products(products.into_iter().collect())
}

/// The promotions that an order used.
pub(crate) fn uses(order: &OrderFigure) -> Uses {
    let to_use = |it: &FigureUse| Use {
        promotion: it.promotion_id.0,
        campaign: it.campaign_id.map(|id| id.0),
        cost: plain(it.cost),
    };
    let mut uses: Vec<Use> = order.uses.iter().map(to_use).collect();
    uses.sort_by_key(|item| item.promotion);
    Uses(uses)
}

/// The refunds of an order, by time.
pub(crate) fn refunds(order: &OrderFigure) -> BTreeMap<Timestamp, Amount> {
    let mut refunds = BTreeMap::<Timestamp, Amount>::new();
    for refund in &order.refunds {
        *refunds.entry(refund.at).or_default() += refund.amount;
    }
    refunds
}

/// What an order bought in flash sales.
pub(crate) fn flash(order: &OrderFigure) -> Flash {
    let mut sales = BTreeMap::<i64, (i64, Amount)>::new();
    for FigureLine { line, .. } in &order.lines {
        let Some(sale) = line.flash_sale_id else { continue };
        let (units, sum) = sales.entry(sale.0).or_default();
        *units += i64::from(line.quantity);
        *sum += line.net(order.prices_include_tax);
    }
    let part = |(sale, (units, revenue)): (i64, (i64, Amount))| FlashPart { sale, units, revenue: plain(revenue) };
    Flash(sales.into_iter().map(part).collect())
}

/// The cost of the campaigns' flash sales in an order. A unit that was sold above its list price has no cost.
pub(crate) fn campaign_sales(order: &OrderFigure) -> CampaignSales {
    let mut sales = BTreeMap::<(i64, i64), Amount>::new();
    for FigureLine { line, campaign_id } in &order.lines {
        let (Some(sale), Some(campaign)) = (line.flash_sale_id, *campaign_id) else { continue };
        *sales.entry((sale.0, campaign.0)).or_default() += below_list(line.list_price, line.unit_price, line.quantity);
    }
    let part = |((sale, campaign), cost): ((i64, i64), Amount)| CampaignSale { sale, campaign, cost: plain(cost) };
    CampaignSales(sales.into_iter().map(part).collect())
}

/// The identifier of an order's customer; `None` if later orders of the same customer could not be recognised.
pub(crate) fn known_customer(order: &OrderFigure) -> Option<&str> {
    Some(order.customer.as_str()).filter(|customer| !customer.starts_with("order:"))
}
