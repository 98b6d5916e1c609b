//! The auditor: recomputes every invariant of the books from the rows of one consistent state.
//!
//! `promox verify` runs it offline, a run on a running server (`src/ops`), and every scenario test at its end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use promox_storage::{Database, DynService, Engine, Finding, Reader, Report, Schema, StoreError, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Findings listed in a verdict; further ones are only counted.
const MAX_SHOWN: usize = 1_000;
/// Characters of a finding's details.
const MAX_DETAIL: usize = 1_000;

/// The result of an audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Whether all invariants hold.
    pub clean: bool,
    /// The number of checks made.
    pub checks: u64,
    /// The number of violations.
    pub broken: u64,
    /// The violations, at most the first 1,000.
    pub findings: Vec<Violation>,
}

/// A violated invariant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Violation {
    /// The name of the invariant.
    pub invariant: String,
    /// What violates it.
    pub detail: String,
}

/// The services to audit, and the tables to check.
#[derive(Clone)]
pub struct Auditor {
    engine: Arc<dyn Engine>,
    schema: Schema,
    services: Vec<Arc<dyn DynService>>,
    /// Where temporary files are made.
    scratch_dir: PathBuf,
}

impl std::fmt::Debug for Auditor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "an auditor of {} services", self.services.len())
    }
}

impl Auditor {
    /// An auditor of these services. An audit of a large store has temporary files in `scratch_dir`.
    pub fn new(
        engine: Arc<dyn Engine>,
        schema: Schema,
        services: Vec<Arc<dyn DynService>>,
        scratch_dir: &Path,
    ) -> Arc<Self> {
        Arc::new(Self { engine, schema, services, scratch_dir: scratch_dir.to_owned() })
    }

    /// The current state of the store, for [`Auditor::run_on`]. Waits for a checkpoint on the calling thread.
    pub(crate) fn long_read(&self) -> Result<Box<dyn Reader>, StoreError> {
        self.engine.long_read()
    }

    /// The expected number of items that scans of an audit read: all rows and index entries, and the rows again for the
    /// services. `None` if the engine does not know it.
    pub(crate) fn entries(&self, reader: &dyn Reader) -> Option<u64> {
        self.schema.tables().iter().try_fold(0_u64, |sum, table| {
            let indexes = table.indexes.iter().map(|index| reader.count(index.space)).sum::<Option<u64>>()?;
            Some(sum + 2 * reader.count(table.space)? + indexes)
        })
    }

    /// Checks the current state on the calling thread, which may take minutes on a large store.
    pub fn run(&self) -> Result<Verdict, StoreError> {
        self.run_on(&*self.long_read()?)
    }

    /// Checks everything in one state on the calling thread.
    pub(crate) fn run_on(&self, reader: &dyn Reader) -> Result<Verdict, StoreError> {
        let mut report = Report::in_dir(self.scratch_dir.clone());
        for table in self.schema.tables() {
            let checked = report.check_table(reader, table);
            report.readable(checked)?;
        }
        for service in &self.services {
            let checked = service.audit(&Tx::unbounded(reader, service.database()), &mut report);
            report.readable(checked)?;
        }
        for database in Database::ALL {
            let tx = Tx::unbounded(reader, database);
            let checked = tx.audit_outbox(&mut report);
            report.readable(checked)?;
        }
        self.engine.audit(&mut report)?;
        let (findings, checks) = report.finish();
        let broken = findings.len() as u64;
        let findings = findings.into_iter().take(MAX_SHOWN).map(violation).collect();
        Ok(Verdict { clean: broken == 0, checks, broken, findings })
    }
}

/// A finding as it is shown, with its details cut to a bounded length.
fn violation(found: Finding) -> Violation {
    let detail = match found.detail.char_indices().nth(MAX_DETAIL) {
        Some((end, _)) => format!("{} …", found.detail.get(..end).unwrap_or_default()),
        None => found.detail,
    };
    Violation { invariant: found.invariant.to_owned(), detail }
}
