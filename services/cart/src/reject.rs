//! The refusals of the cart service.

use promox_contract::codes;
use promox_contract::refusal::{InsufficientStock, Short};
use promox_kernel::{Error, FieldError, Kind, Sku};

use crate::rules::MAX_LINES;

/// 409: fewer units are available than requested.
pub(crate) fn insufficient_stock(sku: &Sku, requested: u32, available: u32) -> Error {
    let short = Short { sku: sku.clone(), asked: requested, available };
    let error = Error::from(InsufficientStock { items: vec![short] });
    error.with("sku", sku).with("asked", requested).with("available", available)
}

/// 422: the catalog does not sell the SKU.
pub(crate) fn unknown_sku(sku: &Sku) -> Error {
    let detail = format!("{sku} is not sold here");
    Error::invalid(vec![FieldError::coded("/sku", codes::UNKNOWN_SKU, detail)])
}

/// 422: the cart has no room for another line.
pub(crate) fn cart_full() -> Error {
    Error::refused(codes::CART_FULL, format!("A cart has at most {MAX_LINES} lines."))
}

/// 422: the cart of a logged-in user has no address of its own.
pub(crate) fn reminder_of_user() -> Error {
    let fault = "a logged-in user is reminded at the account's address; see /api/notifications/preferences";
    Error::field("/email", fault)
}

/// 422: the cart is empty.
pub(crate) fn cart_empty() -> Error {
    Error::refused(codes::CART_EMPTY, "The cart is empty.")
}

/// 409: the cart has changed since it was read.
pub(crate) fn changed() -> Error {
    Error::conflict(codes::CART_CHANGED, "The cart changed during the checkout; review it and order again.")
}

/// 409: another order was placed from these contents.
pub(crate) fn already_ordered() -> Error {
    Error::conflict(codes::CART_ALREADY_ORDERED, "The contents of this cart were already ordered.")
}

/// 404: the cart has no line of this variant.
pub(crate) fn no_line() -> Error {
    Error::not_found("line in the cart")
}

/// 404: there is no such cart, or it was merged.
pub(crate) fn no_cart() -> Error {
    Error::not_found("cart")
}

pub(crate) fn busy(message: &'static str) -> Error {
    Error::new(Kind::Conflict, codes::CART_BUSY, message)
}
