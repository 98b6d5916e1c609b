//! Transactions that can be run alone or as links of a chain, and operations that consist of one such transaction.

use std::future::Future;
use std::sync::Arc;

use promox_kernel::{BoxFuture, Cx, Error, Handle, Op, Registry};

use crate::{Db, Tx};

/// A transaction of one service that has not run yet.
#[must_use]
pub struct Transaction<T> {
    pub(crate) db: Db,
    pub(crate) locks: Vec<Vec<u8>>,
    pub(crate) work: Box<dyn Fn(&mut Tx<'_>) -> Result<T, Error> + Send>,
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
        Transaction { db: self.clone(), locks: Vec::new(), work: Box::new(work) }
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
        let Self { db, locks, work } = self;
        Transaction { db, locks, work: Box::new(move |tx| work(tx).map(&convert)) }
    }

    /// Runs the transaction on its own, and returns its result when it is durable.
    pub async fn run(self, cx: &Cx) -> Result<T, Error> {
        let Self { db, locks, work } = self;
        db.write_locked(cx, locks, work).await
    }
}

/// A service that handles the operation `O` in one transaction, so that it can be a link of a [`Chain`](crate::Chain).
/// Implement it as `async fn transaction(&self, cx: &Cx, op: O) -> Result<Transaction<O::Reply>, Error>`, and register
/// it with [`register_transactions!`](crate::register_transactions).
pub trait Transact<O: Op>: Send + Sync + 'static {
    /// Checks the operation and prepares its transaction. Calls to other services belong here, since the transaction
    /// cannot make any.
    fn transaction(&self, cx: &Cx, op: O) -> impl Future<Output = Result<Transaction<O::Reply>, Error>> + Send;
}

/// Handles operations by running their transactions.
struct TransactionHandler<S>(Arc<S>);

impl<O: Op, S: Transact<O>> Handle<O> for TransactionHandler<S> {
    async fn handle(&self, cx: &Cx, op: O) -> Result<O::Reply, Error> {
        self.0.transaction(cx, op).await?.run(cx).await
    }
}

/// Prepares the transactions of operations of type `O` whose service runs in this process.
pub(crate) struct TransactionFactory<O: Op>(
    Box<dyn Fn(Cx, O) -> BoxFuture<Result<Transaction<O::Reply>, Error>> + Send + Sync>,
);

impl<O: Op> TransactionFactory<O> {
    /// Prepares the transaction of an operation.
    pub(crate) async fn transaction(&self, cx: &Cx, op: O) -> Result<Transaction<O::Reply>, Error> {
        (self.0)(cx.clone(), op).await
    }
}

/// Registers the handler of `O`, both for calls and for links of chains.
pub fn register_transaction<O: Op, S: Transact<O>>(registry: &mut Registry, service: &Arc<S>) {
    registry.register::<O, _>(&Arc::new(TransactionHandler(service.clone())));
    let service = service.clone();
    registry.attach(TransactionFactory::<O>(Box::new(move |cx, op| {
        let service = service.clone();
        Box::pin(async move { service.transaction(&cx, op).await })
    })));
}

/// Registers the operations of a service that consist of one transaction each, as in
/// `register_transactions!(registry, service; HoldStock)`.
#[macro_export]
macro_rules! register_transactions {
    ($registry:expr, $service:expr; $($op:ty),+ $(,)?) => {
        $($crate::register_transaction::<$op, _>($registry, $service);)+
    };
}
