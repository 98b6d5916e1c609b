//! What is remembered of who may do what: the live logins and the permissions of users.
//!
//! Two numbers in the tables say whether the memory is still good: one goes up when a user's logins or roles change, one
//! when any role does. They are read at every request, so that a logout, a block or an edited role counts at once,
//! whoever made the change and on whichever node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use promox_kernel::{Bounded, Error, Timestamp, UserId};

use crate::reject;
use crate::tokens::Verified;

/// Users that are remembered.
const REMEMBERED: usize = 8_192;

/// What a user may do, as of two versions.
#[derive(Debug)]
pub(crate) struct Account {
    /// The user's own version.
    pub(crate) own: i64,
    /// The version of all roles.
    pub(crate) roles: i64,
    /// Whether its erasure was asked for; the login that did is live until it is done.
    pub(crate) leaving: bool,
    pub(crate) session_version: i64,
    /// Live logins and when each ends by itself.
    pub(crate) sessions: BTreeMap<i64, Timestamp>,
    pub(crate) permissions: Arc<BTreeSet<String>>,
}

impl Account {
    /// Whether the token's login still stands.
    pub(crate) fn admits(&self, token: &Verified, now: Timestamp, leaving: bool) -> Result<(), Error> {
        let live = self.sessions.get(&token.session).is_some_and(|until| now < *until && (leaving || !self.leaving));
        if live && token.version == self.session_version { Ok(()) } else { Err(reject::ended_session()) }
    }
}

/// The accounts remembered.
pub(crate) struct Accounts(Mutex<Bounded<UserId, Arc<Account>>>);

impl Accounts {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Bounded::new(REMEMBERED)))
    }

    /// What is remembered, good or not.
    pub(crate) fn recall(&self, user: UserId) -> Option<Arc<Account>> {
        self.0.lock().get(&user)
    }

    /// Remembers.
    pub(crate) fn keep(&self, user: UserId, account: Arc<Account>) {
        self.0.lock().put(user, account);
    }
}
