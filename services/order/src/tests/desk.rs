//! Orders on the memory engine, driven step by step as a saga's driver would.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use promox_contract::ids::{OrderId, PaymentId, VariantId};
use promox_contract::inventory::SkuQuantity;
use promox_contract::order::{OrderStatus, Totals};
use promox_contract::order_line::OrderLine;
use promox_contract::payment::{PaymentOutcome, PaymentStatus};
use promox_kernel::{
    Amount, Claim, Clock, Currency, Cx, Entropy, Error, Node, Principal, Registry, Sealed, Timestamp, UserId,
};
use promox_storage::{
    Cache, ConsumerLoop, Database, Db, Engine, MemoryEngine, Reader, Report, Service, StoreError, Tx, WorkOrder,
};

use super::new_store::register_new_store;
use crate::api::OrderView;
use crate::checkout::draft::{Draft, NewOrder, StoredClaim};
use crate::checkout::rows::{ConfirmedRows, PendingRows};
use crate::checkout::transitions::{self, Begun, SagaLease};
use crate::order_row;
use crate::pricing::Entitlements;
use crate::records::Saga;
use crate::rules::price::Priced;
use crate::{OrderNews, Orders};

pub(super) const BUYER: UserId = UserId(7);

/// The memory engine, one of whose next writes can be refused because the store is busy.
struct Busy {
    engine: Arc<MemoryEngine>,
    refuses: AtomicU32,
}

impl Engine for Busy {
    fn submit(&self, mut order: WorkOrder) {
        let left = self.refuses.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        if left == Ok(1) {
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

/// A node with nothing but orders and the settings of a new store.
pub(super) struct Desk {
    pub(super) db: Db,
    pub(super) node: Arc<Node>,
    engine: Arc<Busy>,
    pub(super) orders: Arc<Orders>,
}

impl Desk {
    pub(super) fn open() -> Self {
        Self::open_among(|_| {})
    }

    /// A desk among other services, which `register` registers.
    pub(super) fn open_among(register: impl FnOnce(&mut Registry)) -> Self {
        let engine = Arc::new(Busy { engine: MemoryEngine::new(), refuses: AtomicU32::new(0) });
        let db = Db::new(engine.clone(), Database::Ecommerce);
        let node = Node::new(Clock::manual(Timestamp::from_seconds(1_800_000_000)), Entropy::seeded(7));
        let mut registry = Registry::default();
        register_new_store(&mut registry);
        register(&mut registry);
        node.install(registry);
        let orders = Orders::new(db.clone(), Cache::in_memory(), false);
        Self { db, node, engine, orders }
    }

    /// The store is too busy for one write: the `nth` from now, 1 for the next.
    pub(super) fn refuse_write(&self, nth: u32) {
        self.engine.refuses.store(nth, SeqCst);
    }

    pub(super) fn cx(&self) -> Cx {
        Cx::system(&self.node, "test", Duration::from_mins(1))
    }

    pub(super) fn buyer(&self) -> Cx {
        Cx { principal: Principal::User { id: BUYER, session: 1, permissions: Arc::default() }, ..self.cx() }
    }

    /// One transaction.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.db.write(&self.cx(), work).await
    }

    /// A saga at its beginning, and the draft that it was begun with.
    pub(super) async fn begin(&self, lines: &[Line], claim: Option<Claim>) -> (SagaLease, Draft) {
        self.begin_with(draft(lines), claim).await
    }

    /// A saga of this draft at its beginning.
    pub(super) async fn begin_with(&self, draft: Draft, claim: Option<Claim>) -> (SagaLease, Draft) {
        let draft = Draft { claim: claim.as_ref().map(StoredClaim::of), ..draft };
        let sealed = Sealed::of(&draft).unwrap();
        let claim = claim.map(Arc::new);
        let lease_end = transitions::lease_end(&self.cx());
        match self.write(move |tx| transitions::begin(tx, &sealed, claim.as_deref(), None, lease_end)).await.unwrap() {
            Begun::New(lease) => (lease, draft),
            Begun::Undecided(_) => panic!("the key was used before"),
        }
    }

    /// Writes the PENDING order of a saga.
    pub(super) async fn open_order(&self, lease: &SagaLease, draft: &Draft) -> Result<Arc<PendingRows>, Error> {
        let pending = Arc::new(PendingRows::of(draft, lease.order_id, self.node.clock.now()).unwrap());
        let (lease, rows) = (lease.clone(), pending.clone());
        self.write(move |tx| transitions::open(tx, &lease, &rows)).await.map(|()| pending)
    }

    /// Confirms an order by rows that were made ready from `pending`; whether they were used, and the answer.
    pub(super) async fn confirm_prepared(
        &self,
        lease: &SagaLease,
        pending: &Arc<PendingRows>,
    ) -> Result<(bool, OrderView), Error> {
        let ready = Arc::new(ConfirmedRows::of(pending, Some(&paid()), self.node.clock.now())?);
        let (lease, pending, rows) = (lease.clone(), pending.clone(), ready.clone());
        let confirm = move |tx: &mut Tx<'_>| transitions::confirm(tx, &lease, Some(&paid()), Some((&*pending, &*rows)));
        let anew = self.write(confirm).await?;
        Ok((anew.is_none(), anew.unwrap_or_else(|| ready.answer.clone())))
    }

    /// Confirms an order as it stands.
    pub(super) async fn confirm(&self, lease: &SagaLease) -> Result<OrderView, Error> {
        let lease = lease.clone();
        let view = self.write(move |tx| transitions::confirm(tx, &lease, Some(&paid()), None)).await?;
        view.ok_or_else(|| Error::internal("no rows were made ready, and none were written"))
    }

    /// A confirmed order of these lines.
    pub(super) async fn sold(&self, lines: &[Line]) -> OrderId {
        let (lease, draft) = self.begin(lines, None).await;
        self.open_order(&lease, &draft).await.unwrap();
        self.confirm(&lease).await.unwrap();
        lease.order_id
    }

    /// Lets orders follow what payments told.
    pub(super) async fn follow(&self) {
        let mut news = ConsumerLoop::new(Arc::new(OrderNews), self.db.clone(), self.db.clone());
        while news.turn(&self.node).await.unwrap() {}
    }

    pub(super) async fn status(&self, id: OrderId) -> OrderStatus {
        self.db.read(|tx| order_row::load(tx, id)).await.unwrap().status
    }

    pub(super) async fn saga(&self, id: OrderId) -> Option<Saga> {
        self.db.read(|tx| tx.get::<Saga>(&id)).await.unwrap()
    }

    /// The types of the events told so far.
    pub(super) async fn told(&self) -> Vec<String> {
        let events = self.db.read(|tx| tx.events_after(0, 1_000)).await.unwrap();
        events.into_iter().map(|event| event.kind).collect()
    }

    /// The auditor finds nothing in the orders' own books.
    pub(super) fn verify(&self) {
        let reader = self.engine.snapshot();
        let mut report = Report::default();
        self.orders.audit(&Tx::unbounded(&*reader, Database::Ecommerce), &mut report).unwrap();
        for table in Orders::TABLES {
            report.check_table(&*reader, table).unwrap();
        }
        let alone = |invariant: &str| invariant.starts_with("order") || invariant.starts_with("saga");
        let (findings, _) = report.finish();
        let own: Vec<_> = findings.into_iter().filter(|finding| alone(finding.invariant)).collect();
        assert_eq!(own, []);
    }
}

/// A line: SKU, units, the price of one, and what promotions take off the line.
pub(super) type Line = (&'static str, u32, &'static str, &'static str);

pub(super) fn items(units: &[(&str, u32)]) -> Vec<SkuQuantity> {
    units.iter().map(|(sku, quantity)| SkuQuantity { sku: sku.parse().unwrap(), quantity: *quantity }).collect()
}

pub(super) fn claim(key: &str) -> Claim {
    Claim { caller: "user:7".into(), key: key.into(), fingerprint: [1; 32], status: 201, recorded: OnceLock::new() }
}

pub(super) fn paid() -> PaymentOutcome {
    PaymentOutcome {
        id: PaymentId(1),
        status: PaymentStatus::Captured,
        undecided: false,
        decline_code: None,
        action: None,
        captured: Amount::ZERO,
        refunded: Amount::ZERO,
        left: "1000.00".parse().unwrap(),
        secured: "1000.00".parse().unwrap(),
    }
}

pub(super) fn draft(lines: &[Line]) -> Draft {
    let lines: Vec<OrderLine> = lines.iter().map(line).collect();
    let sum = |part: fn(&OrderLine) -> Amount| lines.iter().map(part).sum::<Amount>();
    let zero = Currency::GBP.zero();
    let totals = Totals {
        subtotal: sum(|line| line.subtotal),
        discount: sum(|line| line.discount),
        shipping: zero,
        shipping_discount: zero,
        tax: zero,
        points_redeemed: 0,
        points_value: zero,
        total: sum(|line| line.total),
    };
    let priced = Priced {
        currency: Currency::GBP,
        prices_include_tax: true,
        lines,
        totals,
        shipping_method: None,
        applied: Vec::new(),
        rejected: Vec::new(),
    };
    let order = NewOrder {
        number: "ABCDE-FGHJK".into(),
        user_id: Some(BUYER),
        email: "ann@example.com".parse().unwrap(),
        priced,
        shipping_address: None,
        billing_address: None,
        channel: None,
        note: None,
        attributes: std::collections::BTreeMap::default(),
        entitlements: Entitlements::default(),
        points_earned: 0,
    };
    Draft { order: Some(Box::new(order)), actor: "user:7".into(), ..Draft::default() }
}

fn line((sku, quantity, price, discount): &Line) -> OrderLine {
    let (price, discount): (Amount, Amount) = (price.parse().unwrap(), discount.parse().unwrap());
    let subtotal = price.times(i64::from(*quantity)).unwrap();
    let shares = vec![promox_contract::promotion::LineDiscount {
        promotion_id: promox_contract::ids::PromotionId(1),
        coupon_code: None,
        amount: discount,
    }];
    OrderLine {
        sku: sku.parse().unwrap(),
        variant_id: Some(VariantId(1)),
        product_id: None,
        name: (*sku).into(),
        quantity: *quantity,
        unit_price: price,
        list_price: price,
        flash_sale_id: None,
        subtotal,
        discount,
        discounts: shares,
        tax: Amount::ZERO,
        total: subtotal - discount,
    }
}
