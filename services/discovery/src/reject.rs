//! The refusals of the discovery service.

use promox_contract::codes;
use promox_kernel::{Error, Kind};

/// 403 `APPLICATION_NOT_YOURS`: the key is bound to other applications.
pub(crate) fn not_yours(app: &str) -> Error {
    let message = format!("The API key may not register {app}: list it under applications when you create the key.");
    Error::new(Kind::Forbidden, codes::APPLICATION_NOT_YOURS, message)
}

/// 403 `APPLICATION_RESERVED`: the name belongs to a service of promox.
pub(crate) fn reserved(app: &str) -> Error {
    let message = format!("{app} is a service of promox itself: choose another name.");
    Error::new(Kind::Forbidden, codes::APPLICATION_RESERVED, message)
}

/// 409 `REGISTRY_FULL`.
pub(crate) fn full(max: usize) -> Error {
    Error::conflict(codes::REGISTRY_FULL, format!("The registry has its maximum of {max} instances."))
}

/// 404: there is no such instance. A client registers again.
pub(crate) fn no_instance() -> Error {
    Error::not_found("instance")
}
