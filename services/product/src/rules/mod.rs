//! The pure rules of the catalog: validation of products, catalog prices, the category tree.

mod catalog_price;
mod compose;
mod identity;
mod members;
mod slug;
mod tree;
mod words;

pub(crate) use catalog_price::{CatalogPrice, VariantPrices};
pub(crate) use compose::{
    ChangeContext, Composed, SlugChoice, compose, merge_variant, use_current_skus, variant_inputs,
};
pub(crate) use identity::{NEW_VARIANT, former_skus, identify};
pub(crate) use slug::{check_slug, slug_of};
pub(crate) use tree::{Branch, MAX_CATEGORIES, Tree, slot};
pub(crate) use words::{analyzer, search_words, words};
