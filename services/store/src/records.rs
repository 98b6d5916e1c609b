//! The tables of the store service.

use promox_kernel::Json;
use promox_storage::record;

record! {
    /// A group of the store's settings.
    pub(crate) struct Setting in Ecommerce.store_settings = 222, key(name: String) {
        value: Json<serde_json::Value>,
        version: i64,
    }
}
