//! The operator's long tasks, verification, backups and exports, and the state of the node's background work.
//!
//! A task is a *run*: a row that says what is to be done, how far it is, and how it ended. Its invariants are:
//!
//! - At most one run of a kind is open, that is queued or running. Runs are executed one after the other, by the worker.
//! - A run that a stop of the server interrupts has failed. Its file appears only when it is complete.
//! - Of each kind, the latest 20 runs and the latest two files are kept, a file for a day.

mod api;
mod audit;
mod backup;
mod commands;
mod folder;
mod handlers;
mod queries;
mod records;
mod state;
mod state_api;
mod watched;
mod worker;

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use promox_kernel::{Cx, Error, Job, Progress, Registry, register};
use promox_storage::{Database, Db, Record, Report, Service, StoreError, TableDef, Tx};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::engine;
use crate::job_log::JobLog;
use folder::Folder;
use records::{Run, RunByFile};

pub use api::*;
pub use backup::file_name;
pub use records::{ExportContent, RunFormat, RunId, RunKind, RunState};
pub(crate) use state::Watched;
pub use state_api::*;
pub(crate) use worker::Worker;

/// How often expired files are looked for.
const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// The service of long tasks.
pub struct Ops {
    db: Db,
    store: engine::Store,
    folder: Folder,
    /// Wakes the worker.
    wake: Notify,
    /// The run in progress on this node.
    current: Mutex<Option<Current>>,
    /// Signalled when a run has ended.
    ended: watch::Sender<()>,
    /// The log of the node's jobs.
    jobs: JobLog,
    /// The consumers of the node, set when all services exist.
    consumers: OnceLock<Vec<Watched>>,
}

impl std::fmt::Debug for Ops {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the operator's long tasks")
    }
}

/// The run in progress.
#[derive(Clone)]
struct Current {
    id: RunId,
    progress: Arc<Progress>,
    cancelled: CancellationToken,
}

impl Ops {
    /// The service on its database. `store` is what backups contain, and files are written under `data_dir`.
    pub(crate) fn new(db: Db, store: engine::Store, data_dir: &Path, jobs: JobLog) -> Arc<Self> {
        Arc::new(Self {
            db,
            store,
            folder: Folder::new(data_dir),
            wake: Notify::new(),
            current: Mutex::default(),
            ended: watch::Sender::new(()),
            jobs,
            consumers: OnceLock::new(),
        })
    }

    /// Shows these consumers. Only the first call has an effect.
    pub(crate) fn watch(&self, consumers: Vec<Watched>) {
        let _ = self.consumers.set(consumers);
    }

    fn watched(&self) -> &[Watched] {
        self.consumers.get().map_or(&[], Vec::as_slice)
    }

    /// The progress of a run, if it is in progress.
    fn live(&self, id: RunId) -> Option<Arc<Progress>> {
        self.current.lock().as_ref().filter(|current| current.id == id).map(|current| current.progress.clone())
    }

    fn view(&self, run: Run) -> RunView {
        let live = if run.state == RunState::Running { self.live(run.id) } else { None };
        queries::view(run, live.as_deref())
    }

    /// Makes a run end soon, if it is in progress.
    fn interrupt(&self, id: RunId) {
        if let Some(current) = self.current.lock().as_ref().filter(|current| current.id == id) {
            current.cancelled.cancel();
        }
    }

    /// Waits until a run has ended, at most for `limit`. Returns the run.
    async fn wait_for_end(&self, cx: &Cx, id: RunId, limit: Duration) -> Result<Run, Error> {
        let mut ended = self.ended.subscribe();
        let left = cx.deadline.saturating_duration_since(tokio::time::Instant::now());
        let until = tokio::time::Instant::now() + limit.min(left / 2);
        loop {
            let run = self.db.read(|tx| queries::run(tx, id)).await?;
            if !run.state.is_open() || tokio::time::timeout_at(until, ended.changed()).await.is_err() {
                return Ok(run);
            }
        }
    }

    /// Removes files that have expired. Returns whether there may be more.
    async fn sweep(&self, cx: &Cx) -> Result<bool, Error> {
        let due = self.db.read::<_, StoreError, _>(|tx| {
            let first = tx.scan_by::<RunByFile>().first()?;
            Ok(first.and_then(|run| run.file_until).is_some_and(|until| until <= cx.now))
        });
        if !due.await? {
            return Ok(false);
        }
        let forgotten = self.db.write::<_, StoreError, _>(cx, |tx| commands::forget_files(tx, &[])).await?;
        self.folder.remove(&forgotten);
        Ok(!forgotten.is_empty())
    }
}

impl Service for Ops {
    const NAME: &'static str = "ops";
    const DATABASE: Database = Database::Ecommerce;
    const TABLES: &'static [&'static TableDef] = &[Run::TABLE];

    fn register(self: &Arc<Self>, registry: &mut Registry) {
        register!(registry, self; StartRun, ListRuns, GetRun, CancelRun, DownloadRun, Verify, Backup,
            ListSagas, ListEvents, ListConsumers, ListDeadLetters, ReplayDeadLetter, ListJobs);
    }

    fn jobs(self: &Arc<Self>) -> Vec<Job> {
        let ops = self.clone();
        let sweep = move |cx: Cx| {
            let ops = ops.clone();
            async move { ops.sweep(&cx).await }
        };
        vec![Job::new("ops.remove_files", SWEEP_EVERY, sweep)]
    }

    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        audit::audit(tx, report)
    }

    /// Marks interrupted runs as failed, and makes the files and the rows agree.
    async fn recover(&self, cx: &Cx) -> Result<(), Error> {
        self.db.write::<_, StoreError, _>(cx, commands::fail_interrupted).await?;
        let with_file =
            self.db.read::<_, StoreError, _>(|tx| tx.scan_by::<RunByFile>().rows().collect::<Result<Vec<Run>, _>>());
        let kept: Vec<RunId> = with_file.await?.into_iter().map(|run| run.id).collect();
        let missing = self.folder.clean(&kept);
        let forgotten = self.db.write::<_, StoreError, _>(cx, move |tx| commands::forget_files(tx, &missing)).await?;
        self.folder.remove(&forgotten);
        Ok(())
    }
}
