//! Categories: requests and how they are shown.

use promox_contract::ids::CategoryId;
use promox_kernel::{Patch, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All categories.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListCategories {}
operation! { ListCategories => CategoryTree, "product.list_categories", Get "/api/categories", Anyone, 200, "\
The category tree." }

/// The categories at the top, each with those below it.
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
    /// Its place in addresses.
    pub slug: String,
    /// The one above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<CategoryId>,
    /// Its place among its siblings.
    pub position: u32,
    /// ACTIVE products in it and below it.
    pub product_count: u64,
    /// Those below it.
    pub children: Vec<CategoryNode>,
}

/// One category.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCategory {
    /// Which.
    pub id: CategoryId,
}
operation! { GetCategory => CategoryView, "product.get_category", Get "/api/categories/{id}", Anyone, 200, "A category." }

/// A category.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CategoryView {
    /// The category.
    pub id: CategoryId,
    /// Its name.
    pub name: String,
    /// Its place in addresses.
    pub slug: String,
    /// The one above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<CategoryId>,
    /// Its place among its siblings.
    pub position: u32,
    /// ACTIVE products in it and below it.
    pub product_count: u64,
    /// Counts changes: the `ETag`.
    pub version: i64,
}
json_reply!(CategoryView, etag version);

/// Makes a category.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateCategory {
    /// Its name, 1–100 characters.
    pub name: String,
    /// Its place in addresses; by default made from the name.
    pub slug: Option<String>,
    /// The one above it; none for the top.
    pub parent_id: Option<CategoryId>,
    /// Its place among its siblings, 0 unless said.
    #[serde(default)]
    pub position: u32,
}
operation! { CreateCategory => CategoryView, "product.create_category", Post "/api/categories", Permission("product:write"), 201, "\
Creates a category." }

/// Changes members of a category (JSON Merge Patch).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateCategory {
    /// Which.
    pub id: CategoryId,
    /// Its name.
    #[serde(default)]
    pub name: Patch<String>,
    /// Its place in addresses; null makes it from the name again.
    #[serde(default)]
    pub slug: Patch<String>,
    /// The one above it; null for the top.
    #[serde(default)]
    pub parent_id: Patch<CategoryId>,
    /// Its place among its siblings.
    #[serde(default)]
    pub position: Patch<u32>,
}
operation! { UpdateCategory => CategoryView, "product.update_category", Patch "/api/categories/{id}", Permission("product:write"), 200, "\
Updates a category." }

/// Removes a category.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteCategory {
    /// Which.
    pub id: CategoryId,
    /// Where its products and the categories below it go.
    pub move_to: Option<CategoryId>,
}
operation! { DeleteCategory => (), "product.delete_category", Delete "/api/categories/{id}", Permission("product:write"), 204, "\
Deletes a category; its products and subcategories move to `moveTo`." }
