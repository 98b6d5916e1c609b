//! Requests and replies about a user's own account: profile, password, addresses, export, erasure.

use std::collections::BTreeMap;

use promox_kernel::{Cursor, Email, Limit, Locale, Page, Patch, Timestamp, UserId, json_reply, operation, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AuditEntryView, Secret};

text_enum! {
    /// The status of an account.
    UserStatus {
        /// In use.
        Active = "ACTIVE",
        /// Blocked by an administrator: it cannot be used.
        Blocked = "BLOCKED",
        /// Its owner requested the erasure, which waits for orders.
        Erasing = "ERASING",
        /// Erased: only its id and timestamps are left.
        Erased = "ERASED",
    }
}

/// A user.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserView {
    /// The user's id.
    pub id: UserId,
    /// The e-mail address, or null once the account is erased.
    pub email: Option<Email>,
    /// Whether the user has confirmed the e-mail address.
    pub email_verified: bool,
    /// The name.
    pub name: Option<String>,
    /// The phone number.
    pub phone: Option<String>,
    /// The date of birth, `YYYY-MM-DD`.
    pub birth_date: Option<String>,
    /// The language of messages, such as `de` or `en-GB`; null for the store's.
    pub locale: Option<Locale>,
    /// The IANA time zone, such as `Europe/London`; null for the store's.
    pub timezone: Option<String>,
    /// Additional attributes.
    pub attributes: BTreeMap<String, String>,
    /// The status of the account.
    pub status: UserStatus,
    /// The state of a requested erasure, absent if there is none or it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erasure: Option<ErasureView>,
    /// The roles.
    pub roles: Vec<String>,
    /// The permissions of the roles, absent when another user reads the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Vec<String>>,
    /// The referral code to share with friends.
    pub referral_code: Option<String>,
    /// When the account was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The version, which every change increments. It is the `ETag`.
    pub version: i64,
}
json_reply!(UserView, etag version);

/// Gets the caller's profile.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetMe {}
operation! { GetMe => UserView, "user.get_me", Get "/api/users/me", User, 200, "Gets the caller's profile." }

/// Updates the caller's profile.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateMe {
    /// The name.
    #[serde(default)]
    pub name: Patch<String>,
    /// The phone number.
    #[serde(default)]
    pub phone: Patch<String>,
    /// The date of birth, `YYYY-MM-DD`.
    #[serde(default)]
    pub birth_date: Patch<String>,
    /// The language of messages, such as `de` or `en-GB`; null for the store's.
    #[serde(default)]
    pub locale: Patch<Locale>,
    /// The IANA time zone, such as `Europe/London`, in which marketing messages respect quiet hours; null for the
    /// store's.
    #[serde(default)]
    pub timezone: Patch<String>,
    /// Additional attributes. Null removes an attribute.
    #[serde(default)]
    pub attributes: Patch<BTreeMap<String, Option<String>>>,
}
operation! {
    UpdateMe => UserView, "user.update_me", Patch "/api/users/me", User, 200,
    "Updates the caller's profile."
}

/// Erases the caller's account. Personal data is removed; accounting records stay. All sessions end at once, and the
/// account can place no more orders. Data that orders still need is kept until the last of them is shipped or ended and
/// its return period (`returnDays` of the store's settings) is over; without such orders it is erased at once. Limits
/// per user still count the person's earlier uses, by digests that do not reveal an address. Repeating the request
/// returns the status.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct EraseMe {}
operation! {
    EraseMe => ErasureView, "user.erase_me", Delete "/api/users/me", Account, 202,
    "Erases the caller's account."
}

/// The status of an erasure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErasureView {
    /// `ERASING` while it waits, `ERASED` once it is done.
    pub status: UserStatus,
    /// When it was requested.
    pub requested_at: Timestamp,
    /// The number of orders that are not shipped, not settled, or can still be returned.
    pub open_orders: i64,
    /// When the last return period ends, as far as it is known.
    pub not_before: Option<Timestamp>,
}
json_reply!(ErasureView);

/// Changes the caller's password.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangePassword {
    /// The current password.
    pub current_password: Secret,
    /// The new password.
    pub new_password: Secret,
}
operation! {
    ChangePassword => (), "user.change_password", Put "/api/users/me/password", User, 204,
    "Changes the caller's password and ends all other sessions."
}

/// Exports all data held about the caller.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ExportMe {}
operation! {
    ExportMe => PersonalExport, "user.export_me", Get "/api/users/me/export", User, 200,
    "Exports all data held about the caller."
}

/// All data held about a user.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PersonalExport {
    /// When the export was made.
    pub exported_at: Timestamp,
    /// The account.
    pub account: UserView,
    /// The address book.
    pub addresses: Vec<AddressView>,
    /// The sessions.
    pub sessions: Vec<SessionView>,
    /// The latest 1,000 entries of the audit log whose actor is the user, newest first.
    pub audit: Vec<AuditEntryView>,
    /// The orders.
    pub orders: Value,
    /// The payments.
    pub payments: Value,
    /// The cart.
    pub cart: Value,
    /// The messages and the preferences about them.
    pub notifications: Value,
    /// The points, achievements and redeemed offers.
    pub rewards: Value,
}
json_reply!(PersonalExport);

/// A session: it begins with a login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    /// The session's id.
    pub id: i64,
    /// When the user logged in.
    pub created_at: Timestamp,
    /// When its tokens were last refreshed.
    pub refreshed_at: Timestamp,
    /// When it expires unless it is refreshed.
    pub expires_at: Timestamp,
    /// When it was ended, or null if it was not.
    pub ended_at: Option<Timestamp>,
}

/// An address of the address book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddressView {
    /// The address's id.
    pub id: i64,
    /// The recipient.
    pub name: String,
    /// The company.
    pub company: Option<String>,
    /// The company's VAT number.
    pub vat_id: Option<String>,
    /// Street and number.
    pub line1: String,
    /// The second address line.
    pub line2: Option<String>,
    /// The city.
    pub city: String,
    /// The postal code.
    pub postal_code: Option<String>,
    /// State, province or county. If the country is taxed by region: an ISO 3166-2 code or a name, stored as the code.
    pub region: Option<String>,
    /// The country, as an ISO 3166-1 alpha-2 code.
    pub country: String,
    /// A phone number for the carrier.
    pub phone: Option<String>,
    /// Whether it is the default address.
    pub is_default: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The version, which every change increments. It is the `ETag`.
    pub version: i64,
}
json_reply!(AddressView, etag version);

/// Lists the caller's address book.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListAddresses {
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListAddresses => Page<AddressView>, "user.list_addresses", Get "/api/users/me/addresses", User, 200,
    "Lists the caller's address book."
}

/// Adds an address to the caller's address book.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateAddress {
    /// The recipient.
    pub name: String,
    /// The company.
    pub company: Option<String>,
    /// The company's VAT number.
    pub vat_id: Option<String>,
    /// Street and number.
    pub line1: String,
    /// The second address line.
    pub line2: Option<String>,
    /// The city.
    pub city: String,
    /// The postal code.
    pub postal_code: Option<String>,
    /// State, province or county. If the country is taxed by region: an ISO 3166-2 code or a name, stored as the code.
    pub region: Option<String>,
    /// The country, as an ISO 3166-1 alpha-2 code.
    pub country: String,
    /// A phone number for the carrier.
    pub phone: Option<String>,
    /// Whether it becomes the default address. The first one always does.
    #[serde(default)]
    pub is_default: bool,
}
operation! {
    CreateAddress => AddressView, "user.create_address", Post "/api/users/me/addresses", User, 201,
    "Adds an address. The first one becomes the default."
}

/// Updates an address.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateAddress {
    /// The address's id.
    pub id: i64,
    /// The recipient.
    pub name: Option<String>,
    /// The company.
    #[serde(default)]
    pub company: Patch<String>,
    /// The company's VAT number.
    #[serde(default)]
    pub vat_id: Patch<String>,
    /// Street and number.
    pub line1: Option<String>,
    /// The second address line.
    #[serde(default)]
    pub line2: Patch<String>,
    /// The city.
    pub city: Option<String>,
    /// The postal code.
    #[serde(default)]
    pub postal_code: Patch<String>,
    /// State, province or county. If the country is taxed by region: an ISO 3166-2 code or a name, stored as the code.
    #[serde(default)]
    pub region: Patch<String>,
    /// The country, as an ISO 3166-1 alpha-2 code.
    pub country: Option<String>,
    /// A phone number for the carrier.
    #[serde(default)]
    pub phone: Patch<String>,
    /// True makes it the default address instead of the previous one.
    pub is_default: Option<bool>,
}
operation! {
    UpdateAddress => AddressView, "user.update_address", Patch "/api/users/me/addresses/{id}", User, 200,
    "Updates an address."
}

/// Deletes an address.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct DeleteAddress {
    /// The address's id.
    pub id: i64,
}
operation! {
    DeleteAddress => (), "user.delete_address", Delete "/api/users/me/addresses/{id}", User, 204,
    "Deletes an address. If it was the default, the oldest remaining one becomes the default."
}
