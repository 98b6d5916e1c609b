//! Services: the units that a node runs, each with its tables, operations and background work.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use promox_kernel::{Cx, Error, Job, Registry};

use crate::{Consumer, Database, Report, StoreError, TableDef, Tx};

/// A service. A node runs a list of services, and knows only this interface of them.
pub trait Service: Send + Sync + Sized + 'static {
    /// The prefix of its operations, such as `"order"`.
    const NAME: &'static str;
    /// The database that contains its tables and idempotency keys.
    const DATABASE: Database;
    /// The tables that it owns.
    const TABLES: &'static [&'static TableDef];

    /// Registers its operations.
    fn register(self: &Arc<Self>, registry: &mut Registry);

    /// Returns its consumers. Each names the database whose events it reads, and writes to this service's tables.
    fn consumers(self: &Arc<Self>) -> Vec<Arc<dyn Consumer>> {
        Vec::new()
    }

    /// Returns its scheduled jobs.
    fn jobs(self: &Arc<Self>) -> Vec<Job> {
        Vec::new()
    }

    /// Checks its invariants, and states facts that other services must agree with. `tx` is a long read, so every row
    /// may be read.
    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError>;

    /// Does the work that must finish before the node is ready, such as resuming interrupted sagas and deriving values
    /// in memory from rows. Operations of all services can be called.
    fn recover(&self, cx: &Cx) -> impl Future<Output = Result<(), Error>> + Send {
        let _ = cx;
        std::future::ready(Ok(()))
    }
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An object-safe version of [`Service`], for lists of services. Every service implements it.
pub trait DynService: Any + Send + Sync {
    /// See [`Service::NAME`].
    fn name(&self) -> &'static str;
    /// See [`Service::DATABASE`].
    fn database(&self) -> Database;
    /// See [`Service::register`].
    fn register(self: Arc<Self>, registry: &mut Registry);
    /// See [`Service::consumers`].
    fn consumers(self: Arc<Self>) -> Vec<Arc<dyn Consumer>>;
    /// See [`Service::jobs`].
    fn jobs(self: Arc<Self>) -> Vec<Job>;
    /// See [`Service::audit`].
    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError>;
    /// See [`Service::recover`].
    fn recover<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<(), Error>>;
}

impl<S: Service> DynService for S {
    fn name(&self) -> &'static str {
        S::NAME
    }
    fn database(&self) -> Database {
        S::DATABASE
    }
    fn register(self: Arc<Self>, registry: &mut Registry) {
        Service::register(&self, registry);
    }
    fn consumers(self: Arc<Self>) -> Vec<Arc<dyn Consumer>> {
        Service::consumers(&self)
    }
    fn jobs(self: Arc<Self>) -> Vec<Job> {
        Service::jobs(&self)
    }
    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        Service::audit(self, tx, report)
    }
    fn recover<'a>(&'a self, cx: &'a Cx) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(Service::recover(self, cx))
    }
}
