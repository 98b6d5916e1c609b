//! The refusals of the user service.

use std::time::Duration;

use promox_contract::codes;
use promox_kernel::{Error, FieldError, Kind};

fn unauthenticated(code: &'static str, message: &str) -> Error {
    Error::new(Kind::Unauthenticated, code, message)
}

/// The same error for an unknown address and a wrong password.
pub(crate) fn invalid_credentials() -> Error {
    unauthenticated(codes::INVALID_CREDENTIALS, "The e-mail address or the password is wrong.")
}

pub(crate) fn invalid_token() -> Error {
    unauthenticated(codes::TOKEN_INVALID, "The access token is not valid: log in again.")
}

pub(crate) fn invalid_refresh_token() -> Error {
    unauthenticated(codes::TOKEN_INVALID, "The refresh token is not valid: log in again.")
}

pub(crate) fn expired_refresh_token() -> Error {
    unauthenticated(codes::TOKEN_EXPIRED, "The refresh token has expired: log in again.")
}

pub(crate) fn expired_token() -> Error {
    unauthenticated(codes::TOKEN_EXPIRED, "The token has expired: refresh it or log in again.")
}

pub(crate) fn ended_session() -> Error {
    unauthenticated(codes::SESSION_ENDED, "This login has ended: log in again.")
}

pub(crate) fn reused_token() -> Error {
    unauthenticated(codes::TOKEN_REUSED, "This refresh token was already used, so its login was ended: log in again.")
}

pub(crate) fn no_account() -> Error {
    Error::new(Kind::Forbidden, codes::FORBIDDEN, "This requires a user's login.")
}

pub(crate) fn blocked() -> Error {
    Error::new(Kind::Forbidden, codes::ACCOUNT_BLOCKED, "This account is blocked; contact the shop.")
}

pub(crate) fn locked(wait: Duration) -> Error {
    let seconds = whole_seconds(wait);
    let message = format!("Too many failed attempts: try again in {seconds} seconds.");
    Error::new(Kind::Throttled, codes::ACCOUNT_LOCKED, message).retry_after(seconds)
}

pub(crate) fn too_many_attempts(wait: Duration) -> Error {
    let seconds = whole_seconds(wait);
    let message = format!("Too many failed attempts from this address: try again in {seconds} seconds.");
    Error::new(Kind::Throttled, codes::TOO_MANY_ATTEMPTS, message).retry_after(seconds)
}

/// Rounded up, so that a client that waits this long is admitted.
fn whole_seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}

pub(crate) fn referral_code_unknown() -> Error {
    let detail = "this referral code does not exist: correct it or omit it".to_owned();
    Error::invalid(vec![FieldError {
        pointer: "/referralCode".to_owned(),
        code: codes::REFERRAL_CODE_UNKNOWN.into(),
        detail,
    }])
}

pub(crate) fn email_taken() -> Error {
    Error::conflict(codes::EMAIL_TAKEN, "An account with this address exists: log in, or request a new password.")
}

pub(crate) fn one_time_token_invalid() -> Error {
    Error::refused(codes::TOKEN_INVALID, "The token is unknown, used or expired: request a new one.")
}

pub(crate) fn wrong_password() -> Error {
    Error::invalid(vec![FieldError {
        pointer: "/currentPassword".to_owned(),
        code: codes::WRONG_PASSWORD.into(),
        detail: "The current password is wrong.".to_owned(),
    }])
}

pub(crate) fn last_admin() -> Error {
    Error::conflict(codes::LAST_ADMIN, "This is the last active administrator: create another one first.")
}

pub(crate) fn has_admin() -> Error {
    Error::conflict(codes::ADMIN_EXISTS, "An administrator exists already: log in.")
}

pub(crate) fn erased() -> Error {
    Error::conflict(codes::USER_ERASED, "This account was erased and cannot be changed.")
}

pub(crate) fn erasing() -> Error {
    let message = "The erasure of this account was requested: it waits for orders that have not been shipped or can still \
             be returned.";
    Error::conflict(codes::ERASURE_REQUESTED, message)
}

pub(crate) fn beyond_reach() -> Error {
    Error::new(
        Kind::Forbidden,
        codes::BEYOND_YOUR_PERMISSIONS,
        "This grants or revokes permissions that you do not have yourself.",
    )
}

pub(crate) fn role_taken(name: &str) -> Error {
    Error::conflict(codes::ROLE_TAKEN, format!("A role named {name} already exists."))
}

pub(crate) fn role_in_use(name: &str) -> Error {
    Error::conflict(codes::ROLE_IN_USE, format!("The role {name} is still assigned to a user: unassign it first."))
}

pub(crate) fn role_built_in(name: &str) -> Error {
    Error::conflict(codes::ROLE_BUILT_IN, format!("The role {name} is built in and cannot be deleted."))
}

pub(crate) fn admin_is_fixed() -> Error {
    Error::conflict(codes::ROLE_BUILT_IN, "The role ADMIN always has every permission.")
}

pub(crate) fn book_full(most: usize) -> Error {
    Error::conflict(codes::ADDRESS_LIMIT, format!("An address book has at most {most} entries: remove one first."))
}
