//! The setup of a test, before its node starts.

use std::sync::Arc;

use promox_kernel::{Clock, Cx, Error, Handle, Op, Timestamp};
use promox_storage::{Database, Db, Service, Transact};

use crate::saga::Faults;
use crate::stubs::Stubs;
use crate::{Harness, TestEngine, sample};

/// The two databases of a store.
#[derive(Clone, Debug)]
pub struct Databases {
    /// The database of the shop's services.
    pub ecommerce: Db,
    /// The database of the promotion engine's services.
    pub promox: Db,
}

impl Databases {
    /// The databases of a store on this engine.
    pub(crate) fn of(engine: &Arc<TestEngine>) -> Self {
        Self { ecommerce: engine.database(Database::Ecommerce), promox: engine.database(Database::Promox) }
    }
}

/// The setup of a node: its clock, the faults of its store, and the stubs of the other services.
#[derive(Clone)]
pub struct Setup {
    pub(crate) clock: Clock,
    pub(crate) stubs: Stubs,
    pub(crate) shared: Vec<&'static str>,
    /// The planned faults of writes.
    pub(crate) faults: Arc<Faults>,
    /// The number of starts so far. It seeds the randomness of each start.
    pub(crate) starts: u64,
}

impl Setup {
    /// A setup whose clock shows an RFC 3339 time. The stubs answer as a new store in pounds in which every account and
    /// every SKU exists and nothing refers to anything.
    pub fn at(time: &str) -> Self {
        Self::at_time(sample::at(time))
    }

    /// A setup as [`Setup::at`] makes it, from a [`Timestamp`].
    pub fn at_time(time: Timestamp) -> Self {
        Self {
            clock: Clock::manual(time),
            stubs: Stubs::of_new_store(),
            shared: Vec::new(),
            faults: Arc::default(),
            starts: 0,
        }
    }

    /// Stubs an operation of another service with a closure.
    #[must_use]
    pub fn answer<O: Op>(mut self, answer: impl Fn(&Cx, O) -> Result<O::Reply, Error> + Send + Sync + 'static) -> Self {
        self.stubs.closure(answer);
        self
    }

    /// Stubs an operation of another service with a closure over a state, which the test can read, change, or share
    /// between stubs.
    #[must_use]
    pub fn answer_from<S: Send + Sync + 'static, O: Op>(
        self,
        state: &Arc<S>,
        answer: impl Fn(&S, &Cx, O) -> Result<O::Reply, Error> + Send + Sync + 'static,
    ) -> Self {
        let state = state.clone();
        self.answer(move |cx, op| answer(&state, cx, op))
    }

    /// Stubs an operation of another service with a handler. The macro [`register!`](promox_kernel::register) accepts a
    /// setup in place of a registry.
    pub fn register<O: Op, H: Handle<O>>(&mut self, handler: &Arc<H>) {
        self.stubs.handler::<O, H>(handler);
    }

    /// Stubs an operation with a service that handles it in one transaction.
    pub fn register_transaction<O: Op, S: Transact<O>>(&mut self, service: &Arc<S>) {
        self.stubs.transaction::<O, S>(service);
    }

    /// Excludes from [`Harness::verify`] invariants that compare this service with another one.
    #[must_use]
    pub fn shared(mut self, invariants: &[&'static str]) -> Self {
        self.shared.extend(invariants);
        self
    }

    /// Makes writes to the store fail by this plan.
    #[must_use]
    pub fn failing(self, faults: Arc<Faults>) -> Self {
        Self { faults, ..self }
    }

    /// Starts a service on an empty store.
    pub fn start<S: Service>(self, service: impl FnOnce(&Databases) -> Arc<S>) -> Harness<S> {
        let engine = TestEngine::failing(self.faults.clone());
        Harness::start(self, engine, service)
    }
}
