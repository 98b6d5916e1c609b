//! A service's access to its tables: short reads on a snapshot, and writes through the engine's queue.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

use promox_kernel::{Claim, Cursor, Cx, Error, Limit, Page, Timestamp};
use tokio::sync::oneshot;

use crate::recent::RecentEvents;
use crate::replay::NewReply;
use crate::{Database, Engine, Event, Lane, Reader, Stamp, StoreError, Tx, Wants, Work, WorkOrder};

/// One database of the store. Cheap to clone; clones share the newest events.
#[derive(Clone)]
pub struct Db {
    engine: Arc<dyn Engine>,
    database: Database,
    recent: RecentEvents,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.database.name())
    }
}

impl Db {
    /// Creates a handle to a database of an engine.
    pub fn new(engine: Arc<dyn Engine>, database: Database) -> Self {
        Self { engine, database, recent: RecentEvents::default() }
    }

    /// Returns which database this is.
    pub fn database(&self) -> Database {
        self.database
    }

    /// Runs a read transaction on one consistent, durable state, on the calling task. The closure never waits; if a
    /// remote engine has to fetch what it lacked, it runs again.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        E: From<StoreError>,
        F: Fn(&Tx<'_>) -> Result<T, E>,
    {
        read_from(self.engine.snapshot(self.database), self.database, work).await
    }

    /// Reads a whole list page by page, each in a transaction of its own: for what has to be complete and may have more
    /// rows than one transaction reads, such as the data that is held about a person. Rows that are added meanwhile may
    /// be missing. A damaged row is an error.
    pub async fn read_all<T, F>(&self, page: F) -> Result<Vec<T>, Error>
    where
        F: Fn(&Tx<'_>, Limit, Option<Cursor>) -> Result<Page<T>, Error>,
    {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let read = self.read(|tx| page(tx, Limit::MAX, cursor.clone())).await?;
            if !read.warnings.is_empty() {
                return Err(Error::internal("a list that has to be complete has damaged rows"));
            }
            all.extend(read.items);
            cursor = read.next_cursor;
            if cursor.is_none() {
                return Ok(all);
            }
        }
    }

    /// Returns a number that grows with each commit, if the engine counts them. See [`Latest`](crate::Latest).
    pub(crate) fn commits(&self) -> Option<u64> {
        self.engine.commits()
    }

    /// Returns the events after a position, oldest first, at most `limit`. The newest are read and decoded once for all
    /// readers.
    pub async fn events_after(&self, position: i64, limit: usize) -> Result<Vec<Arc<Event>>, StoreError> {
        let mut events = self.recent.after(position, limit);
        let last = events.last().map_or(position, |event| event.position);
        if events.len() < limit && self.engine.last_event(self.database).is_none_or(|newest| newest > last) {
            let newer = self.read(|tx| tx.events_after(last, limit - events.len())).await?;
            let newer: Vec<Arc<Event>> = newer.into_iter().map(Arc::new).collect();
            self.recent.add(last, &newer);
            events.extend(newer);
        }
        Ok(events)
    }

    /// Runs a transaction and returns its result when it is durable. The closure may run again, so it must act only
    /// through `tx`. If it returns an error, all its changes are dropped. If it stores a reply with the idempotency key
    /// of `cx`, the reply is also recorded on the request.
    pub async fn write<T, E, F>(&self, cx: &Cx, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        self.write_in(cx, Lane::Normal, work).await
    }

    /// Runs a transaction like [`Db::write`], in the given lane. Bulk work yields to other work.
    pub async fn write_in<T, E, F>(&self, cx: &Cx, lane: Lane, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        self.submit(cx, lane, Vec::new(), work).await
    }

    /// Runs a transaction like [`Db::write`], and names the keys that many transactions contend for. An engine that
    /// detects conflicts at the commit runs transactions with a common key one after the other, instead of retrying
    /// them.
    pub async fn write_locked<T, E, F>(&self, cx: &Cx, mut locks: Vec<Vec<u8>>, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        locks.sort();
        locks.dedup();
        self.submit(cx, Lane::Normal, locks, work).await
    }

    /// Runs a transaction and drops its changes: for the error that it would have.
    pub async fn rehearse<T, E, F>(&self, cx: &Cx, work: F) -> Result<(), E>
    where
        E: From<StoreError> + Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let cx = Cx { claim: None, ..cx.clone() };
        let rehearsal = move |tx: &mut Tx<'_>| Err(Rehearsed(work(tx).err()));
        match self.write::<(), Rehearsed<E>, _>(&cx, rehearsal).await {
            Ok(()) | Err(Rehearsed(None)) => Ok(()),
            Err(Rehearsed(Some(error))) => Err(error),
        }
    }

    /// Queues a transaction and waits for its result.
    async fn submit<T, E, F>(&self, cx: &Cx, lane: Lane, locks: Vec<Vec<u8>>, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let (order, receiver) = self.work_order(cx, lane, locks, work);
        self.engine.submit(order);
        receiver.outcome(cx.claim.as_deref()).await.unwrap_or_else(|| Err(StoreError::Stopped.into()))
    }

    /// Builds the queue entry of a transaction, and the receiver of its result.
    pub(crate) fn work_order<T, E, F>(
        &self,
        cx: &Cx,
        lane: Lane,
        locks: Vec<Vec<u8>>,
        work: F,
    ) -> (WorkOrder, ResultReceiver<T, E>)
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let (sender, receiver) = channel();
        let stamp = Stamp { now: cx.now, traceparent: cx.traceparent.clone() };
        let work = Box::new(Closure { work, result: None, reply: None, sender });
        let receiver = ResultReceiver { receiver, result: PhantomData };
        (WorkOrder { database: self.database, lane, stamp, locks, work }, receiver)
    }

    /// Returns the engine.
    pub(crate) fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    /// Returns a state that may be held for minutes. At most two exist at a time; a third call fails with
    /// [`StoreError::Busy`].
    pub fn long_read(&self) -> Result<Box<dyn Reader>, StoreError> {
        self.engine.long_read()
    }

    /// Returns a receiver that is signalled after commits with events. At most one signal is pending.
    pub fn subscribe(&self) -> flume::Receiver<()> {
        self.engine.subscribe()
    }

    /// Returns the time of the newest commit.
    pub fn last_commit(&self) -> Timestamp {
        self.engine.last_commit()
    }
}

/// The error of a rehearsed transaction, if it has one.
struct Rehearsed<E>(Option<E>);

impl<E: From<StoreError>> From<StoreError> for Rehearsed<E> {
    fn from(error: StoreError) -> Self {
        Self(Some(error.into()))
    }
}

/// Runs a closure on a state until everything that it reads has been fetched.
pub(crate) async fn read_from<T, E, F>(mut state: Box<dyn Reader>, database: Database, work: F) -> Result<T, E>
where
    E: From<StoreError>,
    F: Fn(&Tx<'_>) -> Result<T, E>,
{
    loop {
        let mut result = None;
        let wants = run_on(&*state, database, &mut |tx| result = Some(work(tx)));
        if wants.is_none() && state.is_current() {
            return result.unwrap_or_else(|| Err(StoreError::Stopped.into()));
        }
        state = state.fetch(wants.unwrap_or_default()).await?;
    }
}

/// Runs a closure on a state, and returns what it read and the state lacks.
fn run_on(state: &dyn Reader, database: Database, work: &mut dyn FnMut(&Tx<'_>)) -> Option<Wants> {
    let tx = Tx::reading(state, database);
    work(&tx);
    tx.wants()
}

/// The result of a transaction, with the reply that it stores with an idempotency key. `None` for a skipped link. The
/// result is a box of any type, so that sending and waiting are compiled once.
type SentResult = Option<(Box<dyn Any + Send>, Option<NewReply>)>;

/// The receiver of a transaction's result.
pub(crate) struct ResultReceiver<T, E> {
    receiver: oneshot::Receiver<SentResult>,
    result: PhantomData<fn() -> Result<T, E>>,
}

impl<T: 'static, E: From<StoreError> + 'static> ResultReceiver<T, E> {
    /// Waits for the result, which is `None` for a skipped link. A reply stored with the key of `claim` is recorded on
    /// it.
    pub(crate) async fn outcome(self, claim: Option<&Claim>) -> Option<Result<T, E>> {
        match received(self.receiver, claim).await {
            Ok(None) => None,
            Ok(Some(result)) => match result.downcast() {
                Ok(result) => Some(*result),
                Err(_) => Some(Err(StoreError::Stopped.into())),
            },
            Err(error) => Some(Err(error.into())),
        }
    }
}

/// Waits for a result and records the reply that was stored with the key of `claim`.
async fn received(
    receiver: oneshot::Receiver<SentResult>,
    claim: Option<&Claim>,
) -> Result<Option<Box<dyn Any + Send>>, StoreError> {
    let sent = receiver.await.map_err(|_| StoreError::Stopped)?;
    let Some((result, reply)) = sent else { return Ok(None) };
    if let (Some(claim), Some(reply)) = (claim, reply) {
        reply.record(claim);
    }
    Ok(Some(result))
}

/// The closure of a transaction, with its result and where to send it.
struct Closure<T, E, F> {
    work: F,
    result: Option<Result<T, E>>,
    reply: Option<NewReply>,
    sender: oneshot::Sender<SentResult>,
}

impl<T, E, F> Work for Closure<T, E, F>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
    F: Fn(&mut Tx<'_>) -> Result<T, E> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        let result = (self.work)(tx);
        let commits = result.is_ok();
        self.result = Some(result);
        self.reply = tx.take_reply();
        commits
    }

    fn fail(&mut self, error: StoreError) {
        self.result = Some(Err(error.into()));
    }

    fn skip(&mut self) {
        self.result = None;
    }

    fn answer(self: Box<Self>) {
        let Self { work, result, reply, sender } = *self;
        // The closure may hold a handle of the store. It is dropped before the result is sent: after that the receiver
        // may drop its own handle, and this would be the last one, dropped on the store's own thread.
        drop(work);
        let stored = reply.filter(|_| matches!(result, Some(Ok(_))));
        send(sender, result.map(|result| (Box::new(result) as _, stored)));
    }
}

fn channel() -> (oneshot::Sender<SentResult>, oneshot::Receiver<SentResult>) {
    oneshot::channel()
}

fn send(sender: oneshot::Sender<SentResult>, sent: SentResult) {
    // The caller may have stopped waiting.
    let _ = sender.send(sent);
}
