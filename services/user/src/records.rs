//! The tables of the user service.
//!
//! A session is one login and one family of refresh tokens: the row holds the hash of its only live token. A refresh
//! token also carries the family's secret; if the family is found by it but the live token is another one, a used token
//! was presented. Each token is derived from the one before it with the session's key, so that one used a moment ago
//! leads to the live token, and can be exchanged for its successor again without storing either.

use std::collections::BTreeMap;

use promox_kernel::{Email, Json, Timestamp, UserId, text_enum};
use promox_storage::record;

use crate::api::UserStatus;

text_enum! {
    /// The purpose of a token that is sent by message.
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
        Crowded = "CROWDED",
    }
}

record! {
    /// An account. An erased one keeps only its id and its times.
    pub(crate) struct User in Ecommerce.users = 300, key(id: UserId) {
        email: Option<Email>,
        /// The mailbox of the address, without a plus tag.
        mailbox: Option<String>,
        password_hash: Option<String>,
        name: Option<String>,
        phone: Option<String>,
        birth_date: Option<String>,
        attributes: Json<BTreeMap<String, String>>,
        status: UserStatus,
        email_verified_at: Option<Timestamp>,
        /// The referral code that this user shares.
        referral_code: Option<String>,
        /// Incremented when all sessions end at once; access tokens carry it.
        session_version: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
        erased_at: Option<Timestamp>,
        version: i64,
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
    /// A search term of a user: the address, words of the name, digits of the phone number.
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
    /// A login, and its family of refresh tokens.
    pub(crate) struct Session in Ecommerce.sessions = 309, key(id: i64) {
        user: UserId,
        /// SHA-256 of the secret that all tokens of the family carry.
        family_hash: Vec<u8>,
        /// SHA-256 of the live refresh token's own secret; none once the session has ended.
        token_hash: Option<Vec<u8>>,
        created_at: Timestamp,
        refreshed_at: Timestamp,
        expires_at: Timestamp,
        ended_at: Option<Timestamp>,
        end_reason: Option<EndReason>,
        /// The key that derives each token from the one before it; none before the first exchange and once the session
        /// has ended.
        successor_key: Option<Vec<u8>>,
        /// When the last tokens were exchanged, oldest first, as far as they can be exchanged again.
        exchanged: Option<Json<Vec<Timestamp>>>,
    }
    unique SessionByFamily = 310 (family_hash);
    index SessionByUser = 311 (user, ended_at);
    index SessionByExpiry = 312 (expires_at);
}

record! {
    /// A token that was sent by message, until it is used or has expired.
    pub(crate) struct OneTimeToken in Ecommerce.one_time_tokens = 313, key(hash: Vec<u8>) {
        purpose: Purpose,
        /// The user; none for the first setup.
        user: Option<UserId>,
        expires_at: Timestamp,
    }
    index OneTimeTokenByPurpose = 314 (purpose, user);
    index OneTimeTokenByExpiry = 315 (expires_at);
}

record! {
    /// A requested message with a token that is not sent yet, one per address and purpose. It is written for unknown
    /// addresses too, so that a request takes the same time for all.
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
        /// The login that requested it: it alone may query its status.
        session: i64,
        /// What it waited for at the last check.
        open_orders: i64,
        not_before: Option<Timestamp>,
        /// When it is checked next.
        due_at: Timestamp,
        tries: u32,
    }
    index ErasureByDue = 331 (due_at);
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
    /// A key pair that signs access tokens. The private half is wiped when the key is retired.
    pub(crate) struct SigningKey in Ecommerce.signing_keys = 319, key(kid: String) {
        seed: Option<Vec<u8>>,
        public_key: Vec<u8>,
        signs_from: Timestamp,
        created_at: Timestamp,
        retired_at: Option<Timestamp>,
    }
}

record! {
    /// Counts changes to the sessions or roles of a user (by id) or to any role (0). A cached entry is current while
    /// both numbers are unchanged.
    pub(crate) struct AccessVersion in Ecommerce.access_versions = 320, key(id: i64) {
        version: i64,
    }
}

record! {
    /// An entry of the audit log. `hash` covers everything in the entry and the hash of the previous one.
    pub(crate) struct AuditEntry in Ecommerce.audit_log = 321, key(id: i64) {
        /// The outbox that it came from, by its database's number, and its position there.
        source: u32,
        position: i64,
        at: Timestamp,
        actor: String,
        action: String,
        subject: String,
        /// JSON text as it was hashed.
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
