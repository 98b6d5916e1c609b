//! The tables of the gateway.

use promox_kernel::{Json, Timestamp};
use promox_storage::record;

use crate::rules::route::RouteRule;

promox_kernel::id! {
    /// A route that was made at run time.
    RouteId
}

record! {
    /// A route to a registered application, made at run time.
    pub(crate) struct StoredRoute in Ecommerce.gateway_routes = 720, key(id: RouteId) {
        rule: Json<RouteRule>,
        created_by: String,
        created_at: Timestamp,
    }
}

record! {
    /// A key that signs identity tokens. It is published before it signs, and for a while after that.
    pub(crate) struct IdentityKey in Ecommerce.gateway_identity_keys = 721, key(kid: String) {
        seed: Vec<u8>,
        public_key: Vec<u8>,
        signs_from: Timestamp,
        created_at: Timestamp,
    }
}
