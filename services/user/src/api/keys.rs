//! Requests and replies for API keys.

use promox_kernel::{Cursor, Limit, Page, Timestamp, UserId, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Secret;

/// An API key, for a machine such as an ERP system, a site build or a backup.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyView {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// The first characters of the key, by which it can be recognised.
    pub hint: String,
    /// Its permissions, `resource:action`. They apply as far as its creator has them at the moment of a request.
    pub permissions: Vec<String>,
    /// The applications that it may register with discovery, in upper case.
    pub applications: Vec<String>,
    /// The user who created it. While this user is blocked, the key is refused.
    pub created_by: UserId,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires; null if it does not.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to within 10 seconds; null if it was not used yet.
    pub last_used_at: Option<Timestamp>,
}

/// A new API key.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatedKey {
    /// The key itself, which is shown only here: send it as `Authorization: Bearer pmx_…`.
    pub key: Secret,
    /// What is stored about it.
    pub api_key: ApiKeyView,
}
json_reply!(CreatedKey);

/// Lists API keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListKeys {
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListKeys => Page<ApiKeyView>, "user.list_keys", Get "/api/api-keys", Permission("apikey:write"), 200,
    "Lists API keys, newest first."
}

/// Creates an API key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateKey {
    /// Its name, 1 to 100 characters.
    pub name: String,
    /// Its permissions, `resource:action`, of which the caller must have each.
    pub permissions: Vec<String>,
    /// When it expires; by default it does not.
    pub expires_at: Option<Timestamp>,
    /// The applications that it may register with discovery, at most 100; this takes the permission
    /// `discovery:register` too. Case is ignored.
    #[serde(default)]
    pub applications: Vec<String>,
}
operation! {
    CreateKey => CreatedKey, "user.create_key", Post "/api/api-keys", Permission("apikey:write"), 201,
    "Creates an API key for a machine. Only a user can; the key is shown once and stored as a hash."
}

/// Revokes an API key of one's own, or of somebody else if it has no permissions that the caller does not have.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct DeleteKey {
    /// The key's id.
    pub id: i64,
}
operation! {
    DeleteKey => (), "user.delete_key", Delete "/api/api-keys/{id}", Permission("apikey:write"), 204,
    "Revokes an API key, which takes effect at once."
}
