//! The price of a request: goods, promotions, shipping, tax and points, without holding anything.
//!
//! Carts, quotes and checkouts are priced by this code, so that they cannot disagree. Each states how strict pricing is
//! ([`Strictness`]): an order refuses a problem that a quote reports and a cart leaves out.

mod assess;
mod entitlements;
mod lines;
mod quote;
mod quotes;
mod request;

pub(crate) use assess::assess;
pub(crate) use entitlements::Entitlements;
pub(crate) use quote::quote_terms;
pub(crate) use quotes::Quotes;
pub(crate) use request::{NamedCode, PricingRequest, Strictness};
