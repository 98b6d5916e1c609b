//! Operations of the user service for other services, and its events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use promox_kernel::{Email, Principal, Timestamp, UserId, fact, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Authenticates an access token. A token that is malformed, expired or of an ended session is refused as
/// unauthenticated.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authenticate {
    /// The token from the `Bearer` header.
    pub token: String,
    /// Whether the login that requested its account's erasure is accepted too.
    #[serde(default)]
    pub leaving: bool,
}
operation! { Authenticate => Authenticated, "user.authenticate", internal, "The user who holds an access token." }

/// The holder of the token.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authenticated {
    /// The account.
    pub user: UserId,
    /// The session.
    pub session: i64,
    /// The permissions of all roles of the account, `resource:action`.
    pub permissions: Arc<BTreeSet<String>>,
}
json_reply!(Authenticated);

impl Authenticated {
    /// The caller, for operations.
    pub fn principal(self) -> Principal {
        Principal::User { id: self.user, session: self.session, permissions: self.permissions }
    }
}

/// Gets the data of users for messages and pricing. Unknown and erased ones are left out.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DescribeUsers {
    /// The ids.
    pub ids: Vec<UserId>,
}
operation! { DescribeUsers => UserDescriptions, "user.describe", internal, "Names and addresses of users." }

/// The answer to [`DescribeUsers`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserDescriptions {
    /// Those found.
    pub items: Vec<UserDescription>,
}
json_reply!(UserDescriptions);

/// A user, as other services see one.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserDescription {
    /// The account.
    pub id: UserId,
    /// The address.
    pub email: Email,
    /// The name, if given.
    pub name: Option<String>,
    /// When the account was created.
    pub registered_at: Timestamp,
    /// The account's attributes.
    pub attributes: BTreeMap<String, String>,
}

/// Finds the accounts with one of these addresses, at most 1,000.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindAccounts {
    /// The addresses.
    pub emails: Vec<Email>,
    /// Whether accounts whose addresses differ only in plus tags match too.
    pub ignore_plus_tags: bool,
}
operation! { FindAccounts => AccountIds, "user.find_accounts", internal, "The accounts with an e-mail address." }

/// The answer to [`FindAccounts`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountIds {
    /// The accounts found, without duplicates.
    pub ids: Vec<UserId>,
}
json_reply!(AccountIds);

/// Lists users by birthday, some accounts at a time.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListBirthdays {
    /// The days, `MM-DD`.
    pub days: Vec<String>,
    /// Only accounts after this one; null to start.
    pub after: Option<UserId>,
}
operation! { ListBirthdays => BirthdayPage, "user.list_birthdays", internal, "Users by birthday." }

/// The answer to [`ListBirthdays`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BirthdayPage {
    /// Matches among the accounts examined.
    pub user_ids: Vec<UserId>,
    /// The last account examined, when there are more.
    pub next: Option<UserId>,
}
json_reply!(BirthdayPage);

/// A user registered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserRegistered {
    /// The account.
    pub user_id: UserId,
    /// The referral code used.
    pub referral_code: Option<String>,
    /// The referrer, when the code is an account's.
    #[serde(default)]
    pub referrer: Option<UserId>,
}

/// An account was erased: every service removes the person's data and keeps the books.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserErased {
    /// The account.
    pub user_id: UserId,
}
fact! {
    UserRegistered = "USER_REGISTERED" in "user",
    UserErased = "USER_ERASED" in "user",
}

/// Gets the permissions of the node's operations, so that an administrator has them all.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetNodePermissions {}
operation! {
    GetNodePermissions => PermissionNames, "node.permissions", internal,
    "Registers the permissions of operations."
}

/// The answer to [`GetNodePermissions`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PermissionNames {
    /// `resource:action` names.
    pub names: BTreeSet<String>,
}
json_reply!(PermissionNames);

/// Gets all data that a service holds about a user, for the user's export. There is one operation per service.
macro_rules! export_operation {
    ($($(#[$meta:meta])* $name:ident = $op:literal),+ $(,)?) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// The user.
            pub user_id: UserId,
        }
        operation! { $name => PersonalData, $op, internal, "All data held about a user." }
    )+};
}
export_operation! {
    /// The order service's export.
    ExportOrders = "order.export_personal",
    /// The payment service's export.
    ExportPayments = "payment.export_personal",
    /// The cart service's export.
    ExportCarts = "cart.export_personal",
    /// The notification service's export.
    ExportNotifications = "notification.export_personal",
    /// The reward service's export.
    ExportRewards = "reward.export_personal",
}

/// The data that a service holds about a user.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PersonalData(pub serde_json::Value);
json_reply!(PersonalData);
