//! A node with payments, an order service that knows its owners, and an engine whose writes can be made to fail.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use promox_contract::analytics::GIVEN_BACK;
use promox_contract::ids::{OrderId, PaymentId};
use promox_contract::order::{
    CancelVoided, OrderStanding, OrderStatus, OwnsOrder, ResumeCheckout, Resumed, StandingOfOrder, VoidedOrder,
};
use promox_contract::payment::{
    CancelPayment, DUE, GAVE, PAID, PaymentChoice, PaymentOutcome, PaymentStatus, SETTLED, TakePayment,
};
use promox_kernel::{
    Claim, Clock, Currency, Cx, Entropy, Error, Handle, Node, Op, Principal, Registry, Timestamp, UserId,
};
use promox_storage::{
    Database, Db, Engine, Event, Finding, MemoryEngine, Reader, Report, Service, StoreError, Tx, WorkOrder,
};

use crate::api::{CreateRefund, GetPayment, PaymentView};
use crate::{Payments, Settings};

pub(super) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub(super) const OWNER: UserId = UserId(7);

/// The memory engine; while it is broken, no write is done.
pub(super) struct Breakable {
    engine: Arc<MemoryEngine>,
    broken: AtomicBool,
}

impl Engine for Breakable {
    fn submit(&self, mut order: WorkOrder) {
        if self.broken.load(Ordering::SeqCst) {
            order.work.fail(StoreError::Busy);
            return order.work.answer();
        }
        self.engine.submit(order);
    }
    fn snapshot(&self) -> Box<dyn Reader> {
        self.engine.snapshot()
    }
    fn long_read(&self) -> Result<Box<dyn Reader>, StoreError> {
        self.engine.long_read()
    }
    fn subscribe(&self) -> flume::Receiver<()> {
        self.engine.subscribe()
    }
    fn last_commit(&self) -> Timestamp {
        self.engine.last_commit()
    }
}

/// Orders below 100 are [`OWNER`]'s; others belong to who holds the token `guest`. Checkouts that are to go on are noted.
#[derive(Default)]
pub(super) struct Owners {
    /// The orders whose checkouts were to go on.
    pub(super) resumed: Mutex<Vec<i64>>,
    /// When to ask again.
    pub(super) again_at: Mutex<Option<Timestamp>>,
}

impl Handle<ResumeCheckout> for Owners {
    async fn handle(&self, _: &Cx, op: ResumeCheckout) -> Result<Resumed, Error> {
        self.resumed.lock().push(op.order_id.0);
        Ok(Resumed { again_at: *self.again_at.lock() })
    }
}

impl Handle<OwnsOrder> for Owners {
    async fn handle(&self, cx: &Cx, op: OwnsOrder) -> Result<(), Error> {
        let own = match op.order_id.0 {
            ..100 => cx.principal.user() == Some(OWNER),
            _ => cx.order_token.as_deref() == Some("guest"),
        };
        if own { Ok(()) } else { Err(Error::not_found("order")) }
    }
}

/// Every order has ended its checkout.
impl Handle<StandingOfOrder> for Owners {
    async fn handle(&self, _: &Cx, _: StandingOfOrder) -> Result<OrderStanding, Error> {
        Ok(OrderStanding { status: OrderStatus::Confirmed })
    }
}

/// An order that is cancelled ends its payment.
impl Handle<CancelVoided> for Owners {
    async fn handle(&self, cx: &Cx, op: CancelVoided) -> Result<VoidedOrder, Error> {
        cx.elevated().call(CancelPayment { order_id: op.order_id, reason: op.reason }).await?;
        Ok(VoidedOrder { cancelled: true })
    }
}

/// The shop.
pub(super) struct Shop {
    pub(super) node: Arc<Node>,
    pub(super) db: Db,
    pub(super) payments: Arc<Payments>,
    pub(super) owners: Arc<Owners>,
    engine: Arc<Breakable>,
}

impl Shop {
    pub(super) fn open() -> Self {
        let engine = Arc::new(Breakable { engine: MemoryEngine::new(), broken: AtomicBool::new(false) });
        Self::on(engine, Clock::manual(Timestamp::from_seconds(1_800_000_000)), Duration::ZERO)
    }

    /// The same books after a start, with a provider that takes its time.
    pub(super) fn reopen(&self, latency: Duration) -> Self {
        Self::on(self.engine.clone(), self.node.clock.clone(), latency)
    }

    fn on(engine: Arc<Breakable>, clock: Clock, sandbox_latency: Duration) -> Self {
        let db = Db::new(engine.clone(), Database::Ecommerce);
        let sandbox_webhook_secret = SECRET.into();
        let settings = Settings { sandbox: true, sandbox_webhook_secret, sandbox_latency, ..Settings::default() };
        let payments = Payments::new(db.clone(), settings);
        let owners = Arc::<Owners>::default();
        let node = node(clock, &payments, &owners);
        Self { node, db, payments, owners, engine }
    }

    pub(super) fn break_writes(&self, broken: bool) {
        self.engine.broken.store(broken, Ordering::SeqCst);
    }

    pub(super) fn cx(&self) -> Cx {
        Cx::system(&self.node, "test", Duration::from_mins(1))
    }

    pub(super) fn user(&self, id: UserId) -> Cx {
        Cx { principal: Principal::User { id, session: 1, permissions: Arc::default() }, ..self.cx() }
    }

    pub(super) fn guest(&self, token: &str) -> Cx {
        Cx { principal: Principal::Anonymous, order_token: Some(token.into()), ..self.cx() }
    }

    pub(super) fn keyed(&self, key: &str) -> Cx {
        let claim = Claim {
            caller: "user:1".into(),
            key: key.into(),
            fingerprint: [0; 32],
            status: 201,
            recorded: std::sync::OnceLock::new(),
        };
        Cx { claim: Some(Arc::new(claim)), ..self.cx() }
    }

    /// Calls an operation as the edge does, key and all.
    pub(super) async fn run<O: Op>(&self, cx: Cx, op: O) -> Result<O::Reply, Error> {
        self.node.registry()?.call(cx, op).await
    }

    pub(super) async fn call<O: Op>(&self, op: O) -> Result<O::Reply, Error> {
        self.run(self.cx(), op).await
    }

    /// Waits for work that sleeps on the clock, moving it on in small steps.
    pub(super) async fn ticking<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::task::yield_now() => self.node.clock.advance(Duration::from_millis(50)),
            }
        }
    }

    pub(super) async fn take(&self, order: i64, token: &str, amount: &str) -> Result<PaymentOutcome, Error> {
        self.take_in(order, Some(token), "CARD", (amount, Currency::GBP)).await
    }

    pub(super) async fn by_hand(&self, order: i64, amount: &str) -> PaymentOutcome {
        self.take_in(order, None, "BANK_TRANSFER", (amount, Currency::GBP)).await.unwrap()
    }

    pub(super) async fn take_in(
        &self,
        order: i64,
        token: Option<&str>,
        method: &str,
        (amount, currency): (&str, Currency),
    ) -> Result<PaymentOutcome, Error> {
        let choice = PaymentChoice { method: method.into(), provider: None, token: token.map(str::to_owned) };
        let amount = amount.parse().unwrap();
        let user_id = (order < 100).then_some(OWNER);
        let op = TakePayment { order_id: OrderId(order), amount, currency, choice, user_id };
        self.ticking(self.call(op)).await
    }

    pub(super) async fn cancel(&self, order: i64) -> Result<(), Error> {
        self.ticking(self.call(CancelPayment { order_id: OrderId(order), reason: "the order failed".into() })).await
    }

    pub(super) async fn refund(&self, id: i64, amount: Option<&str>) -> Result<PaymentView, Error> {
        self.run(self.cx(), refund_op(id, amount)).await
    }

    pub(super) async fn payment(&self, id: i64) -> PaymentView {
        self.call(GetPayment { id: PaymentId(id) }).await.unwrap()
    }

    /// Status, captured and refunded.
    pub(super) async fn stands(&self, id: i64) -> (PaymentStatus, String, String) {
        let view = self.payment(id).await;
        (view.status, view.captured.to_string(), view.refunded.to_string())
    }

    /// Kinds of the events told so far, without the audit trail's.
    pub(super) async fn told(&self) -> Vec<String> {
        let events: Vec<Event> = self.db.read(|tx| tx.events_after(0, 1_000)).await.unwrap();
        events.into_iter().map(|event| event.kind).filter(|kind| kind.starts_with("PAYMENT")).collect()
    }

    /// The auditor finds nothing.
    pub(super) fn verify(&self) {
        let findings = self.findings(|_| {});
        // What orders and figures state too has one side only here.
        let shared = |it: &str| [PAID, DUE, SETTLED, GAVE, GIVEN_BACK].contains(&it);
        let own: Vec<_> = findings.into_iter().filter(|it| !shared(it.invariant)).collect();
        assert_eq!(own, []);
    }

    /// What the auditor finds when others have stated something.
    pub(super) fn findings(&self, state: impl FnOnce(&mut Report)) -> Vec<Finding> {
        let reader = self.engine.snapshot();
        let mut report = Report::default();
        state(&mut report);
        let tx = Tx::unbounded(&*reader, Database::Ecommerce);
        self.payments.audit(&tx, &mut report).unwrap();
        for table in Payments::TABLES {
            report.check_table(&*reader, table).unwrap();
        }
        report.finish().0
    }
}

pub(super) fn refund_op(id: i64, amount: Option<&str>) -> CreateRefund {
    let amount = amount.map(|amount| amount.parse().unwrap());
    CreateRefund { id: PaymentId(id), amount, reason: "broken in the post".into() }
}

fn node(clock: Clock, payments: &Arc<Payments>, owners: &Arc<Owners>) -> Arc<Node> {
    let node = Node::new(clock, Entropy::seeded(1));
    let mut registry = Registry::default();
    payments.register(&mut registry);
    registry.register::<OwnsOrder, _>(owners);
    registry.register::<ResumeCheckout, _>(owners);
    registry.register::<StandingOfOrder, _>(owners);
    registry.register::<CancelVoided, _>(owners);
    node.install(registry);
    node
}
