//! Commands that open, refresh and end sessions.

use std::time::Duration;

use promox_kernel::{Error, Json, Timestamp, UserId};
use promox_storage::{StoreError, Tx};

use crate::api::UserStatus;
use crate::queries::{self, MAX_SESSIONS};
use crate::records::{AccessVersion, EndReason, Session, SessionByFamily, User};
use crate::reject;
use crate::rules::secrets::RefreshToken;

/// How long after its first use a refresh token can be exchanged again, for the same successor: two tabs may use it at
/// the same time, and a reply may be lost.
const GRACE: Duration = Duration::from_secs(30);
/// Maximum recent exchanges that a session remembers, which is far more than a client makes.
const MAX_EXCHANGES: usize = 16;

/// The outcome of presenting a refresh token.
pub(crate) enum Exchange {
    /// The token was exchanged for the next one, now or a moment ago.
    Fresh(Box<(Session, User, RefreshToken)>),
    /// The token was used before, so the session with this id was ended. This is not an error, so that the transaction
    /// commits.
    Reused(i64),
}

/// Invalidates the cached access of a user's id, or of all users if `id` is [`queries::ALL_ROLES`].
pub(crate) fn invalidate_access(tx: &mut Tx<'_>, id: i64) -> Result<(), StoreError> {
    let version = queries::access_version(tx, id)? + 1;
    tx.put(&AccessVersion { id, version })
}

/// Opens a session. If the user has the maximum number, the least recently used one is ended.
pub(crate) fn open(tx: &mut Tx<'_>, user: UserId, token: &RefreshToken, lifetime: Duration) -> Result<Session, Error> {
    let mut live = queries::live_sessions(tx, user)?;
    live.sort_by_key(|session| session.refreshed_at);
    let excess = (live.len() + 1).saturating_sub(MAX_SESSIONS);
    for session in live.into_iter().take(excess) {
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
        expires_at: now + lifetime,
        ended_at: None,
        end_reason: None,
        successor_key: None,
        exchanged: None,
    };
    tx.insert(&session)?;
    invalidate_access(tx, user.0)?;
    Ok(session)
}

/// Exchanges a refresh token for the next one. `new_key` becomes the key of a session that has none, and `lifetime` is
/// the lifetime of a refresh token.
pub(crate) fn rotate(
    tx: &mut Tx<'_>,
    presented: &RefreshToken,
    new_key: [u8; 32],
    lifetime: Duration,
) -> Result<Exchange, Error> {
    let session = tx.get_by::<SessionByFamily>(presented.family_hash())?.ok_or_else(reject::invalid_refresh_token)?;
    match (session.ended_at, session.end_reason) {
        (_, Some(EndReason::TokenReused)) => return Ok(Exchange::Reused(session.id)),
        (Some(_), _) => return Err(reject::ended_session()),
        (None, _) => {}
    }
    let now = tx.now();
    let is_live = session.token_hash == Some(presented.own_hash());
    if !is_live && !was_exchanged_recently(&session, presented, now) {
        let id = session.id;
        end(tx, session, EndReason::TokenReused)?;
        return Ok(Exchange::Reused(id));
    }
    if session.expires_at <= now {
        return Err(reject::expired_refresh_token());
    }
    let user = tx.get::<User>(&session.user)?.filter(|user| user.status == UserStatus::Active);
    let user = user.ok_or_else(reject::ended_session)?;
    let key = session.successor_key.clone().unwrap_or_else(|| new_key.to_vec());
    let next = presented.next(&key);
    if !is_live {
        return Ok(Exchange::Fresh(Box::new((session, user, next))));
    }
    let session = Session {
        token_hash: Some(next.own_hash()),
        refreshed_at: now,
        expires_at: now + lifetime,
        exchanged: Some(Json(with_exchange(&session, now))),
        successor_key: Some(key),
        ..session
    };
    tx.put(&session)?;
    invalidate_access(tx, session.user.0)?;
    Ok(Exchange::Fresh(Box::new((session, user, next))))
}

/// Whether a token of the session that is not live was first used within [`GRACE`]. It was, if deriving successors
/// leads from it to the live token in as many steps as there were exchanges in that time, or fewer.
fn was_exchanged_recently(session: &Session, presented: &RefreshToken, now: Timestamp) -> bool {
    let (Some(key), Some(exchanged)) = (&session.successor_key, &session.exchanged) else { return false };
    let recent = exchanged.iter().rev().take_while(|at| **at + GRACE >= now).count();
    let mut successors = std::iter::successors(Some(presented.next(key)), |token| Some(token.next(key))).take(recent);
    successors.any(|token| session.token_hash == Some(token.own_hash()))
}

/// The exchanges that a session remembers after one at `now`.
fn with_exchange(session: &Session, now: Timestamp) -> Vec<Timestamp> {
    let earlier = session.exchanged.iter().flat_map(|exchanged| exchanged.iter().copied());
    let mut kept: Vec<Timestamp> = earlier.filter(|at| *at + GRACE >= now).collect();
    kept.push(now);
    kept.split_off(kept.len().saturating_sub(MAX_EXCHANGES))
}

/// Ends a session and invalidates its refresh tokens.
pub(crate) fn end(tx: &mut Tx<'_>, mut session: Session, reason: EndReason) -> Result<(), StoreError> {
    session.ended_at = Some(tx.now());
    session.end_reason = Some(reason);
    session.token_hash = None;
    session.successor_key = None;
    session.exchanged = None;
    tx.put(&session)?;
    invalidate_access(tx, session.user.0)
}

/// Ends the session with this id, if it belongs to the user and is live.
pub(crate) fn log_out(tx: &mut Tx<'_>, user: UserId, id: i64) -> Result<(), StoreError> {
    match tx.get::<Session>(&id)?.filter(|session| session.user == user && session.ended_at.is_none()) {
        Some(session) => end(tx, session, EndReason::Logout),
        None => Ok(()),
    }
}

/// Ends all sessions of a user except `kept`. The caller must write the user.
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
    invalidate_access(tx, user.id.0)
}
