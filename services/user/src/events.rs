//! The audit trail's consumers: one a database, because each has its own outbox.

use std::sync::Arc;

use promox_contract::audit::Audited;
use promox_kernel::Error;
use promox_storage::{Consumer, Event, Tx};

use crate::Users;
use crate::commands::audit_log;

/// Appends AUDITED events of one database to the chain.
struct AuditLog(&'static str);

impl Consumer for AuditLog {
    fn name(&self) -> &'static str {
        self.0
    }

    fn wants(&self, event: &Event) -> bool {
        event.is::<Audited>()
    }

    fn apply(&self, tx: &mut Tx<'_>, events: &[Event]) -> Result<(), Error> {
        events.iter().try_for_each(|event| audit_log::append(tx, event))
    }
}

impl Users {
    /// What follows from the shop's events: its audited changes go to the trail.
    pub fn consumers(self: &Arc<Self>) -> Vec<Arc<dyn Consumer>> {
        vec![Arc::new(AuditLog("user.audit"))]
    }

    /// The same for the events of the promotion engine's database; it writes to the shop's.
    pub fn promox_consumers(self: &Arc<Self>) -> Vec<Arc<dyn Consumer>> {
        vec![Arc::new(AuditLog("user.audit_promox"))]
    }
}
