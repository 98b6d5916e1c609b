//! What a request costs: its goods, promotions, shipping, tax and points, priced without holding anything.
//!
//! Carts, quotes and checkouts are priced here, by the same code, so that they cannot disagree. Each says how strict pricing is
//! to be ([`Strictness`]); what an order would refuse, a quote reports and a cart leaves out.

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
