//! The audit log, to which AUDITED events are appended.

use promox_contract::audit::Audited;
use promox_kernel::Error;
use promox_storage::{Event, Tx};

use crate::records::{AuditEntry, AuditHead};
use crate::rules::chain;

/// The key of the only head row.
pub(crate) const HEAD: i64 = 0;

/// Appends the entry of an event.
pub(crate) fn append(tx: &mut Tx<'_>, event: &Event) -> Result<(), Error> {
    let audited: Audited = event.fact()?;
    let head = tx.get::<AuditHead>(&HEAD)?;
    let (entries, previous_hash) = head.map_or((0, chain::ROOT.to_vec()), |head| (head.entries, head.hash));
    let mut entry = AuditEntry {
        id: entries + 1,
        source: event.database,
        position: event.position,
        at: event.occurred_at,
        actor: audited.actor,
        action: audited.action,
        subject: audited.subject,
        before: audited.before.to_string(),
        after: audited.after.to_string(),
        previous_hash,
        hash: Vec::new(),
    };
    entry.hash = chain::hash(&entry);
    tx.insert(&entry)?;
    Ok(tx.put(&AuditHead { id: HEAD, entries: entry.id, hash: entry.hash })?)
}
