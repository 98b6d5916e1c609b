//! The refusals of the user service.

use std::time::Duration;

use promox_contract::codes;
use promox_kernel::{Error, FieldError, Kind, whole_seconds};

fn unauthenticated(code: &'static str, message: &str) -> Error {
    Error::new(Kind::Unauthenticated, code, message)
}

/// 401 `INVALID_CREDENTIALS`: the same error for an unknown address and a wrong password.
pub(crate) fn invalid_credentials() -> Error {
    unauthenticated(codes::INVALID_CREDENTIALS, "The e-mail address or the password is wrong.")
}

/// 401 `TOKEN_INVALID`, for an access token.
pub(crate) fn invalid_token() -> Error {
    unauthenticated(codes::TOKEN_INVALID, "The access token is not valid: log in again.")
}

/// 401 `KEY_INVALID`: the same error for an unknown, a revoked and an expired key, and for one whose creator is locked.
pub(crate) fn invalid_key() -> Error {
    unauthenticated(
        codes::KEY_INVALID,
        "The API key is not valid: it is unknown, revoked or expired, or its creator is \
         locked.",
    )
}

/// 403 `FORBIDDEN`: keys make no keys.
pub(crate) fn key_makes_no_key() -> Error {
    Error::new(Kind::Forbidden, codes::FORBIDDEN, "An API key cannot create another one: log in.")
}

/// 401 `TOKEN_INVALID`, for a refresh token.
pub(crate) fn invalid_refresh_token() -> Error {
    unauthenticated(codes::TOKEN_INVALID, "The refresh token is not valid: log in again.")
}

/// 401 `TOKEN_EXPIRED`, for a refresh token.
pub(crate) fn expired_refresh_token() -> Error {
    unauthenticated(codes::TOKEN_EXPIRED, "The refresh token has expired: log in again.")
}

/// 401 `TOKEN_EXPIRED`, for an access token.
pub(crate) fn expired_token() -> Error {
    unauthenticated(codes::TOKEN_EXPIRED, "The access token has expired: refresh it or log in again.")
}

/// 401 `SESSION_ENDED`.
pub(crate) fn ended_session() -> Error {
    unauthenticated(codes::SESSION_ENDED, "This session has ended: log in again.")
}

/// 401 `TOKEN_REUSED`: a refresh token was used again too late.
pub(crate) fn reused_token() -> Error {
    unauthenticated(codes::TOKEN_REUSED, "This refresh token was already used, so its session was ended: log in again.")
}

/// 403 `FORBIDDEN`: the caller is no user.
pub(crate) fn no_account() -> Error {
    Error::new(Kind::Forbidden, codes::FORBIDDEN, "This requires the session of a user: log in.")
}

/// 403 `ACCOUNT_BLOCKED`.
pub(crate) fn blocked() -> Error {
    Error::new(Kind::Forbidden, codes::ACCOUNT_BLOCKED, "This account is blocked: contact the shop.")
}

/// 429 `ACCOUNT_LOCKED`: too many failed logins to one account.
pub(crate) fn locked(wait: Duration) -> Error {
    let seconds = whole_seconds(wait);
    let message = format!("Too many failed attempts: try again in {seconds} seconds.");
    Error::throttled(codes::ACCOUNT_LOCKED, message, wait)
}

/// 429 `TOO_MANY_ATTEMPTS`: too many failed attempts from one network.
pub(crate) fn too_many_attempts(wait: Duration) -> Error {
    let seconds = whole_seconds(wait);
    let message = format!("Too many failed attempts from this network address: try again in {seconds} seconds.");
    Error::throttled(codes::TOO_MANY_ATTEMPTS, message, wait)
}

/// 422 `REFERRAL_CODE_UNKNOWN`.
pub(crate) fn referral_code_unknown() -> Error {
    let detail = "this referral code does not exist: correct it or omit it".to_owned();
    Error::invalid(vec![FieldError::coded("/referralCode", codes::REFERRAL_CODE_UNKNOWN, detail)])
}

/// 409 `EMAIL_TAKEN`.
pub(crate) fn email_taken() -> Error {
    Error::conflict(codes::EMAIL_TAKEN, "An account with this address exists: log in, or request a new password.")
}

/// 422 `TOKEN_INVALID`, for a token from a message.
pub(crate) fn one_time_token_invalid() -> Error {
    Error::refused(codes::TOKEN_INVALID, "The token is unknown, used or expired: request a new one.")
}

/// 422 `TOKEN_INVALID`, for a token of the first administrator.
pub(crate) fn setup_token_invalid() -> Error {
    let message =
        "The link is used or expired, or there is an administrator: until there is one, each start prints a link.";
    Error::refused(codes::TOKEN_INVALID, message)
}

/// 422 `WRONG_PASSWORD`: the current password in a change of the password.
pub(crate) fn wrong_password() -> Error {
    Error::invalid(vec![FieldError::coded(
        "/currentPassword".to_owned(),
        codes::WRONG_PASSWORD,
        "is not the current password".to_owned(),
    )])
}

/// 409 `LAST_ADMIN`.
pub(crate) fn last_admin() -> Error {
    Error::conflict(codes::LAST_ADMIN, "This is the last active administrator: create another one first.")
}

/// 409 `ADMIN_EXISTS`: the first administrator was created already.
pub(crate) fn has_admin() -> Error {
    Error::conflict(codes::ADMIN_EXISTS, "There is already an administrator: log in.")
}

/// 409 `USER_ERASED`.
pub(crate) fn erased() -> Error {
    Error::conflict(codes::USER_ERASED, "This account was erased and cannot be changed.")
}

/// 409 `ERASURE_REQUESTED`: the account is closed until its erasure is done.
pub(crate) fn erasing() -> Error {
    let message = "The erasure of this account was requested. It waits for orders that have not been shipped or can \
             still be returned.";
    Error::conflict(codes::ERASURE_REQUESTED, message)
}

/// 403 `BEYOND_YOUR_PERMISSIONS`.
pub(crate) fn beyond_permissions() -> Error {
    Error::new(
        Kind::Forbidden,
        codes::BEYOND_YOUR_PERMISSIONS,
        "This grants or revokes permissions that you do not have yourself.",
    )
}

/// 409 `ROLE_TAKEN`.
pub(crate) fn role_taken(name: &str) -> Error {
    Error::conflict(codes::ROLE_TAKEN, format!("A role named {name} already exists."))
}

/// 409 `ROLE_IN_USE`.
pub(crate) fn role_in_use(name: &str) -> Error {
    Error::conflict(codes::ROLE_IN_USE, format!("The role {name} is still assigned to a user: unassign it first."))
}

/// 409 `ROLE_BUILT_IN`, for deleting a built-in role.
pub(crate) fn role_built_in(name: &str) -> Error {
    Error::conflict(codes::ROLE_BUILT_IN, format!("The role {name} is built in and cannot be deleted."))
}

/// 409 `ROLE_BUILT_IN`, for changing the permissions of ADMIN.
pub(crate) fn admin_permissions_fixed() -> Error {
    Error::conflict(
        codes::ROLE_BUILT_IN,
        "The role ADMIN always has every permission: its permissions cannot be changed.",
    )
}

/// 409 `ADDRESS_LIMIT`.
pub(crate) fn address_limit_reached(max: usize) -> Error {
    Error::conflict(codes::ADDRESS_LIMIT, format!("An address book can have at most {max} entries: delete one first."))
}
