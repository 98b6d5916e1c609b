//! Commands that create, change and delete categories.

use std::sync::Arc;

use promox_contract::ids::CategoryId;
use promox_contract::import::RowOutcome;
use promox_kernel::{Error, Patch, bounded};
use promox_storage::{StoreError, Tx};
use serde_json::{Value, json};

use super::products::{free_slug, save as save_product};
use super::{CatalogTx, audit_entry};
use crate::api::{CategoryLine, CreateCategory, UpdateCategory};
use crate::records::{Category, CategoryMembership, Product};
use crate::reject;
use crate::rules::{Composed, MAX_CATEGORIES, SlugChoice, Tree, check_slug, slug_of};

/// Maximum products that one transaction moves.
const MOVE_BATCH: usize = 200;

/// Creates a category.
pub(crate) fn create_category(
    tx: &mut Tx<'_>,
    catalog: &CatalogTx<'_>,
    op: &CreateCategory,
) -> Result<Category, Error> {
    if catalog.tree.len() >= MAX_CATEGORIES {
        return Err(reject::too_many_categories());
    }
    check_parent(&catalog.tree, None, op.parent_id)?;
    let name = checked_name(&op.name)?;
    let given_slug = op.slug.as_deref().map(checked_slug).transpose()?;
    let slug = resolve_slug(&catalog.tree, None, &name, given_slug.map_or(SlugChoice::Derive, SlugChoice::Given))?;
    let category = Category {
        id: new_id(tx, &catalog.tree)?,
        name,
        slug,
        parent_id: op.parent_id,
        position: op.position,
        version: 1,
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    tx.put(&category)?;
    catalog.advance_categories(tx)?;
    let change = audit_entry::difference(&Value::Null, &snapshot(&category));
    catalog.audit(tx, "category.create", ("category", category.id.0), change)?;
    Ok(category)
}

/// The id of a new category. In a dry import, ids of the transactions that were dropped may be assigned again; the tree
/// remembers those.
fn new_id(tx: &mut Tx<'_>, tree: &Tree) -> Result<CategoryId, StoreError> {
    let id = CategoryId(tx.next_id::<Category>()?);
    Ok(if tree.get(id).is_none() { id } else { tree.unused_id() })
}

/// Changes a category. Without a difference, it keeps its version.
pub(crate) fn update_category(
    tx: &mut Tx<'_>,
    catalog: &CatalogTx<'_>,
    op: &UpdateCategory,
) -> Result<Category, Error> {
    let before = catalog.tree.get(op.id).ok_or_else(|| Error::not_found("category"))?;
    catalog.context.cx.check_version(before.version)?;
    let mut after = before.clone();
    match &op.name {
        Patch::Keep => {}
        Patch::Clear => return Err(Error::field("/name", "must not be null")),
        Patch::Set(name) => after.name = checked_name(name)?,
    }
    op.parent_id.clone().apply(&mut after.parent_id);
    if after.parent_id != before.parent_id {
        check_parent(&catalog.tree, Some(op.id), after.parent_id)?;
    }
    match op.position {
        Patch::Keep => {}
        Patch::Clear => return Err(Error::field("/position", "must not be null")),
        Patch::Set(position) => after.position = position,
    }
    let choice = match &op.slug {
        Patch::Keep => SlugChoice::Keep,
        Patch::Clear => SlugChoice::Derive,
        Patch::Set(slug) => SlugChoice::Given(checked_slug(slug)?),
    };
    if choice != SlugChoice::Keep {
        after.slug = resolve_slug(&catalog.tree, Some(op.id), &after.name, choice)?;
    }
    if after == *before {
        return Ok(after);
    }
    save_category(tx, catalog, before, &mut after)?;
    Ok(after)
}

/// Creates or changes the category of a line of an import. Later rows of the transaction see it.
pub(crate) fn upsert_category(
    tx: &mut Tx<'_>,
    catalog: &mut CatalogTx<'_>,
    line: &CategoryLine,
) -> Result<RowOutcome, Error> {
    let CategoryLine { slug, name, parent, position, .. } = line;
    let parent_id = match parent {
        None => None,
        Some(parent) => match catalog.tree.with_slug(parent) {
            Some(row) => Some(row.id),
            None => {
                return Err(Error::field(
                    "/parent",
                    "no category has this slug: its own line must come before this one, or create it by POST /api/categories",
                ));
            }
        },
    };
    let before = catalog.tree.with_slug(slug.trim()).map(|row| (row.id, row.version));
    let (after, outcome) = match before {
        None => {
            let (name, slug, position) = (name.clone(), Some(slug.clone()), *position);
            let created = create_category(tx, catalog, &CreateCategory { name, slug, parent_id, position })?;
            (created, RowOutcome::Created)
        }
        Some((id, version)) => {
            let change = UpdateCategory {
                id,
                name: Patch::Set(name.clone()),
                slug: Patch::Keep,
                parent_id: parent_id.map_or(Patch::Clear, Patch::Set),
                position: Patch::Set(*position),
            };
            let after = update_category(tx, catalog, &change)?;
            if after.version == version {
                return Ok(RowOutcome::Skipped);
            }
            (after, RowOutcome::Updated)
        }
    };
    Arc::make_mut(&mut catalog.tree).put(after);
    Ok(outcome)
}

/// Moves at most [`MOVE_BATCH`] products from one category to another. Returns whether there were any to move.
pub(crate) fn move_products(
    tx: &mut Tx<'_>,
    catalog: &CatalogTx<'_>,
    from: CategoryId,
    to: CategoryId,
) -> Result<bool, Error> {
    check_move(catalog, from, to)?;
    let members = tx.scan::<CategoryMembership>().prefix(from).collect(MOVE_BATCH)?;
    for membership in &members {
        let before = tx.get::<Product>(&membership.product_id)?.ok_or_else(|| Error::not_found("product"))?;
        let mut after = before.clone();
        let ids = &mut after.category_ids.0;
        ids.iter_mut().filter(|id| **id == from).for_each(|id| *id = to);
        let mut seen = Vec::new();
        ids.retain(|id| {
            !seen.contains(id) && {
                seen.push(*id);
                true
            }
        });
        save_product(
            tx,
            catalog,
            Some(&before),
            Composed { product: after, slug: SlugChoice::Keep, given_ids: Vec::new() },
            "product.move",
        )?;
    }
    Ok(!members.is_empty())
}

/// Deletes a category without products. Its children move to `move_to`. Returns `false`, without deleting it, if there
/// are products that must be moved to `move_to` first.
pub(crate) fn delete_category(
    tx: &mut Tx<'_>,
    catalog: &CatalogTx<'_>,
    id: CategoryId,
    move_to: Option<CategoryId>,
) -> Result<bool, Error> {
    let before = tx.get::<Category>(&id)?.ok_or_else(|| Error::not_found("category"))?;
    catalog.context.cx.check_version(before.version)?;
    let has_products = tx.scan::<CategoryMembership>().prefix(id).first()?.is_some();
    match move_to {
        None if has_products || catalog.tree.has_children(id) => return Err(reject::category_not_empty()),
        Some(_) if has_products => return Ok(false),
        Some(to) => {
            check_move(catalog, id, to)?;
            for child in catalog.tree.children(id) {
                let mut moved = child.clone();
                moved.parent_id = Some(to);
                save_category(tx, catalog, child, &mut moved)?;
            }
        }
        None => {}
    }
    tx.delete::<Category>(&id)?;
    catalog.advance_categories(tx)?;
    let change = audit_entry::difference(&snapshot(&before), &Value::Null);
    catalog.audit(tx, "category.delete", ("category", id.0), change)?;
    Ok(true)
}

/// Checks that `to` exists and is neither `from` nor below it, and that the children of `from` fit below `to`.
pub(crate) fn check_move(catalog: &CatalogTx<'_>, from: CategoryId, to: CategoryId) -> Result<(), Error> {
    if catalog.tree.get(to).is_none() {
        return Err(Error::field("?moveTo", "this category does not exist"));
    }
    let fault = catalog.tree.placement_fault(Some(from), to);
    fault.map_or(Ok(()), |why| Err(Error::field("?moveTo", why)))
}

/// Writes a changed category: row, epoch and the audit entry.
fn save_category(
    tx: &mut Tx<'_>,
    catalog: &CatalogTx<'_>,
    before: &Category,
    after: &mut Category,
) -> Result<(), Error> {
    after.version += 1;
    after.updated_at = tx.now();
    tx.put(after)?;
    catalog.advance_categories(tx)?;
    let change = audit_entry::difference(&snapshot(before), &snapshot(after));
    Ok(catalog.audit(tx, "category.update", ("category", after.id.0), change)?)
}

/// The members of a category that an audit entry compares.
fn snapshot(category: &Category) -> Value {
    let Category { name, slug, parent_id, position, .. } = category;
    json!({"name": name, "slug": slug, "parentId": parent_id, "position": position})
}

fn checked_name(name: &str) -> Result<String, Error> {
    bounded(name, 1, 100).map_err(|detail| Error::field("/name", detail))
}

fn checked_slug(slug: &str) -> Result<String, Error> {
    check_slug(slug.trim()).map_err(|detail| Error::field("/slug", detail))
}

fn check_parent(tree: &Tree, id: Option<CategoryId>, parent: Option<CategoryId>) -> Result<(), Error> {
    let Some(parent) = parent else { return Ok(()) };
    if tree.get(parent).is_none() {
        return Err(Error::field("/parentId", "this category does not exist"));
    }
    tree.placement_fault(id, parent).map_or(Ok(()), |why| Err(reject::category_misplaced(why)))
}

/// The slug of a category with this name, which no other category has.
fn resolve_slug(tree: &Tree, id: Option<CategoryId>, name: &str, choice: SlugChoice) -> Result<String, Error> {
    let free = |slug: &str| {
        let holder = tree.with_slug(slug).map(|category| category.id);
        holder.is_none() || holder == id
    };
    match choice {
        SlugChoice::Given(slug) if free(&slug) => Ok(slug),
        SlugChoice::Given(slug) => Err(reject::slug_taken(&slug)),
        SlugChoice::Keep | SlugChoice::Derive => {
            free_slug(&slug_of(name, "category"), "category", |slug| Ok(free(slug)))
        }
    }
}
