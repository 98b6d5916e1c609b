//! The pure domain of the catalogue: what a product may be, what it costs on the shelf, how categories hang together.

mod compose;
mod faults;
mod identity;
mod shelf;
mod slug;
mod tree;
mod words;

pub(crate) use compose::{Composed, SlugChoice, Terms, by_present_skus, compose, merge_variant, written};
pub(crate) use identity::{NEW, former, identify};
pub(crate) use shelf::{Ruled, ShelfPrice};
pub(crate) use slug::{check_slug, slug_of};
pub(crate) use tree::{Branch, MOST_CATEGORIES, Tree, slot};
pub(crate) use words::{analyzer, words};
