//! The printable invoice.

use askama::Template;
use promox_contract::store::StoreProfile;
use promox_kernel::Error;

use crate::api::OrderView;

#[derive(Template)]
#[template(path = "invoice.html")]
struct Invoice<'a> {
    store: &'a StoreProfile,
    order: &'a OrderView,
}

/// Renders the invoice of an order as HTML. Values are escaped.
pub(crate) fn render(store: &StoreProfile, order: &OrderView) -> Result<String, Error> {
    Invoice { store, order }.render().map_err(Error::internal)
}
