//! What a test says before its node starts.

use std::sync::Arc;

use promox_kernel::{Clock, Cx, Error, Handle, Op, Timestamp};
use promox_storage::{Database, Db, Service};

use crate::answers::Answers;
use crate::saga::Faults;
use crate::{Harness, TestEngine, sample};

/// The two databases of a store.
#[derive(Clone, Debug)]
pub struct Databases {
    /// What the shop writes.
    pub ecommerce: Db,
    /// What the promotion engine writes.
    pub promox: Db,
}

impl Databases {
    pub(crate) fn of(engine: &Arc<TestEngine>) -> Self {
        Self { ecommerce: engine.database(Database::Ecommerce), promox: engine.database(Database::Promox) }
    }
}

/// A node that is about to start: its time, its store, and what the other services answer.
#[derive(Clone)]
pub struct Setup {
    pub(crate) clock: Clock,
    pub(crate) answers: Answers,
    pub(crate) shared: Vec<&'static str>,
    /// What goes wrong with writes.
    pub(crate) faults: Arc<Faults>,
    /// Starts so far, so that each has randomness of its own.
    pub(crate) starts: u64,
}

impl Setup {
    /// A setup whose clock stands at an RFC 3339 time. The others answer as a new store in pounds that knows every account
    /// and every SKU, in which nothing refers to anything.
    pub fn at(time: &str) -> Self {
        Self::at_time(sample::at(time))
    }

    /// [`Setup::at`] a [`Timestamp`].
    pub fn at_time(time: Timestamp) -> Self {
        Self {
            clock: Clock::manual(time),
            answers: Answers::of_a_new_store(),
            shared: Vec::new(),
            faults: Arc::default(),
            starts: 0,
        }
    }

    /// Answers an operation of another service.
    #[must_use]
    pub fn answer<O: Op>(mut self, answer: impl Fn(&Cx, O) -> Result<O::Reply, Error> + Send + Sync + 'static) -> Self {
        self.answers.closure(answer);
        self
    }

    /// Answers an operation of another service out of a state that the test looks at, changes, or shares between answers.
    #[must_use]
    pub fn answer_from<S: Send + Sync + 'static, O: Op>(
        self,
        state: &Arc<S>,
        answer: impl Fn(&S, &Cx, O) -> Result<O::Reply, Error> + Send + Sync + 'static,
    ) -> Self {
        let state = state.clone();
        self.answer(move |cx, op| answer(&state, cx, op))
    }

    /// Has a handler answer an operation of another service; takes the place of a registry in
    /// [`register!`](promox_kernel::register).
    pub fn register<O: Op, H: Handle<O>>(&mut self, handler: &Arc<H>) {
        self.answers.handler::<O, H>(handler);
    }

    /// Leaves out of [`Harness::verify`] the invariants whose other side another service states.
    #[must_use]
    pub fn shared(mut self, invariants: &[&'static str]) -> Self {
        self.shared.extend(invariants);
        self
    }

    /// Has writes of the store go wrong by this plan.
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
