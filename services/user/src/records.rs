//! The tables of the user service.
//!
//! A session begins with a login and has one family of refresh tokens. Its row stores the hash of the only live token.
//! All tokens of a family carry its secret: if a token leads to a family whose live token is another one, it was used
//! before. Each token is derived from the previous one with the session's key. A token that was used a moment ago
//! therefore leads to the live token, and can be exchanged for its successor again without either being stored.

use std::collections::{BTreeMap, BTreeSet};

use promox_kernel::{Email, Json, Locale, Timestamp, UserId, text_enum};
use promox_storage::record;

use crate::api::UserStatus;

text_enum! {
    /// The purpose of a one-time token.
    Purpose {
        PasswordReset = "PASSWORD_RESET",
        EmailVerification = "EMAIL_VERIFICATION",
        Setup = "SETUP",
    }
}

text_enum! {
    /// Why a session ended.
    EndReason {
        Logout = "LOGOUT",
        LogoutAll = "LOGOUT_ALL",
        PasswordChanged = "PASSWORD_CHANGED",
        PasswordReset = "PASSWORD_RESET",
        Blocked = "BLOCKED",
        Erased = "ERASED",
        TokenReused = "TOKEN_REUSED",
        /// The user had the maximum number of sessions, and this was the least recently used.
        Crowded = "CROWDED",
    }
}

record! {
    /// An account. An erased one keeps only its id and timestamps.
    pub(crate) struct User in Ecommerce.users = 300, key(id: UserId) {
        email: Option<Email>,
        /// The e-mail address without its plus tag.
        mailbox: Option<String>,
        password_hash: Option<String>,
        name: Option<String>,
        phone: Option<String>,
        birth_date: Option<String>,
        attributes: Json<BTreeMap<String, String>>,
        status: UserStatus,
        email_verified_at: Option<Timestamp>,
        /// The referral code that the user shares.
        referral_code: Option<String>,
        /// Incremented when all sessions end at once. Access tokens carry it.
        session_version: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
        erased_at: Option<Timestamp>,
        version: i64,
        /// The language of messages; null for the store's.
        locale: Option<Locale>,
        /// The IANA time zone; null for the store's.
        timezone: Option<String>,
    }
    unique UserByEmail = 301 (email);
    index UserByStatus = 302 (status);
    unique UserByReferralCode = 303 (referral_code);
    index UserByMailbox = 327 (mailbox);
}

record! {
    /// A role of a user.
    pub(crate) struct UserRole in Ecommerce.user_roles = 304, key(user: UserId, role: String) {
        granted_at: Timestamp,
    }
    index UserRoleByRole = 305 (role);
}

record! {
    /// A search term of a user: the e-mail address, a word of the name, or the digits of the phone number.
    pub(crate) struct UserTerm in Ecommerce.user_terms = 306, key(term: String, user: UserId) {}
}

record! {
    /// A role: a set of permissions with a name.
    pub(crate) struct Role in Ecommerce.roles = 307, key(name: String) {
        description: String,
        created_at: Timestamp,
        updated_at: Timestamp,
        version: i64,
    }
}

record! {
    /// A permission of a role.
    pub(crate) struct RolePermission in Ecommerce.permissions = 308, key(role: String, permission: String) {
        granted_at: Timestamp,
    }
}

record! {
    /// A session, with its family of refresh tokens.
    pub(crate) struct Session in Ecommerce.sessions = 309, key(id: i64) {
        user: UserId,
        /// The SHA-256 of the secret that all tokens of the family carry.
        family_hash: Vec<u8>,
        /// The SHA-256 of the live refresh token's own secret, or null once the session has ended.
        token_hash: Option<Vec<u8>>,
        created_at: Timestamp,
        refreshed_at: Timestamp,
        expires_at: Timestamp,
        ended_at: Option<Timestamp>,
        end_reason: Option<EndReason>,
        /// The key that derives each token from the previous one, or null before the first exchange and once the
        /// session has ended.
        successor_key: Option<Vec<u8>>,
        /// When the recently used tokens were exchanged, oldest first. Older ones cannot be exchanged again.
        exchanged: Option<Json<Vec<Timestamp>>>,
    }
    unique SessionByFamily = 310 (family_hash);
    index SessionByUser = 311 (user, ended_at);
    index SessionByExpiry = 312 (expires_at);
}

record! {
    /// A one-time token, until it is used or has expired.
    pub(crate) struct OneTimeToken in Ecommerce.one_time_tokens = 313, key(hash: Vec<u8>) {
        purpose: Purpose,
        /// The user, or null for a token that creates the first administrator.
        user: Option<UserId>,
        expires_at: Timestamp,
    }
    index OneTimeTokenByPurpose = 314 (purpose, user);
    index OneTimeTokenByExpiry = 315 (expires_at);
}

record! {
    /// A request to send a message with a token, one per address and purpose. It is written for unknown addresses too,
    /// so that a request takes the same time for all.
    pub(crate) struct MessageRequest in Ecommerce.message_requests = 316, key(purpose: Purpose, address: String) {
        attempts: u32,
        due_at: Timestamp,
    }
    index MessageRequestByDue = 317 (due_at);
}

record! {
    /// A requested erasure that is not done.
    pub(crate) struct Erasure in Ecommerce.erasures = 330, key(user: UserId) {
        requested_at: Timestamp,
        /// The session that requested it, which is the only one that may query its status.
        session: i64,
        /// The number of orders that it waited for at the last check.
        open_orders: i64,
        /// When the last return period ends, as known at the last check.
        not_before: Option<Timestamp>,
        /// When it is checked again.
        due_at: Timestamp,
        tries: u32,
    }
    index ErasureByDue = 331 (due_at);
}

record! {
    /// An API key, until it is revoked.
    pub(crate) struct ApiKey in Ecommerce.api_keys = 332, key(id: i64) {
        /// The SHA-256 of the key.
        hash: Vec<u8>,
        /// The first characters of the key, by which people recognise it.
        hint: String,
        name: String,
        permissions: Json<BTreeSet<String>>,
        /// The applications that it may register with discovery, in upper case.
        applications: Json<BTreeSet<String>>,
        /// The user who created it. The key may do only what this user may do at the moment.
        creator: UserId,
        created_at: Timestamp,
        expires_at: Option<Timestamp>,
        last_used_at: Option<Timestamp>,
    }
    unique ApiKeyByHash = 333 (hash);
    index ApiKeyByCreated = 334 (created_at);
}

record! {
    /// An entry of an address book.
    pub(crate) struct Address in Ecommerce.addresses = 318, key(user: UserId, id: i64) {
        name: String,
        company: Option<String>,
        line1: String,
        line2: Option<String>,
        city: String,
        postal_code: Option<String>,
        region: Option<String>,
        country: String,
        phone: Option<String>,
        is_default: bool,
        created_at: Timestamp,
        updated_at: Timestamp,
        version: i64,
        vat_id: Option<String>,
    }
}

record! {
    /// A key pair that signs access tokens. `seed`, its private half, is deleted when the key is retired.
    pub(crate) struct SigningKey in Ecommerce.signing_keys = 319, key(kid: String) {
        seed: Option<Vec<u8>>,
        public_key: Vec<u8>,
        signs_from: Timestamp,
        created_at: Timestamp,
        retired_at: Option<Timestamp>,
    }
}

record! {
    /// The number of changes to the sessions or roles of a user (by the user's id), or to any role (0). A cached entry
    /// is current while both numbers are unchanged.
    pub(crate) struct AccessVersion in Ecommerce.access_versions = 320, key(id: i64) {
        version: i64,
    }
}

record! {
    /// An entry of the audit log. Its `hash` covers all other fields, of which one is the hash of the previous entry.
    pub(crate) struct AuditEntry in Ecommerce.audit_log = 321, key(id: i64) {
        /// The number of the database whose outbox it came from. `position` is its position there.
        source: u32,
        position: i64,
        at: Timestamp,
        actor: String,
        action: String,
        subject: String,
        /// The changed members before the change, as the JSON text that was hashed. `after` is the same after the
        /// change.
        before: String,
        after: String,
        previous_hash: Vec<u8>,
        hash: Vec<u8>,
    }
    index AuditByTime = 322 (at);
    index AuditByActor = 323 (actor, at);
    index AuditByAction = 324 (action, at);
    index AuditByActorAndAction = 325 (actor, action, at);
}

record! {
    /// The end of the audit log.
    pub(crate) struct AuditHead in Ecommerce.audit_heads = 326, key(id: i64) {
        entries: i64,
        hash: Vec<u8>,
    }
}
