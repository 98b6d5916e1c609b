//! Tests of the figures of orders, refunds, credit notes, promotions, coupons and points.

use promox_contract::coupon::{CouponRedeemed, CouponReleased, CouponsIssued};
use promox_contract::ids::{CampaignId, FlashSaleId, OrderId, ProductId, PromotionId};
use promox_contract::order::OrderStatus;
use promox_contract::reward::{PointsAwarded, PointsExpired, PointsFact, PointsRedeemed};
use promox_kernel::{Amount, UserId};
use promox_storage::Database;
use promox_testkit::sample::{amount, at};

use super::world::{World, line, order, refund, used};
use crate::api::{
    GetCampaignFigures, GetPromotionFigures, GetSummary, ListSeries, ListTopProducts, Metric, ProductOrder,
};
use crate::views::{Figure, Summary};

async fn summary(world: &World, from: &str, to: &str) -> Summary {
    let op = GetSummary { from: Some(from.to_owned()), to: Some(to.to_owned()) };
    world.call(op).await.unwrap().body
}

#[tokio::test]
async fn failed_and_cancelled_orders_do_not_count() {
    let world = World::new();
    let first = order(1, "user:1", at("2024-03-01T10:00:00Z"), vec![line(("A", 2, "10.00", "3.00"))]);
    let second =
        order(2, "user:1", at("2024-03-02T10:00:00Z"), vec![line(("A", 1, "10.00", "0")), line(("B", 4, "1.25", "0"))]);
    world.order(first.clone()).await;
    world.order(second.clone()).await;
    world.order(order(3, "order:3", at("2024-03-02T11:00:00Z"), vec![line(("B", 1, "1.25", "0"))])).await;
    world.follow().await;
    let figures = summary(&world, "2024-03-01", "2024-04-01").await;
    assert_eq!((figures.figures.sales.orders, figures.figures.sales.items_sold), (3, 8));
    assert_eq!(
        (figures.figures.sales.revenue.to_string(), figures.figures.sales.discounts.to_string()),
        ("33.25".into(), "3.00".into())
    );
    assert_eq!(figures.figures.sales.average_order_value.to_string(), "11.08");
    assert_eq!((figures.figures.sales.new_customers, figures.figures.sales.returning_customers), (1, 0));
    assert_eq!(figures.figures.sales.conversion_rate, None);
    let best: Vec<_> = figures
        .top_products
        .iter()
        .map(|product| (product.sku.as_str(), product.orders, product.quantity, product.revenue.to_string()))
        .collect();
    assert_eq!(best, [("A", 2, 3, "27.00".to_owned()), ("B", 2, 5, "6.25".to_owned())]);
    world.order(promox_contract::order::OrderFigure { status: OrderStatus::Cancelled, ..first }).await;
    world.follow().await;
    let figures = summary(&world, "2024-03-01", "2024-04-01").await;
    assert_eq!((figures.figures.sales.orders, figures.figures.sales.revenue.to_string()), (2, "16.25".to_owned()));
    assert_eq!(
        (figures.figures.sales.new_customers, figures.figures.sales.returning_customers),
        (1, 0),
        "the second order is now the first"
    );
    let later = summary(&world, "2024-03-02T10:30:00", "2024-04-01").await;
    assert_eq!(
        (later.figures.sales.orders, later.figures.sales.new_customers, later.figures.sales.returning_customers),
        (1, 0, 0),
        "an order of an unknown customer counts for no customer"
    );
    assert_eq!(later.previous.sales.orders, 1);
}

#[tokio::test]
async fn included_tax_is_not_revenue() {
    let world = World::new();
    let mut taxed = line(("A", 1, "12.00", "0"));
    taxed.line.tax = amount("2.00");
    let mut inside = order(1, "user:1", at("2024-03-01T10:00:00Z"), vec![taxed]);
    inside.prices_include_tax = true;
    let mut outside = inside.clone();
    (outside.id, outside.prices_include_tax) = (OrderId(2), false);
    world.order(inside).await;
    world.order(outside).await;
    world.follow().await;
    assert_eq!(summary(&world, "2024-03-01", "2024-03-02").await.figures.sales.revenue.to_string(), "22.00");
}

#[tokio::test]
async fn refunds_count_by_their_date_and_returned_revenue_by_the_orders_date() {
    let world = World::new();
    let mut sold = order(1, "user:1", at("2024-03-01T10:00:00Z"), vec![line(("A", 2, "10.00", "0"))]);
    let mut undone = order(2, "user:2", at("2024-03-01T11:00:00Z"), vec![line(("A", 1, "10.00", "0"))]);
    world.order(sold.clone()).await;
    world.order(undone.clone()).await;
    sold.refunds = vec![refund(at("2024-03-05T10:00:00Z"), "11.90")];
    sold.returned = amount("10.00");
    undone.refunds = vec![refund(at("2024-03-05T11:00:00Z"), "4.00"), refund(at("2024-03-06T11:00:00Z"), "6.00")];
    undone.returned = amount("10.00");
    world.refunded(sold).await;
    world.refunded(undone.clone()).await;
    world.follow().await;
    let day = summary(&world, "2024-03-05", "2024-03-06").await;
    let figures = (
        day.figures.sales.refunds.to_string(),
        day.figures.sales.returned.to_string(),
        day.figures.sales.net_revenue.to_string(),
    );
    assert_eq!(
        figures,
        ("15.90".into(), "0.00".into(), "0.00".into()),
        "returned revenue counts at the date of its order"
    );
    let day = summary(&world, "2024-03-01", "2024-03-02").await;
    let figures = (
        day.figures.sales.refunds.to_string(),
        day.figures.sales.returned.to_string(),
        day.figures.sales.net_revenue.to_string(),
    );
    assert_eq!(figures, ("0.00".into(), "20.00".into(), "10.00".into()));
    world.order(promox_contract::order::OrderFigure { status: OrderStatus::Cancelled, ..undone }).await;
    world.note(7, amount("-2.50"), at("2024-03-05T23:59:59.999999Z")).await;
    world.follow().await;
    let day = summary(&world, "2024-03-05", "2024-03-06").await;
    assert_eq!(day.figures.sales.refunds.to_string(), "18.40", "refunds of a cancelled order count too");
    let all = summary(&world, "2024-03-01", "2024-04-01").await;
    let figures = (
        all.figures.sales.revenue.to_string(),
        all.figures.sales.returned.to_string(),
        all.figures.sales.net_revenue.to_string(),
    );
    assert_eq!(figures, ("20.00".into(), "10.00".into(), "10.00".into()));
    let op = ListSeries {
        metric: Some(Metric::Returned),
        granularity: Some("day".parse().unwrap()),
        from: Some("2024-03-01".to_owned()),
        to: Some("2024-03-03".to_owned()),
    };
    let values: Vec<Figure> = world.call(op).await.unwrap().body.items.iter().map(|point| point.value).collect();
    assert_eq!(values, [Figure::Amount(Some(amount("10.00"))), Figure::Amount(Some(amount("0.00")))]);
}

#[tokio::test]
async fn promotions_and_campaigns_have_a_cost_and_a_return() {
    let world = World::new();
    let mut sold = order(1, "user:1", at("2024-03-01T10:00:00Z"), vec![line(("A", 2, "10.00", "4.00"))]);
    sold.uses = vec![used(5, None, "4.00"), used(6, Some(3), "2.00")];
    world.order(sold.clone()).await;
    world.follow().await;
    let period = || (Some("2024-03-01".to_owned()), Some("2024-03-02".to_owned()));
    let (from, to) = period();
    let figures = world.call(GetPromotionFigures { id: PromotionId(5), from, to }).await.unwrap().body.effect;
    assert_eq!((figures.orders, figures.redemptions, figures.new_customers), (1, 1, 1));
    assert_eq!((figures.revenue.to_string(), figures.discount_cost.to_string()), ("16.00".into(), "4.00".into()));
    assert_eq!(figures.roi.unwrap().to_string(), "3.0000");
    let (from, to) = period();
    let figures = world.call(GetCampaignFigures { id: CampaignId(3), from, to }).await.unwrap().body.effect;
    assert_eq!(
        (figures.orders, figures.discount_cost.to_string(), figures.roi.unwrap().to_string()),
        (1, "2.00".into(), "7.0000".into())
    );
    let top = summary(&world, "2024-03-01", "2024-03-02").await.top_promotions;
    let names: Vec<_> = top.iter().map(|item| item.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["Promotion 5", "Promotion 6"]);
    world.order(promox_contract::order::OrderFigure { status: OrderStatus::Cancelled, ..sold }).await;
    world.follow().await;
    let (from, to) = period();
    let figures = world.call(GetPromotionFigures { id: PromotionId(5), from, to }).await.unwrap().body.effect;
    assert_eq!((figures.orders, figures.roi), (0, None));
    let (from, to) = period();
    assert_eq!(
        world.call(GetPromotionFigures { id: PromotionId(500), from, to }).await.unwrap_err().code(),
        "NOT_FOUND"
    );
    let (from, to) = period();
    assert_eq!(world.call(GetCampaignFigures { id: CampaignId(9), from, to }).await.unwrap_err().code(), "NOT_FOUND");
}

#[tokio::test]
async fn a_campaign_includes_the_sales_of_its_flash_sales() {
    let world = World::new();
    let flash = |sale: i64, campaign: Option<i64>, units: u32, list: &str| {
        let mut piece = line(("A", units, "5.00", "0"));
        (piece.line.flash_sale_id, piece.campaign_id) = (Some(FlashSaleId(sale)), campaign.map(CampaignId));
        piece.line.list_price = amount(list);
        piece
    };
    let day = at("2024-03-01T10:00:00Z");
    let two = vec![flash(4, Some(3), 2, "9.00"), flash(5, Some(3), 1, "4.00"), line(("B", 1, "9.00", "0"))];
    world.order(order(1, "user:1", day, two)).await;
    let mut second = order(2, "user:2", day, vec![flash(4, Some(3), 1, "9.00"), flash(6, Some(7), 1, "6.00")]);
    second.uses = vec![used(6, Some(3), "2.00")];
    world.order(second).await;
    let undone = order(3, "user:3", day, vec![flash(4, Some(3), 1, "9.00"), flash(8, None, 1, "9.00")]);
    world.order(undone.clone()).await;
    world.follow().await;
    world.order(promox_contract::order::OrderFigure { status: OrderStatus::Cancelled, ..undone }).await;
    world.follow().await;
    let figures = async |id: i64| {
        let (from, to) = (Some("2024-03-01".to_owned()), Some("2024-03-02".to_owned()));
        world.call(GetCampaignFigures { id: CampaignId(id), from, to }).await.unwrap().body.effect
    };
    let it = figures(3).await;
    assert_eq!(
        (it.orders, it.redemptions, it.new_customers),
        (2, 4, 2),
        "three flash sales and a promotion in two orders"
    );
    assert_eq!((it.revenue.to_string(), it.discount_cost.to_string()), ("34.00".into(), "14.00".into()));
    assert_eq!(it.roi.unwrap().to_string(), "1.4286");
    let it = figures(7).await;
    assert_eq!((it.orders, it.redemptions, it.discount_cost.to_string()), (1, 1, "1.00".into()));
}

#[tokio::test]
async fn flash_sales_coupons_and_points_are_counted() {
    let world = World::new();
    let mut flash = line(("A", 3, "5.00", "0"));
    (flash.line.flash_sale_id, flash.line.product_id) = (Some(FlashSaleId(4)), Some(ProductId(8)));
    world.order(order(1, "user:1", at("2024-03-01T10:00:00Z"), vec![flash, line(("A", 1, "9.00", "0"))])).await;
    let (day, next) = (at("2024-03-01T10:00:00Z"), at("2024-03-02T10:00:00Z"));
    let promotion_id = PromotionId(5);
    world.emit_at(Database::Promox, day, 5, CouponsIssued { promotion_id, count: 1_000 }).await;
    for (id, reference) in [(1, "order:1"), (2, "order:2")] {
        world
            .emit_at(
                Database::Promox,
                day,
                id,
                CouponRedeemed { promotion_id, reference: reference.into(), user_id: None },
            )
            .await;
    }
    world.emit_at(Database::Promox, next, 2, CouponReleased { promotion_id, reference: "order:2".into() }).await;
    let points = |points| PointsFact { user_id: UserId(1), points, value: None, reference: String::new() };
    world.emit_at(Database::Promox, day, 1, PointsAwarded(points(100))).await;
    world.emit_at(Database::Promox, next, 1, PointsRedeemed(points(30))).await;
    world.emit_at(Database::Promox, next, 1, PointsExpired(points(5))).await;
    world.follow().await;
    let figures = summary(&world, "2024-03-01", "2024-03-02").await;
    assert_eq!((figures.figures.coupons.issued, figures.figures.coupons.redeemed), (1_000, 1));
    assert_eq!(
        (figures.figures.points.awarded, figures.figures.points.redeemed, figures.figures.points.liability),
        (100, 0, 100)
    );
    let sale = &figures.flash_sales[0];
    assert_eq!(sale.name.as_deref(), Some("Sale 4"));
    assert_eq!((sale.flash_sale_id.0, sale.orders, sale.quantity, sale.revenue.to_string()), (4, 1, 3, "15.00".into()));
    assert_eq!(figures.top_products[0].product_id, Some(ProductId(8)));
    let later = summary(&world, "2024-03-02", "2024-03-03").await;
    assert_eq!(
        (later.figures.points.awarded, later.figures.points.expired, later.figures.points.liability),
        (0, 5, 65)
    );
    assert_eq!((later.previous.points.awarded, later.previous.points.liability), (100, 100));
}

#[tokio::test]
async fn the_points_of_a_chart_add_up_to_its_period() {
    let world = World::new();
    for (id, minute) in (1..=50).zip((0..).step_by(2_017)) {
        let placed = at("2024-03-01T00:00:07Z") + std::time::Duration::from_secs(60 * minute);
        world.order(order(id, &format!("user:{}", id % 7), placed, vec![line(("A", 1, "1.01", "0"))])).await;
    }
    world.follow().await;
    for granularity in ["day", "week", "month"] {
        let op = ListSeries {
            metric: Some(Metric::Revenue),
            granularity: Some(granularity.parse().unwrap()),
            from: Some("2024-03-02T10:20:30".to_owned()),
            to: Some("2024-05-01".to_owned()),
        };
        let series = world.call(op).await.unwrap().body;
        let total = summary(&world, "2024-03-02T10:20:30", "2024-05-01").await;
        let values = series.items.iter().map(|point| match point.value {
            Figure::Amount(Some(amount)) => amount,
            other => panic!("{other:?}"),
        });
        assert_eq!(values.sum::<Amount>(), total.figures.sales.revenue, "{granularity}");
        assert!(series.items.windows(2).all(|two| two[0].to == two[1].from));
    }
    let top = ListTopProducts {
        by: Some(ProductOrder::Orders),
        limit: promox_kernel::Limit::default(),
        from: Some("2024-03-01".into()),
        to: Some("2024-06-01".into()),
    };
    assert_eq!(world.call(top).await.unwrap().body.items[0].orders, 50);
}

#[tokio::test]
async fn invalid_periods_are_refused_with_a_pointer() {
    let world = World::new();
    let cases = [
        (Some("2024-03-02"), Some("2024-03-02"), "?from"),
        (Some("2024-03-03"), Some("2024-03-02"), "?from"),
        (Some("yesterday"), None, "?from"),
        (None, Some("2024-13-01"), "?to"),
        (None, Some("0001-01-01"), "?to"),
        (Some("2024-03-01T99:00"), None, "?from"),
    ];
    for (from, to, pointer) in cases {
        let op = GetSummary { from: from.map(str::to_owned), to: to.map(str::to_owned) };
        let error = world.call(op).await.unwrap_err();
        assert_eq!(error.errors()[0].pointer, pointer, "{from:?} {to:?}");
    }
    let (from, to) = (Some("2024-01-01".to_owned()), Some("2024-01-03".to_owned()));
    let granularity = Some(crate::api::Granularity::Minute);
    let error = world.call(ListSeries { metric: None, granularity, from, to }).await.unwrap_err();
    assert_eq!(error.errors()[0].pointer, "?granularity");
}
