//! Operations of the gateway for other services.

use std::net::IpAddr;

use promox_kernel::{json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Asks whether an instance at this address could get requests: whether the networks of a route that names the application
/// contain it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckAddress {
    /// The application, in upper case.
    pub app: String,
    /// The address.
    pub address: IpAddr,
}
operation! {
    CheckAddress => AddressCheck, "gateway.check_address", internal,
    "Whether an instance at an address could get requests."
}

/// The answer to [`CheckAddress`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddressCheck {
    /// Whether it could, or no route names the application yet.
    pub permitted: bool,
}
json_reply!(AddressCheck);
