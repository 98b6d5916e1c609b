//! Categories: requests and views.

use promox_contract::ids::CategoryId;
use promox_kernel::{Patch, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All categories.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListCategories {}
operation! {
    ListCategories => CategoryTree, "product.list_categories", Get "/api/categories", Anyone, 200,
    "The category tree."
}

/// The top-level categories, each with its descendants.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CategoryTree {
    /// In the order of `position`, then name.
    pub items: Vec<CategoryNode>,
}
json_reply!(CategoryTree);

/// A category in the tree.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CategoryNode {
    /// The category.
    pub id: CategoryId,
    /// Its name.
    pub name: String,
    /// Its URL slug.
    pub slug: String,
    /// Its parent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<CategoryId>,
    /// Its position among its siblings.
    pub position: u32,
    /// The number of ACTIVE products in it and below it.
    pub product_count: u64,
    /// Its children.
    pub children: Vec<CategoryNode>,
}

/// One category.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCategory {
    /// The id.
    pub id: CategoryId,
}
operation! {
    GetCategory => CategoryView, "product.get_category", Get "/api/categories/{id}", Anyone, 200,
    "A category."
}

/// A category.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CategoryView {
    /// The category.
    pub id: CategoryId,
    /// Its name.
    pub name: String,
    /// Its URL slug.
    pub slug: String,
    /// Its parent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<CategoryId>,
    /// Its position among its siblings.
    pub position: u32,
    /// The number of ACTIVE products in it and below it.
    pub product_count: u64,
    /// Counts changes: the `ETag`.
    pub version: i64,
}
json_reply!(CategoryView, etag version);

/// Creates a category.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateCategory {
    /// Its name, 1–100 characters.
    pub name: String,
    /// Its URL slug; by default derived from the name.
    pub slug: Option<String>,
    /// Its parent; none for the top level.
    pub parent_id: Option<CategoryId>,
    /// Its position among its siblings, 0 by default.
    #[serde(default)]
    pub position: u32,
}
operation! {
    CreateCategory => CategoryView, "product.create_category", Post "/api/categories", Permission("product:write"), 201,
    "Creates a category."
}

/// Updates members of a category (JSON Merge Patch).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateCategory {
    /// The id.
    pub id: CategoryId,
    /// Its name.
    #[serde(default)]
    pub name: Patch<String>,
    /// Its URL slug; null derives it from the name again.
    #[serde(default)]
    pub slug: Patch<String>,
    /// Its parent; null for the top level.
    #[serde(default)]
    pub parent_id: Patch<CategoryId>,
    /// Its position among its siblings.
    #[serde(default)]
    pub position: Patch<u32>,
}
operation! {
    UpdateCategory => CategoryView, "product.update_category", Patch "/api/categories/{id}",
    Permission("product:write"), 200,
    "Updates a category."
}

/// Deletes a category.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteCategory {
    /// The id.
    pub id: CategoryId,
    /// The category that its products and subcategories move to.
    pub move_to: Option<CategoryId>,
}
operation! {
    DeleteCategory => (), "product.delete_category", Delete "/api/categories/{id}", Permission("product:write"), 204,
    "Deletes a category; its products and subcategories move to `moveTo`, and promotions refer to that."
}
