//! The pure domain of the catalog: validation of products, catalog prices, the category tree.

mod catalog_price;
mod compose;
mod identity;
mod members;
mod slug;
mod tree;
mod words;

pub(crate) use catalog_price::{CatalogPrice, Ruled};
pub(crate) use compose::{Composed, SlugChoice, Terms, by_present_skus, compose, merge_variant, written};
pub(crate) use identity::{NEW, former, identify};
pub(crate) use slug::{check_slug, slug_of};
pub(crate) use tree::{Branch, MAX_CATEGORIES, Tree, slot};
pub(crate) use words::{analyzer, words};
