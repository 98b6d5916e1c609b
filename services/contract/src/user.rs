//! Operations of the user service for other services, and its events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use promox_kernel::{Email, Locale, Principal, Timestamp, UserId, fact, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Authenticates an access token or an API key. 401 if it is malformed, expired or revoked, or if its session has ended.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authenticate {
    /// The token or key, as sent.
    pub token: String,
    /// Whether a login that requested the erasure of its account is accepted too.
    #[serde(default)]
    pub leaving: bool,
}
operation! { Authenticate => Authenticated, "user.authenticate", internal, "The holder of an access token or API key." }

/// What every API key begins with, by which it is told from an access token.
pub const KEY_PREFIX: &str = "pmx_";

/// The holder of an access token or an API key.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Authenticated {
    /// A user.
    User {
        /// The account.
        user: UserId,
        /// The session.
        session: i64,
        /// The permissions of all roles of the account, named `resource:action`.
        permissions: Arc<BTreeSet<String>>,
    },
    /// A machine with an API key.
    Key {
        /// The key.
        id: i64,
        /// The permissions of the key that its creator has too, named `resource:action`.
        permissions: Arc<BTreeSet<String>>,
        /// The applications that it may register with discovery, in upper case.
        applications: Arc<BTreeSet<String>>,
    },
}
json_reply!(Authenticated);

impl Authenticated {
    /// The holder as the caller of operations.
    pub fn principal(self) -> Principal {
        match self {
            Self::User { user, session, permissions } => Principal::User { id: user, session, permissions },
            Self::Key { id, permissions, applications } => Principal::Key { id, permissions, applications },
        }
    }
}

/// Gets the data of users for messages and pricing. Unknown and erased users are left out.
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
    /// The users found.
    pub items: Vec<UserDescription>,
}
json_reply!(UserDescriptions);

/// The data of a user for other services.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserDescription {
    /// The account.
    pub id: UserId,
    /// The e-mail address.
    pub email: Email,
    /// The name, if given.
    pub name: Option<String>,
    /// The phone number, if given.
    #[serde(default)]
    pub phone: Option<String>,
    /// The language of messages, if chosen.
    #[serde(default)]
    pub locale: Option<Locale>,
    /// The IANA time zone, if given.
    #[serde(default)]
    pub timezone: Option<String>,
    /// When the account was created.
    pub registered_at: Timestamp,
    /// The account's attributes.
    pub attributes: BTreeMap<String, String>,
}

/// Finds the accounts with one of these e-mail addresses, at most 1,000.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindAccounts {
    /// The addresses.
    pub emails: Vec<Email>,
    /// Whether accounts whose addresses differ only in a plus tag match too.
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

/// Lists users by birthday, in pages of the accounts examined.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListBirthdays {
    /// The birthdays, as `MM-DD`.
    pub days: Vec<String>,
    /// Only accounts after this one; null for the first page.
    pub after: Option<UserId>,
}
operation! { ListBirthdays => BirthdayPage, "user.list_birthdays", internal, "Users by birthday." }

/// The answer to [`ListBirthdays`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BirthdayPage {
    /// The matches among the accounts examined.
    pub user_ids: Vec<UserId>,
    /// The last account examined; null if there are no more.
    pub next: Option<UserId>,
}
json_reply!(BirthdayPage);

/// A user registered.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserRegistered {
    /// The account.
    pub user_id: UserId,
    /// The referral code used.
    pub referral_code: Option<String>,
    /// The referrer, if the code belongs to an account.
    #[serde(default)]
    pub referrer: Option<UserId>,
}

/// An account was erased. Every service removes the person's data and keeps the financial records.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserErased {
    /// The account.
    pub user_id: UserId,
}
fact! {
    UserRegistered = "USER_REGISTERED" in "user",
    UserErased = "USER_ERASED" in "user",
}

/// Gets the permissions that the node's operations require, so that an administrator has them all.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetNodePermissions {}
operation! {
    GetNodePermissions => PermissionNames, "node.permissions", internal,
    "The permissions that operations require."
}

/// The answer to [`GetNodePermissions`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PermissionNames {
    /// The permissions, named `resource:action`.
    pub names: BTreeSet<String>,
}
json_reply!(PermissionNames);

/// Declares one operation per service that gets all data the service holds about a user, for the user's export.
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
    /// Gets the data that the order service holds about a user.
    ExportOrders = "order.export_personal",
    /// Gets the data that the payment service holds about a user.
    ExportPayments = "payment.export_personal",
    /// Gets the data that the cart service holds about a user.
    ExportCarts = "cart.export_personal",
    /// Gets the data that the notification service holds about a user.
    ExportNotifications = "notification.export_personal",
    /// Gets the data that the reward service holds about a user.
    ExportRewards = "reward.export_personal",
}

/// The data that a service holds about a user.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PersonalData(pub serde_json::Value);
json_reply!(PersonalData);
