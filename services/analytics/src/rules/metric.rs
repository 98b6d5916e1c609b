//! The metrics of a chart.

use promox_kernel::text_enum;

text_enum! {
    /// A metric of a chart.
    Metric {
        Orders = "orders",
        Revenue = "revenue",
        Discounts = "discounts",
        Refunds = "refunds",
        Returned = "returned",
        NetRevenue = "netRevenue",
        AverageOrderValue = "averageOrderValue",
        ItemsSold = "itemsSold",
        NewCustomers = "newCustomers",
        ReturningCustomers = "returningCustomers",
        Visits = "visits",
        ProductViews = "productViews",
        ConversionRate = "conversionRate",
        CouponsIssued = "couponsIssued",
        CouponsRedeemed = "couponsRedeemed",
        PointsAwarded = "pointsAwarded",
        PointsRedeemed = "pointsRedeemed",
    }
}
