//! The unit that a node runs: a service with its tables, its operations and its background work.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use promox_kernel::{Cx, Error, Job, Registry};

use crate::{Consumer, Database, Report, StoreError, TableDef, Tx};

/// A service. A node is a list of services and knows nothing else about them.
pub trait Service: Send + Sync + Sized + 'static {
    /// The prefix of its operations, `"order"`.
    const NAME: &'static str;
    /// The database its tables and idempotency keys are in.
    const DATABASE: Database;
    /// The tables it owns.
    const TABLES: &'static [&'static TableDef];

    /// Registers its operations.
    fn register(self: &Arc<Self>, registry: &mut Registry);

    /// Its consumers. Each says whose events it reads, and writes to this service's tables.
    fn consumers(self: &Arc<Self>) -> Vec<Arc<dyn Consumer>> {
        Vec::new()
    }

    /// Its scheduled jobs.
    fn jobs(self: &Arc<Self>) -> Vec<Job> {
        Vec::new()
    }

    /// Checks its invariants, and states facts that others must agree with. It uses a long read, so it may read every
    /// row.
    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError>;

    /// Work that must finish before the node is ready: interrupted sagas, memory derived from rows. Operations of all
    /// services can be called.
    fn recover(&self, cx: &Cx) -> impl Future<Output = Result<(), Error>> + Send {
        let _ = cx;
        std::future::ready(Ok(()))
    }
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Any [`Service`], for lists of them.
pub trait DynService: Any + Send + Sync {
    /// [`Service::NAME`].
    fn name(&self) -> &'static str;
    /// [`Service::DATABASE`].
    fn database(&self) -> Database;
    /// [`Service::register`].
    fn register(self: Arc<Self>, registry: &mut Registry);
    /// [`Service::consumers`].
    fn consumers(self: Arc<Self>) -> Vec<Arc<dyn Consumer>>;
    /// [`Service::jobs`].
    fn jobs(self: Arc<Self>) -> Vec<Job>;
    /// [`Service::audit`].
    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError>;
    /// [`Service::recover`].
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
