//! The pure domain of orders: prices, tax, shipping, status transitions, refunds of returns.

pub(crate) mod price;
pub(crate) mod request;
pub(crate) mod returns;
pub(crate) mod shipping;
pub(crate) mod states;
pub(crate) mod tax;
