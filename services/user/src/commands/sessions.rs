//! Logins: opened, refreshed, ended.

use std::time::Duration;

use promox_kernel::{Error, UserId};
use promox_storage::{StoreError, Tx};

use crate::api::UserStatus;
use crate::queries::{self, MAX_SESSIONS};
use crate::records::{AccessVersion, EndReason, Session, SessionByFamily, User};
use crate::reject;
use crate::rules::secrets::RefreshToken;

/// The outcome of using a refresh token.
pub(crate) enum Rotated {
    /// It was exchanged for the next one.
    Fresh(Session, Box<User>),
    /// It had been used before: this login has been ended. This is not an error, so that the end is committed.
    Reused(i64),
}

/// Invalidates cached access of `id` (a user's id, or all roles).
pub(crate) fn access_changed(tx: &mut Tx<'_>, id: i64) -> Result<(), StoreError> {
    let version = queries::access_version(tx, id)? + 1;
    tx.put(&AccessVersion { id, version })
}

/// Opens a login. At the maximum, the least recently used one is ended.
pub(crate) fn open(tx: &mut Tx<'_>, user: UserId, token: &RefreshToken, life: Duration) -> Result<Session, Error> {
    let mut live = queries::live_sessions(tx, user)?;
    live.sort_by_key(|session| session.refreshed_at);
    let crowd = (live.len() + 1).saturating_sub(MAX_SESSIONS);
    for session in live.into_iter().take(crowd) {
        end(tx, session, EndReason::Crowded)?;
    }
    let (id, now) = (tx.next_id::<Session>()?, tx.now());
    let session = Session {
        id,
        user,
        family_hash: token.family_hash(),
        token_hash: Some(token.own_hash()),
        created_at: now,
        refreshed_at: now,
        expires_at: now + life,
        ended_at: None,
        end_reason: None,
    };
    tx.insert(&session)?;
    access_changed(tx, user.0)?;
    Ok(session)
}

/// Exchanges a refresh token for the next one.
pub(crate) fn rotate(
    tx: &mut Tx<'_>,
    presented: &RefreshToken,
    next: &RefreshToken,
    life: Duration,
) -> Result<Rotated, Error> {
    let session = tx.get_by::<SessionByFamily>(presented.family_hash())?.ok_or_else(reject::invalid_token)?;
    match (session.ended_at, session.end_reason) {
        (_, Some(EndReason::TokenReused)) => return Ok(Rotated::Reused(session.id)),
        (Some(_), _) => return Err(reject::ended_session()),
        (None, _) => {}
    }
    if session.token_hash != Some(presented.own_hash()) {
        let id = session.id;
        end(tx, session, EndReason::TokenReused)?;
        return Ok(Rotated::Reused(id));
    }
    let now = tx.now();
    if session.expires_at <= now {
        return Err(reject::expired_token());
    }
    let user = tx.get::<User>(&session.user)?.filter(|user| user.status == UserStatus::Active);
    let user = user.ok_or_else(reject::ended_session)?;
    let session = Session { token_hash: Some(next.own_hash()), refreshed_at: now, expires_at: now + life, ..session };
    tx.put(&session)?;
    access_changed(tx, session.user.0)?;
    Ok(Rotated::Fresh(session, Box::new(user)))
}

/// Ends a login, with its family of refresh tokens.
pub(crate) fn end(tx: &mut Tx<'_>, mut session: Session, reason: EndReason) -> Result<(), StoreError> {
    session.ended_at = Some(tx.now());
    session.end_reason = Some(reason);
    session.token_hash = None;
    tx.put(&session)?;
    access_changed(tx, session.user.0)
}

/// Ends the login with this id, if it belongs to the user and is live.
pub(crate) fn end_by_id(tx: &mut Tx<'_>, user: UserId, id: i64) -> Result<(), StoreError> {
    match tx.get::<Session>(&id)?.filter(|session| session.user == user && session.ended_at.is_none()) {
        Some(session) => end(tx, session, EndReason::Logout),
        None => Ok(()),
    }
}

/// Ends all logins of a user, except `kept`. The caller writes the user.
pub(crate) fn end_all(
    tx: &mut Tx<'_>,
    user: &mut User,
    kept: Option<i64>,
    reason: EndReason,
) -> Result<(), StoreError> {
    for session in queries::live_sessions(tx, user.id)? {
        if Some(session.id) != kept {
            end(tx, session, reason)?;
        }
    }
    if kept.is_none() {
        user.session_version += 1;
    }
    access_changed(tx, user.id.0)
}
