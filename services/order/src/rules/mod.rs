//! The pure domain of orders: prices, tax, shipping, what may follow what, what a return gives back.

pub(crate) mod price;
pub(crate) mod request;
pub(crate) mod returns;
pub(crate) mod shipping;
pub(crate) mod states;
pub(crate) mod tax;
