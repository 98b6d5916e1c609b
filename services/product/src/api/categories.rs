//! Requests and replies about categories.

use promox_contract::ids::CategoryId;
use promox_kernel::{Patch, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Lists all categories.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListCategories {}
operation! {
    ListCategories => CategoryTree, "product.list_categories", Get "/api/categories", Anyone, 200,
    "Gets the category tree."
}

/// The top-level categories, each with its descendants.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CategoryTree {
    /// The top-level categories, in the order of `position`, then name.
    pub items: Vec<CategoryNode>,
}
json_reply!(CategoryTree);

/// A category in the tree, with its descendants.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CategoryNode {
    /// The category's id.
    pub id: CategoryId,
    /// Its name.
    pub name: String,
    /// Its URL slug.
    pub slug: String,
    /// The id of its parent, absent at the top level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<CategoryId>,
    /// Its position among the categories of the same parent.
    pub position: u32,
    /// The number of ACTIVE products in it and its descendants.
    pub product_count: u64,
    /// Its subcategories, in the order of `position`, then name.
    pub children: Vec<CategoryNode>,
}

/// Gets a category.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCategory {
    /// The category's id.
    pub id: CategoryId,
}
operation! {
    GetCategory => CategoryView, "product.get_category", Get "/api/categories/{id}", Anyone, 200,
    "Gets a category."
}

/// A category.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CategoryView {
    /// The category's id.
    pub id: CategoryId,
    /// Its name.
    pub name: String,
    /// Its URL slug.
    pub slug: String,
    /// The id of its parent, absent at the top level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<CategoryId>,
    /// Its position among the categories of the same parent.
    pub position: u32,
    /// The number of ACTIVE products in it and its descendants.
    pub product_count: u64,
    /// The version, which every change increments. It is the `ETag`.
    pub version: i64,
}
json_reply!(CategoryView, etag version);

/// Creates a category.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateCategory {
    /// Its name, 1–100 characters.
    pub name: String,
    /// Its URL slug, by default derived from the name.
    pub slug: Option<String>,
    /// The id of its parent. If omitted, the category is at the top level.
    pub parent_id: Option<CategoryId>,
    /// Its position among the categories of the same parent, 0 by default.
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
    /// The category's id.
    pub id: CategoryId,
    /// Its name.
    #[serde(default)]
    #[schemars(with = "String")]
    pub name: Patch<String>,
    /// Its URL slug. Null derives it from the name again.
    #[serde(default)]
    pub slug: Patch<String>,
    /// The id of its parent. Null moves the category to the top level.
    #[serde(default)]
    pub parent_id: Patch<CategoryId>,
    /// Its position among the categories of the same parent.
    #[serde(default)]
    #[schemars(with = "u32")]
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
    /// The category's id.
    pub id: CategoryId,
    /// The id of the category that its products and subcategories move to. Required if it has any.
    pub move_to: Option<CategoryId>,
}
operation! {
    DeleteCategory => (), "product.delete_category", Delete "/api/categories/{id}", Permission("product:write"), 204,
    "Deletes a category. Its products and subcategories move to `moveTo`, and promotions that refer to it refer to \
    `moveTo` instead."
}
