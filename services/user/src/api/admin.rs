//! Requests and replies for the back office: users, roles, permissions, the audit log.

use promox_kernel::{Cursor, Limit, Page, Timestamp, UserId, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{UserStatus, UserView};

/// Lists users.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListUsers {
    /// Search words. Each must be a prefix of the e-mail address, of a word of the name, or of the phone number.
    pub q: Option<String>,
    /// Only users with this role.
    pub role: Option<String>,
    /// Only users with this status.
    pub status: Option<UserStatus>,
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListUsers => Page<UserView>, "user.list", Get "/api/users", Permission("user:read"), 200,
    "Lists users, filtered by words, role and status."
}

/// Gets a user.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetUser {
    /// The user's id.
    pub id: UserId,
}
operation! { GetUser => UserView, "user.get", Get "/api/users/{id}", Permission("user:read"), 200, "Gets a user." }

/// Changes a user's status and roles.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateUser {
    /// The user's id.
    pub id: UserId,
    /// ACTIVE or BLOCKED. Blocking ends all sessions.
    pub status: Option<UserStatus>,
    /// The complete list of the user's roles.
    pub roles: Option<Vec<String>>,
}
operation! {
    UpdateUser => UserView, "user.update", Patch "/api/users/{id}", Permission("user:write"), 200,
    "Blocks or unblocks a user, or assigns roles. Takes effect at once. 409 LAST_ADMIN if no active administrator \
    would remain."
}

/// A role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoleView {
    /// Its name.
    pub name: String,
    /// Its purpose.
    pub description: String,
    /// Its permissions.
    pub permissions: Vec<String>,
    /// Whether it is built in, so that it cannot be deleted. The built-in role ADMIN always has every permission.
    pub built_in: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The version, which every change increments. It is the `ETag`.
    pub version: i64,
}
json_reply!(RoleView, etag version);

/// Lists roles.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListRoles {
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListRoles => Page<RoleView>, "user.list_roles", Get "/api/roles", Permission("role:write"), 200,
    "Lists roles, by name."
}

/// Gets a role.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetRole {
    /// The role's name.
    pub name: String,
}
operation! { GetRole => RoleView, "user.get_role", Get "/api/roles/{name}", Permission("role:write"), 200, "Gets a role." }

/// Creates a role.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateRole {
    /// Its name, `UPPER_SNAKE`.
    pub name: String,
    /// Its purpose.
    #[serde(default)]
    pub description: String,
    /// Its permissions, `resource:action`.
    pub permissions: Vec<String>,
}
operation! {
    CreateRole => RoleView, "user.create_role", Post "/api/roles", Permission("role:write"), 201,
    "Creates a role."
}

/// Updates a role.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateRole {
    /// The role's name.
    pub name: String,
    /// Its purpose.
    pub description: Option<String>,
    /// The complete list of its permissions.
    pub permissions: Option<Vec<String>>,
}
operation! {
    UpdateRole => RoleView, "user.update_role", Patch "/api/roles/{name}", Permission("role:write"), 200,
    "Updates a role. Takes effect at once for every user with the role."
}

/// Deletes a role.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct DeleteRole {
    /// The role's name.
    pub name: String,
}
operation! {
    DeleteRole => (), "user.delete_role", Delete "/api/roles/{name}", Permission("role:write"), 204,
    "Deletes a role that no user has."
}

/// Lists permissions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListPermissions {
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListPermissions => Page<PermissionView>, "user.list_permissions", Get "/api/permissions",
    Permission("role:write"), 200,
    "Lists all permissions that roles can have."
}

/// A permission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PermissionView {
    /// `resource:action`.
    pub name: String,
    /// The resource.
    pub resource: String,
    /// The action.
    pub action: String,
}

/// Lists the entries of the audit log.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListAudit {
    /// Only entries of this actor, such as `user:7` or `system`.
    pub actor: Option<String>,
    /// Only entries of this action, such as `product.update`.
    pub action: Option<String>,
    /// Only entries at or after this time.
    pub from: Option<Timestamp>,
    /// Only entries before this time.
    pub to: Option<Timestamp>,
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListAudit => Page<AuditEntryView>, "user.list_audit", Get "/api/audit", Permission("audit:read"), 200,
    "Lists the audit log of administrative changes, newest first."
}

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntryView {
    /// Its position in the log.
    pub id: i64,
    /// When the change was made.
    pub at: Timestamp,
    /// The actor, such as `user:7`.
    pub actor: String,
    /// The action, such as `product.update`.
    pub action: String,
    /// The changed entity, such as `product:12`.
    pub subject: String,
    /// The changed members before the change.
    pub before: Value,
    /// The changed members after the change.
    pub after: Value,
    /// The SHA-256 over the entry and the hash of the previous one, in hexadecimal.
    pub hash: String,
}
