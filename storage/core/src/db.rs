//! A service's access to its tables: short reads on a snapshot, writes through the engine's queue.

use std::sync::Arc;

use promox_kernel::{Claim, Cx, Timestamp};
use tokio::sync::oneshot;

use crate::replay::NewAnswer;
use crate::{Database, Engine, Lane, Reader, Stamp, StoreError, Tx, Work, WorkOrder};

/// One database of the store. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    engine: Arc<dyn Engine>,
    database: Database,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.database.name())
    }
}

impl Db {
    /// A database on an engine.
    pub fn new(engine: Arc<dyn Engine>, database: Database) -> Self {
        Self { engine, database }
    }

    /// The database.
    pub fn database(&self) -> Database {
        self.database
    }

    /// Reads one consistent state, inline; all of it is durable. The closure may run again: a remote engine fetches
    /// what a run lacked, so that a closure never waits.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        E: From<StoreError>,
        F: Fn(&Tx<'_>) -> Result<T, E>,
    {
        read_from(self.engine.snapshot(), self.database, work).await
    }

    /// Runs a transaction and returns when it is durable. The closure may run again, so it acts only through `tx`; an
    /// error drops all its changes. A reply that it stores with the idempotency key of `cx` is recorded on the request.
    pub async fn write<T, E, F>(&self, cx: &Cx, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        self.write_in(cx, Lane::Normal, work).await
    }

    /// Runs a transaction in a lane: bulk work lets other work go first.
    pub async fn write_in<T, E, F>(&self, cx: &Cx, lane: Lane, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        self.order(cx, lane, Vec::new(), work).await
    }

    /// Runs a transaction that names its contended keys: an engine that would retry on them runs such transactions one
    /// after the other.
    pub async fn write_locked<T, E, F>(&self, cx: &Cx, mut locks: Vec<Vec<u8>>, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        locks.sort();
        locks.dedup();
        self.order(cx, Lane::Normal, locks, work).await
    }

    async fn order<T, E, F>(&self, cx: &Cx, lane: Lane, locks: Vec<Vec<u8>>, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let (order, answered) = self.work_order(cx, lane, locks, work);
        self.engine.submit(order);
        answered.outcome(cx.claim.as_deref()).await.unwrap_or_else(|| Err(StoreError::Stopped.into()))
    }

    /// A transaction as engines take it, and the receiver of its result.
    pub(crate) fn work_order<T, E, F>(
        &self,
        cx: &Cx,
        lane: Lane,
        locks: Vec<Vec<u8>>,
        work: F,
    ) -> (WorkOrder, Answered<T, E>)
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let stamp = Stamp { now: cx.now, traceparent: cx.traceparent.clone() };
        let work = Box::new(Closure { work, result: None, stored: None, answer });
        (WorkOrder { database: self.database, lane, stamp, locks, work }, Answered(answered))
    }

    /// Its engine.
    pub(crate) fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    /// A state that may be held for minutes; at most two at a time.
    pub fn long_read(&self) -> Result<Box<dyn Reader>, StoreError> {
        self.engine.long_read()
    }

    /// Signals after commits with events; at most one signal is pending.
    pub fn subscribe(&self) -> flume::Receiver<()> {
        self.engine.subscribe()
    }

    /// The time of the newest commit.
    pub fn last_commit(&self) -> Timestamp {
        self.engine.last_commit()
    }
}

/// Runs a closure on a state until everything that it reads has been fetched.
pub(crate) async fn read_from<T, E, F>(mut state: Box<dyn Reader>, database: Database, work: F) -> Result<T, E>
where
    E: From<StoreError>,
    F: Fn(&Tx<'_>) -> Result<T, E>,
{
    loop {
        let (result, wants) = {
            let tx = Tx::reading(&*state, database);
            (work(&tx), tx.wants())
        };
        let Some(wants) = wants else { return result };
        state = state.fetch(wants).await?;
    }
}

/// The result of a transaction, and the reply that it stores with an idempotency key; nothing for a skipped link.
type Answer<T, E> = Option<(Result<T, E>, Option<NewAnswer>)>;

/// The receiver of a transaction's result.
pub(crate) struct Answered<T, E>(oneshot::Receiver<Answer<T, E>>);

impl<T, E: From<StoreError>> Answered<T, E> {
    /// Waits for the result; `None` for a skipped link. A reply stored with the key of `claim` is recorded on it.
    pub(crate) async fn outcome(self, claim: Option<&Claim>) -> Option<Result<T, E>> {
        let Ok(answer) = self.0.await else { return Some(Err(StoreError::Stopped.into())) };
        let (result, stored) = answer?;
        if let (Some(claim), Some(stored), Ok(_)) = (claim, stored, &result) {
            stored.record(claim);
        }
        Some(result)
    }
}

/// A closure with its result and its receiver.
struct Closure<T, E, F> {
    work: F,
    result: Option<Result<T, E>>,
    stored: Option<NewAnswer>,
    answer: oneshot::Sender<Answer<T, E>>,
}

impl<T, E, F> Work for Closure<T, E, F>
where
    T: Send,
    E: From<StoreError> + Send,
    F: Fn(&mut Tx<'_>) -> Result<T, E> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        let result = (self.work)(tx);
        let commits = result.is_ok();
        self.result = Some(result);
        self.stored = tx.take_answer();
        commits
    }

    fn fail(&mut self, error: StoreError) {
        self.result = Some(Err(error.into()));
    }

    fn skip(&mut self) {
        self.result = None;
    }

    fn answer(self: Box<Self>) {
        let Self { work, result, stored, answer } = *self;
        // Drop what the closure holds, perhaps the last handle of the store, before the reply: its receiver may close
        // the store, which must not happen on the store's own thread.
        drop(work);
        // The receiver may be gone; the work is done all the same.
        let _ = answer.send(result.map(|result| (result, stored)));
    }
}
