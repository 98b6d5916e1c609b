//! The transactions of a run: start, take, finish, cancel, and clean up.

use std::time::Duration;

use promox_contract::audit::Audited;
use promox_contract::codes;
use promox_kernel::{Cx, Error, FieldError, Json, Progress};
use promox_storage::{StoreError, Tx};
use serde_json::json;

use crate::ops::api::StartRun;
use crate::ops::records::{ExportContent, Run, RunByFile, RunByKind, RunByOpen, RunFormat, RunId, RunKind, RunState};
use crate::verify::Verdict;

/// Ended runs of each kind that are kept.
const KEPT_RUNS: usize = 20;
/// Files of each kind that are kept.
const KEPT_FILES: usize = 2;
/// How long a file is kept.
const FILE_LIFETIME: Duration = Duration::from_hours(24);
/// Expired files that are removed in one transaction.
const BATCH: usize = 100;
/// The error of a run that a stop or a crash of the server ended.
const INTERRUPTED: &str = "The server stopped while the run was in progress. Start it again.";

/// A validated request.
#[derive(Clone, Debug)]
pub(crate) struct NewRun {
    pub(crate) kind: RunKind,
    pub(crate) content: Option<ExportContent>,
    pub(crate) format: Option<RunFormat>,
    pub(crate) batch_id: Option<i64>,
}

impl NewRun {
    /// A verification.
    pub(crate) const VERIFY: Self = Self { kind: RunKind::Verify, content: None, format: None, batch_id: None };

    /// The run that a request asks for. The error lists every fault.
    pub(crate) fn read(op: &StartRun) -> Result<Self, Error> {
        let mut faults = Vec::new();
        let mut fault = |pointer: &str, detail: &str| faults.push(FieldError::new(pointer, detail));
        let is_export = op.kind == RunKind::Export;
        match (is_export, op.content) {
            (true, None) => fault("/content", "is required for an export"),
            (false, Some(_)) => fault("/content", "is for an export only"),
            _ => {}
        }
        let of_coupons = op.content == Some(ExportContent::Coupons);
        match (of_coupons, op.batch_id) {
            (true, None) => fault("/batchId", "is required for an export of coupons"),
            (false, Some(_)) => fault("/batchId", "is for an export of coupons only"),
            _ => {}
        }
        match op.format {
            Some(_) if !is_export => fault("/format", "is for an export only"),
            Some(RunFormat::Ndjson) if of_coupons => fault("/format", "must be CSV for coupons"),
            _ => {}
        }
        if !faults.is_empty() {
            return Err(Error::invalid(faults));
        }
        let default = if op.content == Some(ExportContent::Orders) { RunFormat::Ndjson } else { RunFormat::Csv };
        let format = is_export.then(|| op.format.unwrap_or(default));
        Ok(Self { kind: op.kind, content: op.content, format, batch_id: op.batch_id.map(|id| id.0) })
    }
}

/// The open run of a kind; there is at most one.
fn open_run(tx: &Tx<'_>, kind: RunKind) -> Result<Option<Run>, StoreError> {
    let mut open = tx.scan_by::<RunByOpen>().rows();
    open.find(|run| run.as_ref().map_or(true, |run| run.kind == kind)).transpose()
}

/// Queues a run. Refused while one of its kind is open.
pub(crate) fn start(tx: &mut Tx<'_>, cx: &Cx, new: &NewRun) -> Result<Run, Error> {
    if let Some(open) = open_run(tx, new.kind)? {
        let message = format!("Run {} of this kind has not ended yet.", open.id);
        return Err(Error::conflict(codes::RUN_IN_PROGRESS, message).with("runId", open.id));
    }
    let run = insert(tx, cx, new)?;
    audit_change(tx, cx, "ops.start_run", &run)?;
    Ok(run)
}

/// Returns the open verification, or queues one.
pub(crate) fn verification(tx: &mut Tx<'_>, cx: &Cx) -> Result<Run, Error> {
    match open_run(tx, RunKind::Verify)? {
        Some(open) => Ok(open),
        None => Ok(insert(tx, cx, &NewRun::VERIFY)?),
    }
}

fn insert(tx: &mut Tx<'_>, cx: &Cx, new: &NewRun) -> Result<Run, StoreError> {
    let run = Run {
        id: RunId(tx.next_id::<Run>()?),
        kind: new.kind,
        state: RunState::Queued,
        open: Some(true),
        content: new.content,
        format: new.format,
        batch_id: new.batch_id,
        requested_by: cx.principal.name(),
        created_at: tx.now(),
        started_at: None,
        finished_at: None,
        done: 0,
        total: None,
        error: None,
        verdict: None,
        file_bytes: None,
        file_until: None,
    };
    tx.insert(&run)?;
    Ok(run)
}

fn audit_change(tx: &mut Tx<'_>, cx: &Cx, action: &str, run: &Run) -> Result<(), StoreError> {
    let after = json!({"kind": run.kind, "content": run.content, "format": run.format, "batchId": run.batch_id});
    tx.emit(run.id, &Audited::new(cx.principal.name(), action, format!("run:{}", run.id), (), after))
}

/// Marks the oldest queued run as running and returns it.
pub(crate) fn take_next(tx: &mut Tx<'_>) -> Result<Option<Run>, StoreError> {
    let mut open = tx.scan_by::<RunByOpen>().rows();
    let next = open.find(|run| run.as_ref().map_or(true, |run| run.state == RunState::Queued)).transpose()?;
    drop(open);
    let Some(mut run) = next else { return Ok(None) };
    (run.state, run.started_at) = (RunState::Running, Some(tx.now()));
    tx.put(&run)?;
    Ok(Some(run))
}

/// How a run ended.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Verified(Verdict),
    /// A file of this many bytes was written.
    Written(u64),
    Failed(String),
    Cancelled,
}

/// Records how a run ended, and removes old runs and files of its kind. Returns the runs whose files are to be removed.
pub(crate) fn finish(
    tx: &mut Tx<'_>,
    id: RunId,
    outcome: &Outcome,
    progress: &Progress,
) -> Result<Vec<RunId>, StoreError> {
    let Some(mut run) = tx.get::<Run>(&id)?.filter(|run| run.state.is_open()) else { return Ok(Vec::new()) };
    let is_done = matches!(outcome, Outcome::Verified(_) | Outcome::Written(_));
    let total = progress.total().map(signed);
    (run.done, run.total) = (signed(progress.done()), total);
    if is_done {
        // The total was an estimate.
        let whole = run.done.max(total.unwrap_or(0));
        (run.done, run.total) = (whole, Some(whole));
    }
    match outcome {
        Outcome::Verified(verdict) => run.verdict = Some(Json(verdict.clone())),
        Outcome::Written(bytes) => {
            run.file_bytes = Some(signed(*bytes));
            run.file_until = Some(tx.now() + FILE_LIFETIME);
        }
        Outcome::Failed(error) => run.error = Some(error.clone()),
        Outcome::Cancelled => {}
    }
    let state = match outcome {
        Outcome::Failed(_) => RunState::Failed,
        Outcome::Cancelled => RunState::Cancelled,
        Outcome::Verified(_) | Outcome::Written(_) => RunState::Done,
    };
    end(tx, run, state)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Stores an ended run, and removes old runs and files of its kind. Returns the runs whose files are to be removed.
fn end(tx: &mut Tx<'_>, mut run: Run, state: RunState) -> Result<Vec<RunId>, StoreError> {
    (run.state, run.open, run.finished_at) = (state, None, Some(tx.now()));
    let kind = run.kind;
    tx.put(&run)?;
    let runs: Vec<Run> = tx.scan_by::<RunByKind>().prefix(kind).backward().rows().collect::<Result<_, _>>()?;
    let ended: Vec<Run> = runs.into_iter().filter(|run| !run.state.is_open()).collect();
    let mut removed = Vec::new();
    for run in ended.iter().skip(KEPT_RUNS) {
        removed.extend(run.file_bytes.map(|_| run.id));
        tx.delete::<Run>(&run.id)?;
    }
    let with_file = ended.into_iter().take(KEPT_RUNS).filter(|run| run.file_bytes.is_some());
    for run in with_file.skip(KEPT_FILES) {
        removed.push(run.id);
        forget_file(tx, run)?;
    }
    Ok(removed)
}

fn forget_file(tx: &mut Tx<'_>, mut run: Run) -> Result<(), StoreError> {
    (run.file_bytes, run.file_until) = (None, None);
    tx.put(&run)
}

/// Cancels a queued run, or forgets the file of an ended one. Returns the run as it was, for its file or its work.
pub(crate) fn cancel(tx: &mut Tx<'_>, cx: &Cx, id: RunId) -> Result<Run, Error> {
    let run = tx.get::<Run>(&id)?.ok_or(Error::not_found("run"))?;
    match run.state {
        RunState::Queued => drop(end(tx, run.clone(), RunState::Cancelled)?),
        RunState::Running => {}
        _ if run.file_bytes.is_some() => forget_file(tx, run.clone())?,
        _ => return Ok(run),
    }
    audit_change(tx, cx, "ops.cancel_run", &run)?;
    Ok(run)
}

/// Marks the runs that a stop of the server interrupted as failed.
pub(crate) fn fail_interrupted(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    let open: Vec<Run> = tx.scan_by::<RunByOpen>().rows().collect::<Result<_, _>>()?;
    for mut run in open.into_iter().filter(|run| run.state == RunState::Running) {
        run.error = Some(INTERRUPTED.to_owned());
        end(tx, run, RunState::Failed)?;
    }
    Ok(())
}

/// Forgets files that have expired or are in `missing`. Returns their runs, at most a batch of them.
pub(crate) fn forget_files(tx: &mut Tx<'_>, missing: &[RunId]) -> Result<Vec<RunId>, StoreError> {
    let now = tx.now();
    let with_file: Vec<Run> = tx.scan_by::<RunByFile>().collect(BATCH)?;
    let gone = |run: &Run| run.file_until.is_none_or(|until| until <= now) || missing.contains(&run.id);
    let mut forgotten = Vec::new();
    for run in with_file.into_iter().filter(gone) {
        forgotten.push(run.id);
        forget_file(tx, run)?;
    }
    Ok(forgotten)
}
