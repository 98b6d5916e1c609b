//! The refusals of the product service.

use promox_contract::codes;
use promox_contract::ids::{ProductId, PromotionId, VariantId};
use promox_kernel::{Error, Sku};

/// 409 `SKU_TAKEN`: another product has or had the SKU.
pub(crate) fn sku_taken(sku: &Sku, owner: ProductId) -> Error {
    Error::conflict(
        codes::SKU_TAKEN,
        format!("The SKU {sku} already belongs to product {owner}, as a current or former one."),
    )
    .with("productId", owner)
}

/// 409 `SKU_TAKEN`: another variant of the same product has or had the SKU.
pub(crate) fn sku_of_sibling(sku: &Sku, owner: VariantId) -> Error {
    Error::conflict(codes::SKU_TAKEN, format!("The SKU {sku} already belongs to variant {owner} of this product."))
        .with("variantId", owner)
}

/// 422 `TOO_MANY_FORMER_SKUS`: the variant cannot get another new SKU.
pub(crate) fn too_many_former_skus(sku: &Sku, max: usize) -> Error {
    let message = format!("The variant that would become {sku} has had {max} other SKUs: reuse one of those instead.");
    Error::refused(codes::TOO_MANY_FORMER_SKUS, message)
}

/// 409 `SLUG_TAKEN`: only for a slug in the request.
pub(crate) fn slug_taken(slug: &str) -> Error {
    Error::conflict(codes::SLUG_TAKEN, format!("The slug {slug} is in use; omit it to have one generated."))
}

/// 409 `CATEGORY_NOT_EMPTY`: a category with products or subcategories is deleted only with `moveTo`.
pub(crate) fn category_not_empty() -> Error {
    let message = "The category has products or subcategories: use ?moveTo= to name the category to move them to.";
    Error::conflict(codes::CATEGORY_NOT_EMPTY, message)
}

/// 409 `CATEGORY_IN_USE`, with `promotionId`: a promotion refers to the category.
pub(crate) fn category_in_use(promotion: PromotionId) -> Error {
    let message = format!(
        "Promotion {promotion} refers to this category: change or archive the promotion, or use ?moveTo= to name the category that takes its place."
    );
    Error::conflict(codes::CATEGORY_IN_USE, message).with("promotionId", promotion)
}

/// 422 `CATEGORY_MISPLACED`: the parent would create a cycle or exceed the maximum depth.
pub(crate) fn category_misplaced(why: &str) -> Error {
    Error::refused(codes::CATEGORY_MISPLACED, format!("/parentId: {why}."))
}

/// 409 `TOO_MANY_CATEGORIES`: the shop has the maximum number of categories.
pub(crate) fn too_many_categories() -> Error {
    let max = crate::rules::MAX_CATEGORIES;
    Error::conflict(codes::TOO_MANY_CATEGORIES, format!("A shop can have at most {max} categories."))
}
