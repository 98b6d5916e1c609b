//! The rules of orders: prices, tax, shipping, status transitions and refunds of returns. No storage, no clock.

pub(crate) mod price;
pub(crate) mod request;
pub(crate) mod returns;
pub(crate) mod shipping;
pub(crate) mod states;
pub(crate) mod tax_rate;
