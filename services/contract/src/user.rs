//! What others ask of the user service: who holds an access token, who users are; and what it tells.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use promox_kernel::{Email, Principal, Timestamp, UserId, fact, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Asks who holds an access token. A token that is malformed, expired or of an ended session is refused as unauthenticated.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authenticate {
    /// The token as it stood after `Bearer`.
    pub token: String,
    /// Whether the login that asked for its account's erasure is taken too.
    #[serde(default)]
    pub leaving: bool,
}
operation! { Authenticate => Authenticated, "user.authenticate", internal, "The user who holds an access token." }

/// Who holds the token.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authenticated {
    /// The account.
    pub user: UserId,
    /// The login it came by.
    pub session: i64,
    /// The permissions of all roles of the account, `resource:action`.
    pub permissions: Arc<BTreeSet<String>>,
}
json_reply!(Authenticated);

impl Authenticated {
    /// The caller as operations see it.
    pub fn principal(self) -> Principal {
        Principal::User { id: self.user, session: self.session, permissions: self.permissions }
    }
}

/// Asks for what is needed to write to users and to price for them. Unknown and erased ones are left out.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DescribeUsers {
    /// Which.
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

/// A user, as other services need to know.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserDescription {
    /// The account.
    pub id: UserId,
    /// The address.
    pub email: Email,
    /// The name, if given.
    pub name: Option<String>,
    /// When the account was made.
    pub registered_at: Timestamp,
    /// What the merchant or the user keeps about the account.
    pub attributes: BTreeMap<String, String>,
}

/// Asks which accounts have one of these addresses. At most 1,000 accounts are answered.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindAccounts {
    /// The addresses.
    pub emails: Vec<Email>,
    /// Whether accounts whose addresses differ in plus tags alone count too.
    pub ignore_plus_tags: bool,
}
operation! { FindAccounts => AccountIds, "user.find_accounts", internal, "The accounts with an e-mail address." }

/// The answer to [`FindAccounts`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountIds {
    /// Those found, each once.
    pub ids: Vec<UserId>,
}
json_reply!(AccountIds);

/// Asks who was born on certain days of a year, some accounts at a time.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListBirthdays {
    /// The days, `MM-DD`.
    pub days: Vec<String>,
    /// Only accounts after this one; null for the first.
    pub after: Option<UserId>,
}
operation! { ListBirthdays => BirthdayPage, "user.list_birthdays", internal, "Users by birthday." }

/// The answer to [`ListBirthdays`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BirthdayPage {
    /// Those among the accounts looked at.
    pub user_ids: Vec<UserId>,
    /// The last account that was looked at, when there are more.
    pub next: Option<UserId>,
}
json_reply!(BirthdayPage);

/// Somebody registered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserRegistered {
    /// The account.
    pub user_id: UserId,
    /// The code of who sent them.
    pub referral_code: Option<String>,
    /// Who that is, when the code is an account's.
    #[serde(default)]
    pub referrer: Option<UserId>,
}

/// An account was erased: every service drops what it holds about the person and keeps the books.
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

/// Asks the node which permissions its operations name, so that an administrator has them all.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetNodePermissions {}
operation! { GetNodePermissions => PermissionNames, "node.permissions", internal, "Registers the permissions of \
operations." }

/// The answer to [`GetNodePermissions`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PermissionNames {
    /// `resource:action` names.
    pub names: BTreeSet<String>,
}
json_reply!(PermissionNames);

/// Asks a service for all that it holds about a user, for the user's export. One operation a service, so that each answers for itself.
macro_rules! export_operation {
    ($($(#[$meta:meta])* $name:ident = $op:literal),+ $(,)?) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// Whose.
            pub user_id: UserId,
        }
        operation! { $name => PersonalData, $op, internal, "All data held about a user." }
    )+};
}
export_operation! {
    /// Asks the order service.
    ExportOrders = "order.export_personal",
    /// Asks the payment service.
    ExportPayments = "payment.export_personal",
    /// Asks the cart service.
    ExportCarts = "cart.export_personal",
    /// Asks the notification service.
    ExportNotifications = "notification.export_personal",
    /// Asks the reward service.
    ExportRewards = "reward.export_personal",
}

/// What a service holds about a user.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PersonalData(pub serde_json::Value);
json_reply!(PersonalData);
