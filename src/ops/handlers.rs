//! The handlers of runs, verification and backups.

use std::time::Duration;

use promox_contract::codes;
use promox_coupon::GetBatch;
use promox_kernel::{Cx, Download, Error, Handle, Kind, Page};

use crate::ops::api::{
    Backup, CancelRun, DownloadRun, GetRun, ListRuns, RunView, StartRun, StartedRun, Verify, VerifyView,
};
use crate::ops::commands::{self, NewRun};
use crate::ops::records::RunState;
use crate::ops::{Ops, backup, queries};

/// How long a request to verify waits for the result.
const VERIFY_WAIT: Duration = Duration::from_secs(10);
/// How long a request to cancel waits for the run to end.
const CANCEL_WAIT: Duration = Duration::from_secs(5);

impl Handle<StartRun> for Ops {
    async fn handle(&self, cx: &Cx, op: StartRun) -> Result<StartedRun, Error> {
        let new = NewRun::read(&op)?;
        if let Some(id) = op.batch_id {
            cx.run(GetBatch { id }).await.map_err(unknown_batch)?;
        }
        let caller = cx.clone();
        let run = self.db.write(cx, move |tx| commands::start(tx, &caller, &new)).await?;
        self.wake.notify_one();
        Ok(StartedRun(self.view(run)))
    }

    async fn check(&self, _: &Cx, op: StartRun) -> Result<(), Error> {
        NewRun::read(&op).map(drop)
    }
}

fn unknown_batch(error: Error) -> Error {
    if error.kind() == Kind::NotFound { Error::field("/batchId", "there is no such batch") } else { error }
}

impl Handle<ListRuns> for Ops {
    async fn handle(&self, _: &Cx, op: ListRuns) -> Result<Page<RunView>, Error> {
        let page = self.db.read(|tx| queries::list(tx, op.clone())).await?;
        Ok(page.map(|run| self.view(run)))
    }
}

impl Handle<GetRun> for Ops {
    async fn handle(&self, _: &Cx, op: GetRun) -> Result<RunView, Error> {
        self.db.read(|tx| queries::run(tx, op.id)).await.map(|run| self.view(run))
    }
}

impl Handle<CancelRun> for Ops {
    async fn handle(&self, cx: &Cx, op: CancelRun) -> Result<(), Error> {
        let caller = cx.clone();
        let run = self.db.write(cx, move |tx| commands::cancel(tx, &caller, op.id)).await?;
        if run.state == RunState::Running {
            self.interrupt(run.id);
            self.wait_for_end(cx, run.id, CANCEL_WAIT).await?;
        }
        self.ended.send_replace(());
        if run.file_bytes.is_some() {
            self.folder.remove(&[run.id]);
        }
        Ok(())
    }
}

impl Handle<DownloadRun> for Ops {
    async fn handle(&self, cx: &Cx, op: DownloadRun) -> Result<Download, Error> {
        let run = self.db.read(|tx| queries::run(tx, op.id)).await?;
        let length = run.file_length(cx.now).ok_or(Error::not_found("file"))?;
        let reader = self.folder.open(run.id, length)?;
        Ok(Download { file_name: Some(run.file_name()), ..Download::stream(run.media_type(), reader) })
    }
}

impl Handle<Verify> for Ops {
    async fn handle(&self, cx: &Cx, _: Verify) -> Result<VerifyView, Error> {
        let caller = cx.clone();
        let id = self.db.write(cx, move |tx| commands::verification(tx, &caller)).await?.id;
        self.wake.notify_one();
        let run = self.wait_for_end(cx, id, VERIFY_WAIT).await?;
        if let Some(reason) = run.failure() {
            return Err(Error::unavailable(codes::RUN_FAILED, reason, 1));
        }
        let last = self.db.read(queries::last_verification).await?;
        Ok(queries::verify_view(&run, last, self.live(run.id).as_deref()))
    }
}

impl Handle<Backup> for Ops {
    async fn handle(&self, cx: &Cx, _: Backup) -> Result<Download, Error> {
        backup::stream(&self.store, cx.now).await
    }
}
