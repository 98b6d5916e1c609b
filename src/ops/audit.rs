//! The audit of runs.

use std::collections::BTreeSet;

use promox_storage::{Report, StoreError, Tx};

use crate::ops::records::{Run, RunState};

pub(crate) fn audit(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    let mut open = BTreeSet::new();
    for run in tx.scan::<Run>().rows() {
        let run = run?;
        let tag = || format!("run {}", run.id);
        let is_open = run.state.is_open();
        let consistent = is_open == run.open.is_some() && is_open == run.finished_at.is_none();
        report.check("runs: a run is open or has ended", consistent, tag);
        report.check("runs: one run of a kind is open at a time", !is_open || open.insert(run.kind), tag);
        let has_file = run.file_bytes.is_some();
        report.check(
            "runs: only a run that is done has a file",
            has_file == run.file_until.is_some() && (!has_file || run.state == RunState::Done),
            tag,
        );
    }
    Ok(())
}
