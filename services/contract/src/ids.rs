//! Ids that several services use.

promox_kernel::id! {
    /// A product.
    ProductId,
    /// A variant of a product, the unit that is sold. It keeps its id when its SKU changes.
    VariantId,
    /// A category.
    CategoryId,
    /// A cart.
    CartId,
    /// An order.
    OrderId,
    /// A payment.
    PaymentId,
    /// A reservation of stock.
    ReservationId,
    /// A campaign.
    CampaignId,
    /// A promotion.
    PromotionId,
    /// A flash sale.
    FlashSaleId,
    /// A reservation in a flash sale.
    FlashReservationId,
    /// The id of a hook.
    HookId,
}
