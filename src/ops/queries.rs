//! Reads of runs.

use promox_coupon::BatchId;
use promox_kernel::{Error, Page, Progress, Timestamp};
use promox_storage::{StoreError, Tx};

use crate::ops::api::{ListRuns, ProgressUnit, ProgressView, RunFile, RunView, VerifyView};
use crate::ops::backup;
use crate::ops::records::{ExportContent, Run, RunByCreated, RunByKind, RunFormat, RunId, RunKind, RunState};

pub(crate) fn run(tx: &Tx<'_>, id: RunId) -> Result<Run, Error> {
    tx.get::<Run>(&id)?.ok_or(Error::not_found("run"))
}

pub(crate) fn list(tx: &Tx<'_>, op: ListRuns) -> Result<Page<Run>, Error> {
    let keep =
        |run: &Run| op.kind.is_none_or(|kind| kind == run.kind) && op.state.is_none_or(|state| state == run.state);
    tx.scan_by::<RunByCreated>().backward().page_of(op.limit, op.cursor, keep)
}

/// The latest verification that is done.
pub(crate) fn last_verification(tx: &Tx<'_>) -> Result<Option<Run>, StoreError> {
    let mut runs = tx.scan_by::<RunByKind>().prefix(RunKind::Verify).backward().rows();
    runs.find(|run| run.as_ref().map_or(true, |run| run.verdict.is_some())).transpose()
}

/// A run as clients see it. `live` is the progress of the run in progress.
pub(crate) fn view(run: Run, live: Option<&Progress>) -> RunView {
    let progress = progress_view(&run, live);
    let file = file_view(&run);
    RunView {
        id: run.id,
        kind: run.kind,
        state: run.state,
        content: run.content,
        format: run.format,
        batch_id: run.batch_id.map(BatchId),
        progress,
        requested_by: run.requested_by,
        created_at: run.created_at,
        started_at: run.started_at,
        finished_at: run.finished_at,
        error: run.error,
        verdict: run.verdict.map(|verdict| verdict.0),
        file,
    }
}

fn progress_view(run: &Run, live: Option<&Progress>) -> ProgressView {
    let (done, total) = match live {
        Some(live) => (live.done(), live.total()),
        None => (run.done.unsigned_abs(), run.total.map(i64::unsigned_abs)),
    };
    let unit = if run.kind == RunKind::Export { ProgressUnit::Rows } else { ProgressUnit::Entries };
    ProgressView { done, total, unit }
}

fn file_view(run: &Run) -> Option<RunFile> {
    let (bytes, expires_at) = (run.file_bytes?, run.file_until?);
    Some(RunFile {
        name: run.file_name(),
        media_type: run.media_type().to_owned(),
        bytes: bytes.unsigned_abs(),
        path: format!("/api/ops/runs/{}/file", run.id),
        expires_at,
    })
}

/// The reply to a request to verify: the result of `run` if that is done, else the `last` one that was kept.
pub(crate) fn verify_view(run: &Run, last: Option<Run>, live: Option<&Progress>) -> VerifyView {
    let kept = if run.verdict.is_some() { Some(run.clone()) } else { last };
    let verified_at = kept.as_ref().and_then(|run| run.started_at);
    let verdict = kept.and_then(|run| run.verdict).map(|verdict| verdict.0);
    VerifyView {
        clean: verdict.as_ref().map(|verdict| verdict.clean),
        checks: verdict.as_ref().map(|verdict| verdict.checks),
        broken: verdict.as_ref().map(|verdict| verdict.broken),
        verified_at,
        findings: verdict.map(|verdict| verdict.findings).unwrap_or_default(),
        run_id: run.id,
        state: run.state,
        progress: progress_view(run, live),
    }
}

impl Run {
    /// The media type of its file.
    pub(crate) fn media_type(&self) -> &'static str {
        match self.format {
            None => backup::MEDIA_TYPE,
            Some(RunFormat::Csv) => "text/csv",
            Some(RunFormat::Ndjson) => "application/x-ndjson",
        }
    }

    /// The name under which its file is saved.
    pub(crate) fn file_name(&self) -> String {
        let at = self.started_at.unwrap_or(self.created_at);
        let Some(format) = self.format else { return backup::file_name(at) };
        let format = format.as_str().to_lowercase();
        match (self.content, self.batch_id) {
            (Some(ExportContent::Orders), _) => format!("orders.{format}"),
            (Some(ExportContent::Coupons), Some(batch)) => format!("coupons-{batch}.{format}"),
            _ => format!("products.{format}"),
        }
    }

    /// Whether its file is there and has not expired.
    pub(crate) fn file_length(&self, now: Timestamp) -> Option<u64> {
        self.file_until.filter(|until| *until > now)?;
        self.file_bytes.map(i64::unsigned_abs)
    }

    /// The error of a verification that has ended without a result.
    pub(crate) fn failure(&self) -> Option<&str> {
        match self.state {
            RunState::Failed => Some(self.error.as_deref().unwrap_or("The verification failed.")),
            RunState::Cancelled => Some("The verification was cancelled."),
            _ => None,
        }
    }
}
