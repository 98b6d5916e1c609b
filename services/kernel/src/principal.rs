//! The callers of operations.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

crate::id! {
    /// A user's account.
    UserId
}

/// The caller of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Principal {
    /// A caller without credentials.
    #[default]
    Anonymous,
    /// A logged-in user, with the permissions of all their roles.
    User {
        /// The account.
        id: UserId,
        /// The session.
        session: i64,
        /// The permissions, named `resource:action`.
        permissions: Arc<BTreeSet<String>>,
    },
    /// A machine with an API key. It is no user, so it has no data of its own.
    Key {
        /// The key.
        id: i64,
        /// The permissions of the key that its creator has too, named `resource:action`.
        permissions: Arc<BTreeSet<String>>,
        /// The applications that it may register with discovery, in upper case.
        applications: Arc<BTreeSet<String>>,
    },
    /// The system itself: jobs, consumers, the command line.
    System,
}

impl Principal {
    /// The user's id, if the caller is a user.
    pub fn user(&self) -> Option<UserId> {
        match self {
            Self::User { id, .. } => Some(*id),
            _ => None,
        }
    }

    /// Whether the caller has the permission `resource:action`. The system has every permission.
    pub fn allows(&self, permission: &str) -> bool {
        match self {
            Self::Anonymous => false,
            Self::User { permissions, .. } | Self::Key { permissions, .. } => permissions.contains(permission),
            Self::System => true,
        }
    }

    /// The name of the caller in the audit log and for idempotency keys. Anonymous callers share one name.
    pub fn name(&self) -> String {
        match self {
            Self::Anonymous => "anonymous".to_owned(),
            Self::User { id, .. } => format!("user:{id}"),
            Self::Key { id, .. } => format!("key:{id}"),
            Self::System => "system".to_owned(),
        }
    }
}
