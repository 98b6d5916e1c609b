//! The auditor: recomputes every invariant of the books from the rows of one consistent state.
//!
//! `promox verify` runs it offline, `GET /api/ops/verify` on a running server, and every scenario test at its end.

use std::sync::Arc;

use promox_kernel::{Cx, Error, Handle, Registry, json_reply, operation, register};
use promox_storage::{Database, DynService, Engine, Report, Schema, StoreError, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Findings listed in a reply; further ones are only counted.
const MAX_SHOWN: usize = 1_000;

/// Checks every invariant of the books on the live store.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verify {}
operation! {
    Verify => Verdict, "ops.verify", Get "/api/ops/verify", Permission("ops:read"), 200,
    "Recomputes every invariant of the books."
}

/// The result of an audit.
#[derive(Clone, Debug, Serialize, JsonSchema)]
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
json_reply!(Verdict);

/// A violated invariant.
#[derive(Clone, Debug, Serialize, JsonSchema)]
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
}

impl std::fmt::Debug for Auditor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "an auditor of {} services", self.services.len())
    }
}

impl Auditor {
    /// An auditor of these services.
    pub fn new(engine: Arc<dyn Engine>, schema: Schema, services: Vec<Arc<dyn DynService>>) -> Arc<Self> {
        Arc::new(Self { engine, schema, services })
    }

    /// Registers the audit operation.
    pub fn register(self: &Arc<Self>, registry: &mut Registry) {
        register!(registry, self; Verify);
    }

    /// Checks everything on the calling thread, which may take minutes on a large store.
    pub fn run(&self) -> Result<Verdict, StoreError> {
        let reader = self.engine.long_read()?;
        let mut report = Report::default();
        for table in self.schema.tables() {
            let checked = report.check_table(&*reader, table);
            report.readable(checked)?;
        }
        for service in &self.services {
            let checked = service.audit(&Tx::unbounded(&*reader, service.database()), &mut report);
            report.readable(checked)?;
        }
        for database in Database::ALL {
            let tx = Tx::unbounded(&*reader, database);
            let checked = tx.audit_outbox(&mut report);
            report.readable(checked)?;
        }
        self.engine.audit(&mut report)?;
        let (findings, checks) = report.finish();
        let broken = findings.len() as u64;
        let shown = findings.into_iter().take(MAX_SHOWN);
        let findings =
            shown.map(|found| Violation { invariant: found.invariant.to_owned(), detail: found.detail }).collect();
        Ok(Verdict { clean: broken == 0, checks, broken, findings })
    }
}

impl Handle<Verify> for Auditor {
    async fn handle(&self, _: &Cx, _: Verify) -> Result<Verdict, Error> {
        let auditor = self.clone();
        let verdict = tokio::task::spawn_blocking(move || auditor.run()).await.map_err(Error::internal)?;
        Ok(verdict?)
    }
}
