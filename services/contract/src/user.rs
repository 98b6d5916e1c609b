//! What others ask of the user service: who holds an access token.

use std::collections::BTreeSet;
use std::sync::Arc;

use promox_kernel::{Principal, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Asks who holds an access token. A token that is malformed, expired or of an ended session is refused as unauthenticated.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authenticate {
    /// The token as it stood after `Bearer`.
    pub token: String,
}
promox_kernel::operation! { Authenticate => Authenticated, "user.authenticate", internal, "Who holds an access token." }

/// Who holds the token.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authenticated {
    /// The account.
    pub user: UserId,
    /// The login it came by.
    pub session: i64,
    /// The permissions of all roles of the account, `resource:action`.
    pub permissions: Arc<BTreeSet<String>>,
}
promox_kernel::json_reply!(Authenticated);

impl Authenticated {
    /// The caller as operations see it.
    pub fn principal(self) -> Principal {
        Principal::User { id: self.user, session: self.session, permissions: self.permissions }
    }
}
