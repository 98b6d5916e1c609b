//! A cache of users' live logins and permissions.
//!
//! Two numbers in the tables tell whether a cached entry is current: one is incremented when a user's logins or roles
//! change, one when any role does. They are read on every request, so a logout, a block or an edited role takes effect
//! at once, whoever made the change and on whichever node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use promox_kernel::{Bounded, Error, Timestamp, UserId};

use crate::reject;
use crate::tokens::Verified;

/// Users in the cache.
const REMEMBERED: usize = 8_192;

/// What a user may do, as of two versions.
#[derive(Debug)]
pub(crate) struct Account {
    /// The user's own version.
    pub(crate) own: i64,
    /// The version of all roles.
    pub(crate) roles: i64,
    /// Whether erasure was requested; the login that requested it stays live until it is done.
    pub(crate) leaving: bool,
    pub(crate) session_version: i64,
    /// Live logins with their expiry.
    pub(crate) sessions: BTreeMap<i64, Timestamp>,
    pub(crate) permissions: Arc<BTreeSet<String>>,
}

impl Account {
    /// Whether the token's login is still live.
    pub(crate) fn admits(&self, token: &Verified, now: Timestamp, leaving: bool) -> Result<(), Error> {
        let live = self.sessions.get(&token.session).is_some_and(|until| now < *until && (leaving || !self.leaving));
        if live && token.version == self.session_version { Ok(()) } else { Err(reject::ended_session()) }
    }
}

/// The cached users.
pub(crate) struct Accounts(Mutex<Bounded<UserId, Arc<Account>>>);

impl Accounts {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Bounded::new(REMEMBERED)))
    }

    /// The cached entry, current or not.
    pub(crate) fn recall(&self, user: UserId) -> Option<Arc<Account>> {
        self.0.lock().get(&user)
    }

    /// Caches an entry.
    pub(crate) fn keep(&self, user: UserId, account: Arc<Account>) {
        self.0.lock().put(user, account);
    }
}
