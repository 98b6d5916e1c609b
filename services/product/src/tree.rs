//! Categories as visitors see them, and their deletion.

use promox_contract::ids::CategoryId;
use promox_contract::promotion::ReplaceCategory;
use promox_kernel::{Cx, Error};
use promox_storage::{Lane, Tx};

use crate::Products;
use crate::api::{CategoryNode, CategoryView};
use crate::commands::{self, CommandContext};
use crate::records::{Category, Epochs};
use crate::rules::{Branch, Tree};
use crate::search::{Query, ResultSet};

/// A category.
pub(crate) fn category_view(category: Category, product_count: u64) -> CategoryView {
    let Category { id, name, slug, parent_id, position, version, .. } = category;
    CategoryView { id, name, slug, parent_id, position, product_count, version }
}

/// A branch of the tree.
pub(crate) fn node(branch: Branch<'_>, result: &ResultSet) -> CategoryNode {
    let Category { id, name, slug, parent_id, position, .. } = branch.category.clone();
    let children = branch.children.into_iter().map(|below| node(below, result)).collect();
    CategoryNode { id, name, slug, parent_id, position, product_count: result.in_category(id), children }
}

impl Products {
    /// Deletes a category. Its products, and the promotions that name it, move to another one, if given.
    pub(crate) async fn delete_category(
        &self,
        cx: &Cx,
        context: CommandContext,
        id: CategoryId,
        move_to: Option<CategoryId>,
    ) -> Result<(), Error> {
        match move_to {
            None => self.refuse_named_category(cx, id).await?,
            Some(to) => {
                self.db.read(|tx| commands::check_move(&context.open(tx)?, id, to)).await?;
                cx.call(ReplaceCategory { category_id: id, by: to }).await?;
            }
        }
        loop {
            while let Some(to) = move_to {
                let moving = context.clone();
                let work = move |tx: &mut Tx<'_>| commands::move_products(tx, &moving.open(tx)?, id, to);
                if !self.db.write_in(cx, Lane::Bulk, work).await? {
                    break;
                }
            }
            let deleting = context.clone();
            let work = move |tx: &mut Tx<'_>| commands::delete_category(tx, &deleting.open(tx)?, id, move_to);
            if self.db.write(cx, work).await? {
                return Ok(());
            }
        }
    }

    /// Runs `show` on the category tree and a result that has the number of products in and below each category.
    pub(crate) async fn categories<T>(&self, show: impl Fn(&Tree, &ResultSet) -> Result<T, Error>) -> Result<T, Error> {
        let read = |tx: &Tx<'_>, epochs: &Epochs| {
            let result = self.results.get(&Query::all_active(), &self.projection.read(), &self.index)?;
            show(&*self.trees.at(tx, epochs)?, &result)
        };
        self.read_current(read).await
    }

    /// The view of a category.
    pub(crate) async fn category(&self, id: CategoryId) -> Result<CategoryView, Error> {
        let shown = |tree: &Tree, result: &ResultSet| {
            let category = tree.get(id).ok_or_else(|| Error::not_found("category"))?;
            Ok(category_view(category.clone(), result.in_category(id)))
        };
        self.categories(shown).await
    }
}
