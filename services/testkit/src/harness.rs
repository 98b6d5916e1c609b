//! A running node with one service, and its use by a test.

use std::borrow::Borrow;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use promox_kernel::{
    Claim, Content, Cx, Entropy, Error, Fact, Node, Op, Principal, Registry, Reply, UserId, bind_json,
};
use promox_storage::{ConsumerLoop, Database, Db, Engine, Event, Finding, Report, Service, Tx};
use serde_json::Value;

use crate::{Databases, Setup, TestEngine};

/// The deadline of a test's requests.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A running node with one service.
pub struct Harness<S> {
    /// The node. Its clock does not move until the test advances it.
    pub node: Arc<Node>,
    /// The service.
    pub service: Arc<S>,
    /// The service's database.
    pub db: Db,
    /// The engine of the store.
    pub engine: Arc<TestEngine>,
    setup: Setup,
}

impl<S: Service> Harness<S> {
    /// Starts a node on an engine.
    pub(crate) fn start(mut setup: Setup, engine: Arc<TestEngine>, service: impl FnOnce(&Databases) -> Arc<S>) -> Self {
        setup.starts += 1;
        let node = Node::new(setup.clock.clone(), Entropy::seeded(setup.starts));
        let service = service(&Databases::of(&engine));
        let mut registry = Registry::default();
        service.register(&mut registry);
        setup.stubs.register(&mut registry, S::NAME);
        node.install(registry);
        Self { node, service, db: engine.database(S::DATABASE), engine, setup }
    }

    /// Starts another node on the same store with the same clock and stubs: after a crash, or as a second node.
    #[must_use]
    pub fn restart(&self, service: impl FnOnce(&Databases) -> Arc<S>) -> Self {
        Self::start(self.setup.clone(), self.engine.clone(), service)
    }

    /// A database of the store.
    pub fn database(&self, database: Database) -> Db {
        self.engine.database(database)
    }

    /// The context of the system, which has every permission.
    pub fn cx(&self) -> Cx {
        Cx::system(&self.node, "test", TIMEOUT)
    }

    /// The context of an account without permissions.
    pub fn user(&self, id: i64) -> Cx {
        self.member(id, &[])
    }

    /// The context of an account with permissions.
    pub fn member(&self, id: i64, permissions: &[&str]) -> Cx {
        let permissions = Arc::new(permissions.iter().map(|name| (*name).to_owned()).collect());
        Cx { principal: Principal::User { id: UserId(id), session: 1, permissions }, ..self.cx() }
    }

    /// The context of an anonymous visitor.
    pub fn anonymous(&self) -> Cx {
        let client = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)));
        Cx { principal: Principal::Anonymous, client, ..self.cx() }
    }

    /// The context of the system with an idempotency key.
    pub fn keyed(&self, key: &str) -> Cx {
        let (caller, recorded) = ("user:1".into(), OnceLock::new());
        let claim = Claim { caller, key: key.into(), fingerprint: [0; 32], status: 201, recorded };
        Cx { claim: Some(Arc::new(claim)), ..self.cx() }
    }

    /// Calls an operation as another service would.
    pub async fn call<O: Op>(&self, op: O) -> Result<O::Reply, Error> {
        self.cx().call(op).await
    }

    /// Runs an operation as the HTTP edge does: access is checked, and the idempotency key and `If-Match` are kept.
    pub async fn run<O: Op>(&self, cx: impl Borrow<Cx>, op: O) -> Result<O::Reply, Error> {
        let cx = cx.borrow();
        O::ACCESS.check(cx)?;
        self.node.registry()?.call(cx.clone(), op).await
    }

    /// Sends a JSON request as the system and returns the JSON reply, or null if there is none.
    pub async fn ask<O: Op>(&self, json: Value) -> Result<Value, Error> {
        self.ask_as::<O>(self.cx(), json).await
    }

    /// Sends a JSON request in the given context and returns the JSON reply, or null if there is none.
    pub async fn ask_as<O: Op>(&self, cx: Cx, json: Value) -> Result<Value, Error> {
        let op: O = bind_json(json.to_string().as_bytes())?;
        match self.run(cx, op).await?.respond(O::STATUS)?.content {
            Content::Json(bytes) => Ok(serde_json::from_slice(&bytes).unwrap()),
            _ => Ok(Value::Null),
        }
    }

    /// Runs one transaction in the service's database.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.db.write(&self.cx(), work).await
    }

    /// Emits an event, as the service that it belongs to would.
    pub async fn emit<F: Fact + Clone + Sync>(&self, database: Database, aggregate: i64, fact: F) {
        let work = move |tx: &mut Tx<'_>| Ok::<_, Error>(tx.emit(aggregate, &fact)?);
        self.database(database).write(&self.cx(), work).await.unwrap();
    }

    /// Makes the service's consumers apply all events.
    pub async fn consume(&self) {
        for consumer in self.service.consumers() {
            let source = self.database(consumer.source());
            let mut events = ConsumerLoop::new(consumer, source, self.db.clone());
            while events.turn(&self.node).await.unwrap() {}
        }
    }

    /// Makes the service's consumers of events in this database apply all of them.
    pub async fn consume_from(&self, database: Database) {
        for consumer in self.service.consumers().into_iter().filter(|consumer| consumer.source() == database) {
            let mut events = ConsumerLoop::new(consumer, self.database(database), self.db.clone());
            while events.turn(&self.node).await.unwrap() {}
        }
    }

    /// Runs every job of the service until it has nothing to do.
    pub async fn work(&self) {
        self.try_work().await.unwrap();
    }

    /// Runs jobs as [`Harness::work`] does, and returns the first error.
    pub async fn try_work(&self) -> Result<(), Error> {
        for job in self.service.jobs() {
            while job.run(self.cx()).await? {}
        }
        Ok(())
    }

    /// Runs one job of the service until it has nothing to do.
    pub async fn run_job(&self, name: &str) {
        let job = self.service.jobs().into_iter().find(|job| job.name == name).unwrap();
        while job.run(self.cx()).await.unwrap() {}
    }

    /// Advances the clock.
    pub fn advance(&self, span: Duration) {
        self.node.clock.advance(span);
    }

    /// Advances the clock and runs the jobs until they have nothing to do.
    pub async fn advance_and_work(&self, span: Duration) {
        self.advance(span);
        self.work().await;
    }

    /// The events in the service's database, oldest first.
    pub async fn events(&self) -> Vec<Event> {
        self.db.read(|tx| tx.events_after(0, 10_000)).await.unwrap()
    }

    /// The types that begin with `prefix` of the events in the service's database, oldest first.
    pub async fn event_types(&self, prefix: &str) -> Vec<String> {
        let types = self.events().await.into_iter().map(|event| event.kind);
        types.filter(|kind| kind.starts_with(prefix)).collect()
    }

    /// The data of the events of one type in the service's database, oldest first.
    pub async fn events_of(&self, kind: &str) -> Vec<Value> {
        let events = self.events().await.into_iter().filter(|event| event.kind == kind);
        events.map(|event| serde_json::from_str(&event.data).unwrap()).collect()
    }

    /// Asserts that the audit finds nothing, apart from the invariants shared with other services.
    #[track_caller]
    pub fn verify(&self) {
        assert_eq!(self.findings(), []);
    }

    /// The findings of the audit, apart from those about invariants shared with other services.
    #[track_caller]
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = self.findings_with(|_| {});
        findings.retain(|finding| !self.setup.shared.contains(&finding.invariant));
        findings
    }

    /// All findings of the audit in the service's tables, together with what `others` report for other services.
    #[track_caller]
    pub fn findings_with(&self, others: impl FnOnce(&mut Report)) -> Vec<Finding> {
        let reader = self.engine.long_read().unwrap();
        let mut report = Report::default();
        for table in S::TABLES {
            report.check_table(&*reader, table).unwrap();
        }
        others(&mut report);
        let tx = Tx::unbounded(&*reader, S::DATABASE);
        self.service.audit(&tx, &mut report).unwrap();
        tx.audit_outbox(&mut report).unwrap();
        let (findings, checked) = report.finish();
        assert!(checked > 0, "the audit checked nothing");
        findings
    }
}
