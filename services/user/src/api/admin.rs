//! What the back office does: users, roles, permissions, the audit trail.

use promox_kernel::{Cursor, Limit, Page, Timestamp, UserId, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{UserStatus, UserView};

/// Users.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListUsers {
    /// Beginnings of the address, of words of the name, or of the phone number.
    pub q: Option<String>,
    /// Only with this role.
    pub role: Option<String>,
    /// Only of this status.
    pub status: Option<UserStatus>,
    /// How many.
    #[serde(default)]
    pub limit: Limit,
    /// From where.
    pub cursor: Option<Cursor>,
}
operation! { ListUsers => Page<UserView>, "user.list", Get "/api/users", Permission("user:read"), 200, "Users, \
filtered by words, role and status." }

/// A user.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetUser {
    /// Which.
    pub id: UserId,
}
operation! { GetUser => UserView, "user.get", Get "/api/users/{id}", Permission("user:read"), 200, "A user." }

/// Changes what a user may do.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateUser {
    /// Which.
    pub id: UserId,
    /// ACTIVE or BLOCKED; blocking ends all logins.
    pub status: Option<UserStatus>,
    /// All roles from now on.
    pub roles: Option<Vec<String>>,
}
operation! { UpdateUser => UserView, "user.update", Patch "/api/users/{id}", Permission("user:write"), 200, "\
Blocks or unblocks a user, or assigns roles; takes effect at once. 409 LAST_ADMIN." }

/// A role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoleView {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What it allows.
    pub permissions: Vec<String>,
    /// Whether it is one that always is: it cannot be deleted, and ADMIN always allows everything.
    pub built_in: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The version.
    pub version: i64,
}
json_reply!(RoleView, etag version);

/// Roles.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListRoles {
    /// How many.
    #[serde(default)]
    pub limit: Limit,
    /// From where.
    pub cursor: Option<Cursor>,
}
operation! { ListRoles => Page<RoleView>, "user.list_roles", Get "/api/roles", Permission("role:write"), 200, "\
Roles, by name." }

/// A role.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetRole {
    /// Which.
    pub name: String,
}
operation! { GetRole => RoleView, "user.get_role", Get "/api/roles/{name}", Permission("role:write"), 200, "A role." }

/// Makes a role.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateRole {
    /// Its name, `UPPER_SNAKE`.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// What it allows, `resource:action`.
    pub permissions: Vec<String>,
}
operation! { CreateRole => RoleView, "user.create_role", Post "/api/roles", Permission("role:write"), 201, "\
Creates a role." }

/// Changes a role.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateRole {
    /// Which.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// All that it allows from now on.
    pub permissions: Option<Vec<String>>,
}
operation! { UpdateRole => RoleView, "user.update_role", Patch "/api/roles/{name}", Permission("role:write"), 200, "\
Updates a role; takes effect at once for everyone who has it." }

/// Deletes a role.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct DeleteRole {
    /// Which.
    pub name: String,
}
operation! { DeleteRole => (), "user.delete_role", Delete "/api/roles/{name}", Permission("role:write"), 204, "\
Deletes a role that no user has." }

/// Permissions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListPermissions {
    /// How many.
    #[serde(default)]
    pub limit: Limit,
    /// From where.
    pub cursor: Option<Cursor>,
}
operation! { ListPermissions => Page<PermissionView>, "user.list_permissions", Get "/api/permissions", Permission("role:write"), 200, "\
All permissions that roles can have." }

/// A permission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PermissionView {
    /// `resource:action`.
    pub name: String,
    /// What it is about.
    pub resource: String,
    /// What may be done.
    pub action: String,
}

/// The audit trail.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListAudit {
    /// Only by them: `user:7`, `system`.
    pub actor: Option<String>,
    /// Only this, `product.update`.
    pub action: Option<String>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
    /// How many.
    #[serde(default)]
    pub limit: Limit,
    /// From where.
    pub cursor: Option<Cursor>,
}
operation! { ListAudit => Page<AuditEntryView>, "user.list_audit", Get "/api/audit", Permission("audit:read"), 200, "\
The audit log of administrative changes, newest first." }

/// An entry of the audit trail.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntryView {
    /// Its place in the trail.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub subject: String,
    /// The changed members before.
    pub before: Value,
    /// The changed members after.
    pub after: Value,
    /// SHA-256 over the entry and the hash of the one before, hexadecimal.
    pub hash: String,
}
