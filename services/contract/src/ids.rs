//! Ids that more than one service names.

promox_kernel::id! {
    /// A product.
    ProductId,
    /// What is sold: a variant of a product. It keeps its id whatever its SKU becomes.
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
}
