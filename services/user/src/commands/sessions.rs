//! Logins: opened, refreshed, ended.

use std::time::Duration;

use promox_kernel::{Error, Json, Timestamp, UserId};
use promox_storage::{StoreError, Tx};

use crate::api::UserStatus;
use crate::queries::{self, MAX_SESSIONS};
use crate::records::{AccessVersion, EndReason, Session, SessionByFamily, User};
use crate::reject;
use crate::rules::secrets::RefreshToken;

/// For how long after its first use a refresh token gives its successor again: two tabs may use it at once, and an
/// answer may be lost.
const GRACE: Duration = Duration::from_secs(30);
/// Exchanges within that time that are remembered, far more than a client makes.
const MAX_EXCHANGES: usize = 16;

/// The outcome of using a refresh token.
pub(crate) enum Rotated {
    /// It was exchanged for the next one, now or a moment ago.
    Fresh(Box<(Session, User, RefreshToken)>),
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
        successor_key: None,
        exchanged: None,
    };
    tx.insert(&session)?;
    access_changed(tx, user.0)?;
    Ok(session)
}

/// Exchanges a refresh token for the next one. `new_key` is for a session without a key.
pub(crate) fn rotate(
    tx: &mut Tx<'_>,
    presented: &RefreshToken,
    new_key: [u8; 32],
    life: Duration,
) -> Result<Rotated, Error> {
    let session = tx.get_by::<SessionByFamily>(presented.family_hash())?.ok_or_else(reject::invalid_refresh_token)?;
    match (session.ended_at, session.end_reason) {
        (_, Some(EndReason::TokenReused)) => return Ok(Rotated::Reused(session.id)),
        (Some(_), _) => return Err(reject::ended_session()),
        (None, _) => {}
    }
    let now = tx.now();
    let is_live = session.token_hash == Some(presented.own_hash());
    if !is_live && !exchanged_lately(&session, presented, now) {
        let id = session.id;
        end(tx, session, EndReason::TokenReused)?;
        return Ok(Rotated::Reused(id));
    }
    if session.expires_at <= now {
        return Err(reject::expired_refresh_token());
    }
    let user = tx.get::<User>(&session.user)?.filter(|user| user.status == UserStatus::Active);
    let user = user.ok_or_else(reject::ended_session)?;
    let key = session.successor_key.clone().unwrap_or_else(|| new_key.to_vec());
    let next = presented.next(&key);
    if !is_live {
        return Ok(Rotated::Fresh(Box::new((session, user, next))));
    }
    let session = Session {
        token_hash: Some(next.own_hash()),
        refreshed_at: now,
        expires_at: now + life,
        exchanged: Some(Json(with_exchange(&session, now))),
        successor_key: Some(key),
        ..session
    };
    tx.put(&session)?;
    access_changed(tx, session.user.0)?;
    Ok(Rotated::Fresh(Box::new((session, user, next))))
}

/// Whether a token of the session that is not live was first used within [`GRACE`]. The last exchange used the token
/// before the live one, the exchange before it the token before that.
fn exchanged_lately(session: &Session, presented: &RefreshToken, now: Timestamp) -> bool {
    let (Some(key), Some(exchanged)) = (&session.successor_key, &session.exchanged) else { return false };
    let lately = exchanged.iter().rev().take_while(|at| **at + GRACE >= now).count();
    let mut successors = std::iter::successors(Some(presented.next(key)), |token| Some(token.next(key))).take(lately);
    successors.any(|token| session.token_hash == Some(token.own_hash()))
}

/// The exchanges of a session to remember after one at `now`.
fn with_exchange(session: &Session, now: Timestamp) -> Vec<Timestamp> {
    let earlier = session.exchanged.iter().flat_map(|exchanged| exchanged.iter().copied());
    let mut kept: Vec<Timestamp> = earlier.filter(|at| *at + GRACE >= now).collect();
    kept.push(now);
    kept.split_off(kept.len().saturating_sub(MAX_EXCHANGES))
}

/// Ends a login, with its family of refresh tokens.
pub(crate) fn end(tx: &mut Tx<'_>, mut session: Session, reason: EndReason) -> Result<(), StoreError> {
    session.ended_at = Some(tx.now());
    session.end_reason = Some(reason);
    session.token_hash = None;
    session.successor_key = None;
    session.exchanged = None;
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
