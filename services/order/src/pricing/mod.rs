//! Pricing of a request: goods, promotions, shipping, tax and points. Nothing is held.
//!
//! Carts, quotes and orders are priced by the same code, so that they cannot disagree. They differ in [`Strictness`]: a
//! problem is refused in an order, reported in a quote and left out of a cart.

mod assess;
mod entitlements;
pub(crate) mod hooks;
mod lines;
mod quote;
mod quotes;
mod request;

pub(crate) use assess::assess;
pub(crate) use entitlements::Entitlements;
pub(crate) use quote::quote_terms;
pub(crate) use quotes::Quotes;
pub(crate) use request::{NamedCode, PricingRequest, Strictness};
