//! The consumers that fill the audit log: one per database, because each database has its own outbox.

use std::sync::Arc;

use promox_contract::audit::Audited;
use promox_kernel::Error;
use promox_storage::{Consumer, Database, Event, Tx};

use crate::commands::audit_log;

/// Appends the AUDITED events of one database to the audit log: the consumer's name and the database.
struct AuditLog(&'static str, Database);

impl Consumer for AuditLog {
    fn name(&self) -> &'static str {
        self.0
    }

    fn source(&self) -> Database {
        self.1
    }

    fn wants(&self, event: &Event) -> bool {
        event.is::<Audited>()
    }

    fn apply(&self, tx: &mut Tx<'_>, events: &[Arc<Event>]) -> Result<(), Error> {
        events.iter().try_for_each(|event| audit_log::append(tx, event))
    }
}

/// The consumers for both databases.
pub(crate) fn consumers() -> Vec<Arc<dyn Consumer>> {
    vec![
        Arc::new(AuditLog("user.audit", Database::Ecommerce)),
        Arc::new(AuditLog("user.audit_promox", Database::Promox)),
    ]
}
