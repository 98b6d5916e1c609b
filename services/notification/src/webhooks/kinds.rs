//! The types of events that webhooks tell of, and the states of an endpoint.

use promox_kernel::text_enum;

text_enum! {
    /// The status of a webhook endpoint.
    WebhookStatus {
        Enabled = "ENABLED",
        Disabled = "DISABLED",
    }
}

text_enum! {
    /// The type of an event that webhooks tell of.
    WebhookEvent {
        AchievementUnlocked = "ACHIEVEMENT_UNLOCKED",
        CampaignEnded = "CAMPAIGN_ENDED",
        CampaignPaused = "CAMPAIGN_PAUSED",
        CampaignStarted = "CAMPAIGN_STARTED",
        CartAbandoned = "CART_ABANDONED",
        CouponRedeemed = "COUPON_REDEEMED",
        CouponReleased = "COUPON_RELEASED",
        FlashSaleEnded = "FLASH_SALE_ENDED",
        FlashSaleSoldOut = "FLASH_SALE_SOLD_OUT",
        FlashSaleStarted = "FLASH_SALE_STARTED",
        OrderCancelled = "ORDER_CANCELLED",
        OrderConfirmed = "ORDER_CONFIRMED",
        OrderCreated = "ORDER_CREATED",
        OrderDelivered = "ORDER_DELIVERED",
        OrderFailed = "ORDER_FAILED",
        OrderRefunded = "ORDER_REFUNDED",
        OrderReturned = "ORDER_RETURNED",
        OrderShipped = "ORDER_SHIPPED",
        PaymentAuthorized = "PAYMENT_AUTHORIZED",
        PaymentCaptured = "PAYMENT_CAPTURED",
        PaymentDisputed = "PAYMENT_DISPUTED",
        PaymentFailed = "PAYMENT_FAILED",
        PaymentRefunded = "PAYMENT_REFUNDED",
        PointsAwarded = "POINTS_AWARDED",
        PointsExpired = "POINTS_EXPIRED",
        PointsRedeemed = "POINTS_REDEEMED",
        ProductCreated = "PRODUCT_CREATED",
        ProductUpdated = "PRODUCT_UPDATED",
        PromotionApplied = "PROMOTION_APPLIED",
        StockChanged = "STOCK_CHANGED",
        StockLow = "STOCK_LOW",
        TierChanged = "TIER_CHANGED",
        UserErased = "USER_ERASED",
        UserRegistered = "USER_REGISTERED",
    }
}
