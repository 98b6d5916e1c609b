//! Transactions that can be run alone or as links of a chain, and operations that consist of one such transaction.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use promox_kernel::{BoxFuture, Cx, Error, Handle, Op, Registry};

use crate::{Db, Tx};

/// A transaction of one service that has not run yet.
#[must_use]
pub struct Transaction<T> {
    pub(crate) db: Db,
    pub(crate) locks: Vec<Vec<u8>>,
    pub(crate) work: Box<dyn Fn(&mut Tx<'_>) -> Result<T, Error> + Send>,
    /// The result that is expected unless the transaction is refused.
    pub(crate) expected: Option<T>,
    /// Whether the result was the expected one when the transaction ran last. What follows it in a chain relies on it.
    pub(crate) as_expected: Option<Arc<AtomicBool>>,
}

impl<T> std::fmt::Debug for Transaction<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a transaction of {:?}", self.db)
    }
}

impl Db {
    /// Prepares a transaction. The closure may run again, so it must act only through `tx`. If it returns an
    /// error, all its changes are dropped.
    pub fn transaction<T>(&self, work: impl Fn(&mut Tx<'_>) -> Result<T, Error> + Send + 'static) -> Transaction<T> {
        Transaction { db: self.clone(), locks: Vec::new(), work: Box::new(work), expected: None, as_expected: None }
    }
}

impl<T: Send + 'static> Transaction<T> {
    /// Names the contended keys of the transaction, see [`Db::write_locked`].
    pub fn locking(self, mut locks: Vec<Vec<u8>>) -> Self {
        locks.sort();
        locks.dedup();
        Self { locks, ..self }
    }

    /// Converts the result of the transaction.
    pub fn map<U>(self, convert: impl Fn(T) -> U + Send + 'static) -> Transaction<U> {
        let Self { db, locks, work, expected, as_expected } = self;
        let expected = expected.map(&convert);
        Transaction { db, locks, work: Box::new(move |tx| work(tx).map(&convert)), expected, as_expected }
    }

    /// States the result that the transaction has unless it is refused or something changes meanwhile. A caller can
    /// prepare what follows before the transaction has run, see [`Call`](crate::Call).
    pub fn expecting(self, result: T) -> Self {
        Self { expected: Some(result), ..self }
    }

    /// Takes the expected result, and notes at each run whether the result is the same.
    pub(crate) fn take_expected(mut self) -> (Option<T>, Self)
    where
        T: PartialEq + Clone,
    {
        let Some(expected) = self.expected.take() else { return (None, self) };
        let as_expected = Arc::new(AtomicBool::new(false));
        let (work, reply, noted) = (self.work, expected.clone(), as_expected.clone());
        let work = Box::new(move |tx: &mut Tx<'_>| {
            let result = work(tx)?;
            noted.store(result == reply, Ordering::SeqCst);
            Ok(result)
        });
        (Some(expected), Self { work, as_expected: Some(as_expected), ..self })
    }

    /// Has the transaction refuse unless an earlier one has had its expected result.
    pub(crate) fn only_if(self, as_expected: Arc<AtomicBool>) -> Self {
        let work = self.work;
        let work = Box::new(
            move |tx: &mut Tx<'_>| {
                if as_expected.load(Ordering::SeqCst) { work(tx) } else { Err(unexpected_reply()) }
            },
        );
        Self { work, ..self }
    }

    /// Runs the transaction on its own, and returns its result when it is durable.
    pub async fn run(self, cx: &Cx) -> Result<T, Error> {
        let Self { db, locks, work, .. } = self;
        db.write_locked(cx, locks, work).await
    }
}

/// The refusal of a transaction after an earlier one of its chain that has not had its expected result.
pub(crate) fn unexpected_reply() -> Error {
    Error::internal("an earlier transaction of the chain did not have its expected result")
}

/// A service that handles the operation `O` in one transaction, so that it can be a link of a [`Chain`](crate::Chain).
/// Implement it as `async fn transaction(&self, cx: &Cx, op: O) -> Result<Transaction<O::Reply>, Error>`, and register
/// it with [`register_transactions!`](crate::register_transactions).
pub trait Transact<O: Op>: Send + Sync + 'static {
    /// Checks the operation and prepares its transaction. Calls to other services belong here, since the transaction
    /// cannot make any.
    fn transaction(&self, cx: &Cx, op: O) -> impl Future<Output = Result<Transaction<O::Reply>, Error>> + Send;
}

/// Prepares the transactions of operations of type `O` whose service runs in this process, and handles the operations
/// by running them.
pub(crate) struct TransactionFactory<O: Op>(
    Arc<dyn Fn(Cx, O) -> BoxFuture<Result<Transaction<O::Reply>, Error>> + Send + Sync>,
);

impl<O: Op> Handle<O> for TransactionFactory<O> {
    async fn handle(&self, cx: &Cx, op: O) -> Result<O::Reply, Error> {
        self.transaction(cx, op).await?.run(cx).await
    }
}

impl<O: Op> TransactionFactory<O> {
    /// Prepares the transaction of an operation.
    pub(crate) fn transaction(&self, cx: &Cx, op: O) -> BoxFuture<Result<Transaction<O::Reply>, Error>> {
        (self.0)(cx.clone(), op)
    }
}

/// Registers the handler of `O`, both for calls and for links of chains.
pub fn register_transaction<O: Op, S: Transact<O>>(registry: &mut Registry, service: &Arc<S>) {
    let service = service.clone();
    let factory = TransactionFactory::<O>(Arc::new(move |cx, op| {
        let service = service.clone();
        Box::pin(async move { service.transaction(&cx, op).await })
    }));
    registry.register::<O, _>(&Arc::new(TransactionFactory(factory.0.clone())));
    registry.attach(factory);
}

/// Registers the operations of a service that consist of one transaction each, as in
/// `register_transactions!(registry, service; HoldStock)`.
#[macro_export]
macro_rules! register_transactions {
    ($registry:expr, $service:expr; $($op:ty),+ $(,)?) => {
        $($crate::register_transaction::<$op, _>($registry, $service);)+
    };
}
