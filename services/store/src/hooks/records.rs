//! The table of hooks.

use promox_contract::hook::HookKind;
use promox_contract::ids::HookId;
use promox_kernel::{Timestamp, text_enum};
use promox_storage::record;

text_enum! {
    /// What happens if a hook has not answered as it should.
    HookFallback {
        /// The checkout is refused.
        Refuse = "REFUSE",
        /// The store's own tax rates or shipping rates apply.
        StoreRates = "STORE_RATES",
        /// The order is accepted.
        Accept = "ACCEPT",
    }
}

record! {
    /// A service of the merchant that is asked during a checkout.
    pub(crate) struct Hook in Ecommerce.store_hooks = 228, key(id: HookId) {
        kind: HookKind,
        url: String,
        /// The secret that signs questions: `whsec_` and base64.
        secret: String,
        timeout_ms: u32,
        fallback: HookFallback,
        enabled: bool,
        version: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
    unique HookByKind = 229 (kind);
}
