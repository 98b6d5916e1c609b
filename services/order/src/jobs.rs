//! Scheduled jobs: resume sagas, complete approved returns, prune idempotency keys.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use promox_contract::ids::OrderId;
use promox_kernel::{Cx, Error, Job};

use crate::Orders;
use crate::checkout::transitions::Resumable;
use crate::records::{Return, ReturnByDue, ReturnId, Saga, SagaByDue, SagaStep};

/// Maximum sagas or returns handled by one run.
const BATCH: usize = 64;
/// The time limit of a resumed saga: the payment provider's time limit and time for the other steps.
const RESUME_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the start of the server waits for interrupted sagas. Those that take longer, because a provider does not
/// answer, are resumed by the job.
const STARTUP_TIMEOUT: Duration = Duration::from_millis(1_500);

/// The jobs of the order service.
pub(crate) fn jobs(orders: &Arc<Orders>) -> Vec<Job> {
    let (sagas, returns, keys) = (orders.clone(), orders.clone(), orders.clone());
    vec![
        Job::new("order.resume_sagas", Duration::from_secs(1), move |cx| {
            let orders = sagas.clone();
            async move { orders.resume_due(&cx).await }
        }),
        Job::new("order.move_returns", Duration::from_secs(1), move |cx| {
            let orders = returns.clone();
            async move { orders.complete_due_returns(&cx).await }
        }),
        Job::new("order.prune_keys", Duration::from_mins(1), move |cx| {
            let orders = keys.clone();
            async move { orders.db.prune_keys(&cx).await }
        }),
    ]
}

impl Orders {
    /// Resumes every saga that the previous process left unfinished, before the server is ready. Sagas that wait for a
    /// buyer keep waiting.
    pub(crate) async fn resume_interrupted(&self, cx: &Cx) -> Result<(), Error> {
        let interrupted: Vec<OrderId> = self
            .db
            .read(|tx| {
                let is_interrupted = |saga: &Saga| saga.step != SagaStep::AwaitingAction || saga.due_at <= cx.now;
                let sagas = tx.scan::<Saga>().rows().collect::<Result<Vec<Saga>, _>>()?;
                Ok::<_, Error>(sagas.into_iter().filter(is_interrupted).map(|saga| saga.order_id).collect())
            })
            .await?;
        self.resume_all(&cx.within(STARTUP_TIMEOUT), interrupted, Resumable::Always).await;
        Ok(())
    }

    /// Resumes one batch of due sagas. Returns whether there may be more.
    async fn resume_due(&self, cx: &Cx) -> Result<bool, Error> {
        let due: Vec<OrderId> = self
            .db
            .read(|tx| {
                let due = tx.scan_by::<SagaByDue>().before(cx.now).collect(BATCH)?;
                Ok::<_, Error>(due.into_iter().map(|saga| saga.order_id).collect())
            })
            .await?;
        let more = due.len() == BATCH;
        self.resume_all(&cx.within(RESUME_TIMEOUT), due, Resumable::DueAt(cx.now)).await;
        Ok(more)
    }

    /// Resumes sagas concurrently, so that an unresponsive provider does not delay the others.
    async fn resume_all(&self, cx: &Cx, orders: Vec<OrderId>, resumable: Resumable) {
        for batch in orders.chunks(BATCH) {
            join_all(batch.iter().map(|id| self.resume_one(cx, *id, resumable))).await;
        }
    }

    async fn resume_one(&self, cx: &Cx, id: OrderId, resumable: Resumable) {
        if let Err(error) = self.resume(cx, id, resumable).await {
            tracing::warn!(order = id.0, %error, "a saga could not be resumed and will be retried");
        }
    }

    /// Continues one batch of approved returns. Returns whether there may be more.
    async fn complete_due_returns(&self, cx: &Cx) -> Result<bool, Error> {
        let due: Vec<ReturnId> = self
            .db
            .read(|tx| {
                let before = Some(cx.now);
                let due: Vec<Return> = tx.scan_by::<ReturnByDue>().before(before).collect(BATCH)?;
                Ok::<_, Error>(due.into_iter().map(|row| row.id).collect())
            })
            .await?;
        let more = due.len() == BATCH;
        for id in due {
            self.complete_return(cx, id).await?;
        }
        Ok(more)
    }
}
