//! The auditor: recomputes every invariant of the books from the rows of one consistent state.
//!
//! `promox verify` runs it offline, `GET /api/ops/verify` on a running server, and every scenario test at its end.

use std::sync::Arc;

use promox_kernel::{Cx, Error, Handle, Registry, json_reply, operation, register};
use promox_storage::{Database, DynService, Engine, Report, Schema, StoreError, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Findings that an answer lists; more are only counted.
const MOST_SHOWN: usize = 1_000;

/// Checks every invariant of the books on the live store.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verify {}
operation! { Verify => Verdict, "ops.verify", Get "/api/ops/verify", Permission("ops:read"), 200, "Recomputes every invariant of the books." }

/// What the auditor found.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Whether everything holds.
    pub clean: bool,
    /// How many checks were made.
    pub checks: u64,
    /// How many do not hold.
    pub broken: u64,
    /// What does not hold; the first thousand.
    pub findings: Vec<Broken>,
}
json_reply!(Verdict);

/// An invariant that does not hold.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Broken {
    /// Which.
    pub invariant: String,
    /// What breaks it.
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
    /// An auditor of these services' books.
    pub fn new(engine: Arc<dyn Engine>, schema: Schema, services: Vec<Arc<dyn DynService>>) -> Arc<Self> {
        Arc::new(Self { engine, schema, services })
    }

    /// Registers its operation.
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
        let shown = findings.into_iter().take(MOST_SHOWN);
        let findings =
            shown.map(|found| Broken { invariant: found.invariant.to_owned(), detail: found.detail }).collect();
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
