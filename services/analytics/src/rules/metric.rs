//! What a chart can show.

use promox_kernel::text_enum;

text_enum! {
    /// What a chart shows.
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
