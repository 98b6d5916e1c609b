//! The worker, which executes runs one after the other, each on a blocking thread.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use promox_coupon::{BatchId, ExportBatch};
use promox_kernel::{BodyReader, Content, Cx, Download, Error, Kind, Progress};
use promox_order::{ExportHistory, HistoryFormat};
use promox_product::{ExportFormat, ExportProducts};
use promox_storage::StoreError;
use tokio_util::sync::CancellationToken;

use crate::engine::BackupError;
use crate::ops::commands::{self, Outcome};
use crate::ops::records::{ExportContent, Run, RunFormat, RunId, RunKind};
use crate::ops::watched::Watched;
use crate::ops::{Current, Ops};
use crate::verify::{Auditor, Verdict};

/// The time limit of a transaction of the worker, and of the beginning of an export.
const LIMIT: Duration = Duration::from_mins(1);
/// The pause before something that failed is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Executes runs until the node stops.
pub(crate) struct Worker {
    pub(crate) ops: Arc<Ops>,
    pub(crate) auditor: Arc<Auditor>,
    pub(crate) node: Arc<promox_kernel::Node>,
}

/// Why a run has not succeeded.
enum Failure {
    /// Too many long reads are open, or the store is busy: it can be tried again.
    Busy,
    Failed(String),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::TooLarge { limit } => Self::Failed(format!("The run exceeded the limit of {limit}.")),
            StoreError::Full => Self::Failed("The run ended because the disk is nearly full.".to_owned()),
            error => Error::from(error).into(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if error.kind() == Kind::Unavailable {
            return Self::Busy;
        }
        // The cause is for the log only.
        tracing::error!(%error, "a run failed");
        Self::Failed(error.message().to_owned())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Failed(format!("The file could not be written: {error}"))
    }
}

impl Worker {
    /// Executes queued runs until `closing` is cancelled, which also interrupts the run in progress.
    pub(crate) async fn work(self, closing: CancellationToken) {
        while !closing.is_cancelled() {
            let cx = Cx::system(&self.node, "ops.worker", LIMIT);
            match self.ops.db.write::<_, StoreError, _>(&cx, commands::take_next).await {
                Ok(Some(run)) => self.execute(&run, &closing).await,
                Ok(None) => drop(closing.run_until_cancelled(self.ops.wake.notified()).await),
                Err(error) => {
                    tracing::warn!(%error, "the next run could not be read");
                    self.pause(&closing).await;
                }
            }
        }
    }

    async fn pause(&self, closing: &CancellationToken) {
        closing.run_until_cancelled(self.node.clock.sleep(RETRY_PAUSE)).await;
    }

    async fn execute(&self, run: &Run, closing: &CancellationToken) {
        let current = Current { id: run.id, progress: Arc::default(), cancelled: closing.child_token() };
        *self.ops.current.lock() = Some(current.clone());
        let (id, kind, started) = (run.id, run.kind, self.node.clock.now());
        tracing::info!(%id, %kind, "a run began");
        let result = loop {
            match self.attempt(run, &current).await {
                Err(Failure::Busy) if !current.cancelled.is_cancelled() => self.pause(&current.cancelled).await,
                result => break result,
            }
        };
        let outcome = match result {
            // A stop of the node is no decision: the next start marks the run as interrupted.
            _ if closing.is_cancelled() => return,
            Ok(outcome) => outcome,
            Err(_) if current.cancelled.is_cancelled() => Outcome::Cancelled,
            Err(Failure::Busy) => Outcome::Failed("The store is busy.".to_owned()),
            Err(Failure::Failed(reason)) => Outcome::Failed(reason),
        };
        if let Outcome::Failed(reason) = &outcome {
            tracing::warn!(%id, %kind, reason, "a run has failed");
        }
        tracing::info!(%id, %kind, millis = self.node.clock.now().since(started).as_millis(), "a run ended");
        self.finish(&current, outcome, closing).await;
    }

    /// Records the end of a run. A store that is busy or full is tried again.
    async fn finish(&self, current: &Current, outcome: Outcome, closing: &CancellationToken) {
        let (id, progress) = (current.id, current.progress.clone());
        loop {
            let cx = Cx::system(&self.node, "ops.worker", LIMIT);
            let (outcome, progress) = (outcome.clone(), progress.clone());
            let recorded =
                self.ops.db.write::<_, StoreError, _>(&cx, move |tx| commands::finish(tx, id, &outcome, &progress));
            match recorded.await {
                Ok(removed) => {
                    *self.ops.current.lock() = None;
                    self.ops.folder.remove(&removed);
                    self.ops.ended.send_replace(());
                    return;
                }
                Err(error) => {
                    tracing::warn!(%id, %error, "the end of a run could not be recorded");
                    self.pause(closing).await;
                }
            }
            if closing.is_cancelled() {
                return;
            }
        }
    }

    async fn attempt(&self, run: &Run, current: &Current) -> Result<Outcome, Failure> {
        current.progress.reach(0);
        match run.kind {
            RunKind::Verify => self.verify(current).await.map(Outcome::Verified),
            RunKind::Backup => self.back_up(run.id, current).await.map(Outcome::Written),
            RunKind::Export => self.export(run, current).await.map(Outcome::Written),
        }
    }

    async fn verify(&self, current: &Current) -> Result<Verdict, Failure> {
        let (auditor, progress, cancelled) =
            (self.auditor.clone(), current.progress.clone(), current.cancelled.clone());
        let checked = blocking(move || {
            let reader = auditor.long_read()?;
            progress.expect(auditor.entries(&*reader).unwrap_or(0));
            auditor.run_on(&Watched { reader, progress, cancelled })
        });
        Ok(checked.await??)
    }

    async fn back_up(&self, id: RunId, current: &Current) -> Result<u64, Failure> {
        let (ops, current) = (self.ops.clone(), current.clone());
        let written = blocking(move || {
            current.progress.expect(ops.store.entries().unwrap_or(0));
            let mut failure = None;
            let length = ops.folder.create(id, &current.cancelled, |out| {
                let backed_up = ops.store.backup(out, |copied| current.progress.reach(copied.items));
                backed_up.map(drop).map_err(|error| match error {
                    BackupError::Io(error) => error,
                    BackupError::Store(error) => {
                        failure = Some(error.clone());
                        io::Error::other(error)
                    }
                })
            });
            match failure {
                Some(error) => Err(Failure::from(error)),
                None => Ok(length?),
            }
        });
        written.await?
    }

    /// Runs the operation that streams the export and writes its stream to the file.
    async fn export(&self, run: &Run, current: &Current) -> Result<u64, Failure> {
        let download = self.start_export(run).await?;
        let Content::Stream(_, reader) = download.content else {
            return Err(Failure::Failed("The export is not a stream.".to_owned()));
        };
        let (ops, id, rows, current) = (self.ops.clone(), run.id, download.progress, current.clone());
        let written = blocking(move || {
            let mut failure = None;
            let length = ops.folder.create(id, &current.cancelled, |out| {
                copy(reader, out, rows.as_deref(), &current.progress, &mut failure)
            });
            match failure {
                Some(error) => Err(Failure::from(error)),
                None => Ok(length?),
            }
        });
        written.await?
    }

    async fn start_export(&self, run: &Run) -> Result<Download, Error> {
        let cx = Cx::system(&self.node, "ops.export", LIMIT);
        let is_csv = run.format == Some(RunFormat::Csv);
        match (run.content, run.batch_id) {
            (Some(ExportContent::Orders), _) => {
                let format = if is_csv { HistoryFormat::Csv } else { HistoryFormat::Ndjson };
                cx.run(ExportHistory { format: Some(format) }).await
            }
            (Some(ExportContent::Coupons), Some(id)) => cx.run(ExportBatch { id: BatchId(id) }).await,
            _ => {
                let format = if is_csv { ExportFormat::Csv } else { ExportFormat::Ndjson };
                cx.run(ExportProducts { format: Some(format) }).await
            }
        }
    }
}

/// Copies a stream, and passes on the progress of those who write it. If the stream breaks, `failure` says why.
fn copy(
    mut from: BodyReader,
    out: &mut dyn Write,
    rows: Option<&Progress>,
    progress: &Progress,
    failure: &mut Option<Error>,
) -> io::Result<()> {
    while let Some(chunk) = from.next_blocking() {
        let chunk = chunk.map_err(|error| {
            *failure = Some(error);
            io::ErrorKind::BrokenPipe
        });
        out.write_all(&chunk?)?;
        if let Some(rows) = rows {
            progress.expect(rows.total().unwrap_or(0));
            progress.reach(rows.done());
        }
    }
    if let Some(rows) = rows {
        progress.reach(rows.done());
    }
    Ok(())
}

/// Runs work on a blocking thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Failure::Failed(error.to_string()))
}
