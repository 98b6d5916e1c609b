//! The tables of Web Push.

use promox_kernel::{Timestamp, UserId, id};
use promox_storage::record;

id! {
    /// The id of a browser's subscription.
    SubscriptionId,
}

record! {
    /// A browser that receives a user's messages.
    pub(crate) struct Subscription in Ecommerce.push_subscriptions = 412, key(id: SubscriptionId) {
        user_id: UserId,
        endpoint: String,
        p256dh: String,
        auth: String,
        created_at: Timestamp,
    }
    unique SubscriptionByEndpoint = 413 (endpoint);
    index SubscriptionByUser = 414 (user_id, created_at);
}

record! {
    /// The key pair that identifies the shop to push services: one row.
    pub(crate) struct PushKey in Ecommerce.push_keys = 415, key(id: u32) {
        /// The private key in hexadecimal.
        private: String,
        created_at: Timestamp,
    }
}
