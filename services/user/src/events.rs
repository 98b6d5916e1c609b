//! The audit trail's consumers: one a database, because each has its own outbox.

use std::sync::Arc;

use promox_contract::audit::Audited;
use promox_kernel::Error;
use promox_storage::{Consumer, Database, Event, Tx};

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
    /// Its consumers, each with the database whose outbox it reads. They write to this service's own database.
    pub fn consumers(self: &Arc<Self>) -> Vec<(Database, Arc<dyn Consumer>)> {
        vec![
            (Database::Ecommerce, Arc::new(AuditLog("user.audit"))),
            (Database::Promox, Arc::new(AuditLog("user.audit_promox"))),
        ]
    }
}
