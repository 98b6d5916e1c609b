//! A cache of users' live sessions and permissions.
//!
//! Two versions in the tables tell whether a cached entry is current: one is incremented when the sessions or roles of
//! the user change, the other when any role changes. They are read on every request, so a logout, a block or an edited
//! role takes effect at once on every node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use promox_kernel::{Bounded, Error, Timestamp, UserId};

use crate::tokens::{Refusal, Verified};
use crate::{Users, reject};

/// Maximum users in the cache.
const MAX_CACHED: usize = 8_192;

/// The sessions and permissions of a user, as of two access versions.
#[derive(Debug)]
pub(crate) struct Account {
    /// The user's own access version.
    pub(crate) own: i64,
    /// The access version of all roles.
    pub(crate) roles: i64,
    /// Whether the user may act: the account is neither blocked nor erased, nor is its erasure requested.
    pub(crate) active: bool,
    /// Whether the erasure of the account was requested. The session that requested it stays live until it is done.
    pub(crate) erasing: bool,
    pub(crate) session_version: i64,
    /// The live sessions, with the time at which each expires.
    pub(crate) sessions: BTreeMap<i64, Timestamp>,
    pub(crate) permissions: Arc<BTreeSet<String>>,
}

impl Account {
    /// Refuses a token whose session is not live. `allow_erasing` accepts a session of an account that is being erased.
    pub(crate) fn check_session(&self, token: &Verified, now: Timestamp, allow_erasing: bool) -> Result<(), Error> {
        let live =
            self.sessions.get(&token.session).is_some_and(|until| now < *until && (allow_erasing || !self.erasing));
        if live && token.version == self.session_version { Ok(()) } else { Err(reject::ended_session()) }
    }
}

/// The cache of users.
pub(crate) struct AccountCache(Mutex<Bounded<UserId, Arc<Account>>>);

impl AccountCache {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Bounded::new(MAX_CACHED)))
    }

    /// The cached entry of a user, which may be outdated.
    pub(crate) fn get(&self, user: UserId) -> Option<Arc<Account>> {
        self.0.lock().get(&user)
    }

    /// Caches the entry of a user.
    pub(crate) fn insert(&self, user: UserId, account: Arc<Account>) {
        self.0.lock().put(user, account);
    }
}

impl Users {
    /// Verifies a token. If its key is not loaded, it loads the keys first, because another node may have created it.
    pub(crate) async fn verify(&self, now: Timestamp, token: &str) -> Result<Verified, Error> {
        let kid = match self.tokens.verify(now, token) {
            Ok(verified) => return Ok(verified),
            Err(Refusal::Refused(error)) => return Err(error),
            Err(Refusal::UnknownKey(kid)) => kid,
        };
        if !self.load_key(kid).await? {
            return Err(reject::invalid_token());
        }
        match self.tokens.verify(now, token) {
            Ok(verified) => Ok(verified),
            Err(Refusal::Refused(error)) => Err(error),
            Err(Refusal::UnknownKey(_)) => Err(reject::invalid_token()),
        }
    }
}
