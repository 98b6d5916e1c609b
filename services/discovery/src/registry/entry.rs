//! A registered instance with its lease.

use std::sync::Arc;

use promox_contract::discovery::InstanceStatus;
use promox_kernel::Timestamp;

use crate::rules::registration::Registration;
use crate::rules::view::{Action, Lease, Rendered};

/// A registered instance with its lease.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) registration: Registration,
    /// The status that an operator set in place of the instance's own.
    pub(crate) overridden: Option<InstanceStatus>,
    pub(crate) registered_at: Timestamp,
    pub(crate) renewed_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    up_since: Option<Timestamp>,
    pub(crate) action: Action,
    /// Its documents as of the last change.
    pub(crate) rendered: Arc<Rendered>,
}

impl Entry {
    /// The entry of an instance that registers now. It keeps the override of the entry that it replaces.
    pub(crate) fn new(registration: Registration, replaced: Option<&Self>, now: Timestamp) -> Self {
        let overridden = replaced.and_then(|replaced| replaced.overridden);
        let up_since = replaced.and_then(|replaced| replaced.up_since);
        let status = effective(&registration, overridden);
        let up_since = up_since.or((status == InstanceStatus::Up).then_some(now));
        let lease = Lease { status, overridden, registered_at: now, renewed_at: now, up_since, updated_at: now };
        let rendered = Arc::new(Rendered::of(&registration, &lease, Action::Added));
        Self {
            registration,
            overridden,
            registered_at: now,
            renewed_at: now,
            updated_at: now,
            up_since,
            action: Action::Added,
            rendered,
        }
    }

    /// The status that is shown.
    pub(crate) fn status(&self) -> InstanceStatus {
        effective(&self.registration, self.overridden)
    }

    pub(crate) fn lease(&self) -> Lease {
        Lease {
            status: self.status(),
            overridden: self.overridden,
            registered_at: self.registered_at,
            renewed_at: self.renewed_at,
            up_since: self.up_since,
            updated_at: self.updated_at,
        }
    }

    /// Records when the instance is first UP.
    pub(crate) fn note_status(&mut self, now: Timestamp) {
        if self.status() == InstanceStatus::Up {
            self.up_since.get_or_insert(now);
        }
    }

    /// Makes its documents again after a change.
    pub(crate) fn render(&mut self, action: Action) {
        self.action = action;
        self.rendered = Arc::new(Rendered::of(&self.registration, &self.lease(), action));
    }

    /// When its lease expires unless it is renewed.
    pub(crate) fn expires_at(&self) -> Timestamp {
        self.renewed_at + self.registration.duration
    }
}

/// The status that is shown: an instance that says itself that it cannot serve is not made UP by an override.
fn effective(registration: &Registration, overridden: Option<InstanceStatus>) -> InstanceStatus {
    match (registration.status, overridden) {
        (own @ (InstanceStatus::Down | InstanceStatus::Starting), _) | (own, None) => own,
        (_, Some(overridden)) => overridden,
    }
}
