//! The table of runs.

use promox_kernel::{Json, Timestamp, text_enum};
use promox_storage::record;

use crate::verify::Verdict;

promox_kernel::id! {
    /// A run.
    RunId
}

text_enum! {
    /// What a run does.
    RunKind {
        /// Checks every invariant of the books.
        Verify = "VERIFY",
        /// Writes a backup of the whole store to a file.
        Backup = "BACKUP",
        /// Writes an export to a file.
        Export = "EXPORT",
    }
}

text_enum! {
    /// The state of a run.
    RunState {
        /// Waits for another run to end.
        Queued = "QUEUED",
        /// In progress.
        Running = "RUNNING",
        /// Finished.
        Done = "DONE",
        /// Ended by an error, or by a restart of the server.
        Failed = "FAILED",
        /// Ended by an operator.
        Cancelled = "CANCELLED",
    }
}

text_enum! {
    /// What an export contains.
    ExportContent {
        /// All orders and credit notes, as `GET /api/orders/export` sends them.
        Orders = "ORDERS",
        /// The whole catalog, as `GET /api/products/export` sends it.
        Products = "PRODUCTS",
        /// The codes of a batch, as `GET /api/coupons/batches/{id}/export` sends them.
        Coupons = "COUPONS",
    }
}

text_enum! {
    /// The format of an export.
    RunFormat {
        /// Rows of comma-separated values.
        Csv = "CSV",
        /// One JSON object per line.
        Ndjson = "NDJSON",
    }
}

record! {
    /// A long task of an operator.
    pub(crate) struct Run in Ecommerce.runs = 340, key(id: RunId) {
        kind: RunKind,
        state: RunState,
        /// True until the run has ended, otherwise null, so that the index contains only open runs.
        open: Option<bool>,
        content: Option<ExportContent>,
        format: Option<RunFormat>,
        batch_id: Option<i64>,
        /// Who started it, as in the audit log.
        requested_by: String,
        created_at: Timestamp,
        started_at: Option<Timestamp>,
        finished_at: Option<Timestamp>,
        done: i64,
        total: Option<i64>,
        error: Option<String>,
        verdict: Option<Json<Verdict>>,
        /// The length of its file, which is named after its id; null if it has none.
        file_bytes: Option<i64>,
        /// When the file is removed.
        file_until: Option<Timestamp>,
    }
    index RunByCreated = 341 (created_at);
    index RunByOpen = 342 (open, created_at);
    index RunByKind = 343 (kind, created_at);
    index RunByFile = 344 (file_until);
}

impl RunState {
    /// Whether the run has not ended.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }
}
