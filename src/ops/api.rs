//! Requests and replies of runs, verification and backups.

use promox_kernel::{Cursor, Download, Limit, Page, Timestamp, json_reply, operation, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ops::records::{ExportContent, RunFormat, RunId, RunKind, RunState};
use crate::verify::{Verdict, Violation};

/// Starts a run: a long task that goes on after the reply and beside the shop's other work. Runs of different kinds
/// wait for each other. While a run of the same kind is open, another one is refused with 409 `RUN_IN_PROGRESS`, whose
/// member `runId` names it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StartRun {
    /// What to do.
    pub kind: RunKind,
    /// What to export; required for an export, and only for that.
    #[serde(default)]
    pub content: Option<ExportContent>,
    /// The format of an export: by default `NDJSON` for orders, `CSV` for products and coupons. Coupons are always
    /// `CSV`.
    #[serde(default)]
    pub format: Option<RunFormat>,
    /// The batch whose coupons are exported; required for coupons, and only for those.
    #[serde(default)]
    pub batch_id: Option<promox_coupon::BatchId>,
}
operation! {
    StartRun => StartedRun, "ops.start_run", Post "/api/ops/runs", Permission("ops:write"), 202,
    "Starts a verification, a backup or an export."
}

/// Lists runs, newest first. The latest 20 of each kind are kept.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListRuns {
    /// Only runs of this kind.
    pub kind: Option<RunKind>,
    /// Only runs in this state.
    pub state: Option<RunState>,
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListRuns => Page<RunView>, "ops.runs", Get "/api/ops/runs", Permission("ops:read"), 200,
    "Lists verifications, backups and exports, newest first."
}

/// Gets a run with its progress and its result.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetRun {
    /// The id.
    pub id: RunId,
}
operation! {
    GetRun => RunView, "ops.run", Get "/api/ops/runs/{id}", Permission("ops:read"), 200,
    "Gets a run with its progress and its result."
}

/// Cancels an open run, which leaves no file. The file of a run that has ended is removed before its time; the run
/// remains in the list. Repeating the request changes nothing.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelRun {
    /// The id.
    pub id: RunId,
}
operation! {
    CancelRun => (), "ops.cancel_run", Delete "/api/ops/runs/{id}", Permission("ops:write"), 204,
    "Cancels an open run, or removes the file of one that has ended."
}

/// Downloads the file of a backup or an export. A backup contains password hashes and signing keys.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DownloadRun {
    /// The id.
    pub id: RunId,
}
operation! {
    DownloadRun => Download, "ops.download_run", Get "/api/ops/runs/{id}/file", Permission("ops:write"), 200,
    "Downloads the file of a backup or an export, with its length.",
    sends ["application/octet-stream", "application/x-ndjson", "text/csv"]
}

/// Verifies the books and waits up to 10 seconds for the result. If the verification takes longer, the reply is 202
/// with the run that goes on and the last result that was kept, if there is one.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verify {}
operation! {
    Verify => VerifyView, "ops.verify", Get "/api/ops/verify", Permission("ops:read"), 200,
    "Recomputes every invariant of the books.", also [202]
}

/// Streams a backup of the live store.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backup {}
operation! {
    Backup => Download, "ops.backup", Get "/api/ops/backup", Permission("ops:write"), 200,
    "A consistent backup of the whole store, for `promox restore`. Two long reads can run at once; a third one gets 503.",
    sends ["application/octet-stream"]
}

text_enum! {
    /// What the progress of a run counts.
    ProgressUnit {
        /// Rows and index entries of the store. A verification reads rows twice.
        Entries = "ENTRIES",
        /// Orders and credit notes, products or coupons.
        Rows = "ROWS",
    }
}

/// The progress of a run.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProgressView {
    /// What is done.
    pub done: u64,
    /// The expected total, an estimate until the run is done; null while it is unknown.
    pub total: Option<u64>,
    /// What is counted.
    pub unit: ProgressUnit,
}

/// The file of a backup or an export.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunFile {
    /// The name under which a browser saves it.
    pub name: String,
    /// The media type.
    pub media_type: String,
    /// The length in bytes.
    pub bytes: u64,
    /// The path to download it from.
    pub path: String,
    /// When it is removed: a day after it was written, or earlier, because the latest two of each kind are kept.
    pub expires_at: Timestamp,
}

/// A run.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunView {
    /// The id.
    pub id: RunId,
    /// What it does.
    pub kind: RunKind,
    /// The state.
    pub state: RunState,
    /// What is exported; null unless it is an export.
    pub content: Option<ExportContent>,
    /// The format of an export; null unless it is one.
    pub format: Option<RunFormat>,
    /// The batch whose coupons are exported.
    pub batch_id: Option<promox_coupon::BatchId>,
    /// The progress.
    pub progress: ProgressView,
    /// Who started it, such as `user:7`.
    pub requested_by: String,
    /// When it was requested.
    pub created_at: Timestamp,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<String>,
    /// The result of a verification.
    pub verdict: Option<Verdict>,
    /// The file of a backup or an export; null until it is done, and after the file was removed.
    pub file: Option<RunFile>,
}
json_reply!(RunView);

/// A run that was started. `Location` is its path.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct StartedRun(pub RunView);
json_reply!(StartedRun, location path);

impl StartedRun {
    fn path(&self) -> String {
        self.0.path()
    }
}

impl RunView {
    /// The path of the run.
    pub fn path(&self) -> String {
        format!("/api/ops/runs/{}", self.id)
    }
}

/// The result of a verification: of the one that was just made (200), or the last one that was kept while another is in
/// progress (202, whose `Location` is the path of the run).
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerifyView {
    /// Whether all invariants hold; null if no result is kept.
    pub clean: Option<bool>,
    /// The number of checks made; null if no result is kept.
    pub checks: Option<u64>,
    /// The number of violations; null if no result is kept.
    pub broken: Option<u64>,
    /// The violations, at most the first 1,000.
    pub findings: Vec<Violation>,
    /// When the verification of this result began: the books are those of that time. Null if no result is kept.
    pub verified_at: Option<Timestamp>,
    /// The run: the one that gave this result (200), or the one in progress (202).
    pub run_id: RunId,
    /// The state of the run.
    pub state: RunState,
    /// The progress of the run.
    pub progress: ProgressView,
}
json_reply!(VerifyView, location location, status http_status);

impl VerifyView {
    fn location(&self) -> Option<String> {
        self.state.is_open().then(|| format!("/api/ops/runs/{}", self.run_id))
    }

    fn http_status(&self) -> Option<u16> {
        self.state.is_open().then_some(202)
    }
}
