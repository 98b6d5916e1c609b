//! Requests and replies for registration, login, refreshing of tokens, and one-time tokens.

use std::fmt;

use promox_contract::jwks::Jwks;
use promox_kernel::{Email, Locale, json_reply, operation};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::UserView;

/// A password or a token. Its `Debug` output does not reveal it, so that it is not logged by accident.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "password"})
    }
}

/// Creates an account and logs it in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Register {
    /// The e-mail address, which only one account can have. Case is ignored.
    pub email: Email,
    /// 8 to 128 characters, and not a common password.
    pub password: Secret,
    /// The name.
    pub name: Option<String>,
    /// The phone number.
    pub phone: Option<String>,
    /// The language of messages, such as `de` or `en-GB`; the store's if omitted.
    pub locale: Option<Locale>,
    /// The referral code of another user.
    pub referral_code: Option<String>,
}
operation! {
    Register => LoggedIn, "user.register", Post "/api/auth/register", Anyone, 201,
    "Creates an account and logs it in. Merges the guest's cart of X-Cart-Token."
}

/// Logs in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Login {
    /// The e-mail address.
    pub email: Email,
    /// The password.
    pub password: Secret,
}
operation! {
    Login => LoggedIn, "user.login", Post "/api/auth/login", Anyone, 200,
    "Logs in. Merges the guest's cart of X-Cart-Token. 401 INVALID_CREDENTIALS, 429 ACCOUNT_LOCKED after repeated \
    failures.", refuses [403]
}

/// Exchanges a refresh token for a new one, with a new access token.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refresh {
    /// The refresh token. Within 30 s of its first use it can be used again and returns the same new token.
    pub refresh_token: Secret,
}
operation! {
    Refresh => LoggedIn, "user.refresh", Post "/api/auth/refresh", Anyone, 200,
    "Issues new tokens for a refresh token. Using it again within 30 s of its first use returns the same new refresh \
    token; using it again later ends its session (401 TOKEN_REUSED)."
}

/// Ends the session of the access token.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Logout {}
operation! { Logout => (), "user.logout", Post "/api/auth/logout", User, 204, "Ends this session." }

/// Ends all sessions of the caller.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct LogoutAll {}
operation! {
    LogoutAll => (), "user.logout_all", Post "/api/auth/logout-all", User, 204,
    "Ends all sessions of the caller."
}

/// Requests a message with a token that sets a new password.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForgotPassword {
    /// The e-mail address.
    pub email: Email,
}
operation! {
    ForgotPassword => Accepted, "user.forgot_password", Post "/api/auth/password/forgot", Anyone, 202,
    "Sends a message with a token that sets a new password, if an account has the address. The reply does not reveal \
    whether one does."
}

/// The reply to a request that is processed later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// A human-readable explanation.
    pub message: String,
}
json_reply!(Accepted);

/// Sets a new password with a token from a message.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResetPassword {
    /// The token from the message, which can be used once.
    pub token: Secret,
    /// The new password.
    pub password: Secret,
}
operation! {
    ResetPassword => (), "user.reset_password", Post "/api/auth/password/reset", Anyone, 204,
    "Sets a new password with the token from a message, and ends all sessions."
}

/// Confirms an e-mail address with a token from a message.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerifyEmail {
    /// The token from the message, which can be used once.
    pub token: Secret,
}
operation! {
    VerifyEmail => (), "user.verify_email", Post "/api/auth/email/verify", Anyone, 204,
    "Confirms an e-mail address with the token from a message."
}

/// Creates the first administrator with the token that the server printed at its first start.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetUpAdmin {
    /// The token, which can be used once and only while there is no administrator.
    pub token: Secret,
    /// The administrator's e-mail address.
    pub email: Email,
    /// The administrator's password.
    pub password: Secret,
}
operation! {
    SetUpAdmin => LoggedIn, "user.set_up_admin", Post "/api/auth/setup", Anyone, 201,
    "Creates the first administrator with the one-time token that the server printed."
}

/// The tokens of a session.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoggedIn {
    /// The user.
    pub user: UserView,
    /// The access token, to be sent as `Authorization: Bearer`.
    pub access_token: Secret,
    /// The refresh token, which can be exchanged for new tokens once, before or after the access token has expired.
    pub refresh_token: Secret,
    /// Seconds until the access token expires.
    pub expires_in: u64,
}
json_reply!(LoggedIn);

/// Gets the public keys that verify access tokens.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct GetJwks {}
operation! {
    GetJwks => Jwks, "user.jwks", Get "/.well-known/jwks.json", Anyone, 200,
    "Gets the public keys that verify access tokens (RFC 7517)."
}
