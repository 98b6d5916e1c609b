//! A harness with the order service, whose sagas are driven step by step.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use promox_contract::ids::{OrderId, PaymentId, PromotionId, VariantId};
use promox_contract::inventory::SkuQuantity;
use promox_contract::order::OrderStatus;
use promox_contract::order_line::OrderLine;
use promox_contract::payment::{PaymentOutcome, PaymentStatus};
use promox_contract::promotion::LineDiscount;
use promox_kernel::{Amount, Claim, Currency, Cx, EncodedJson, Error, UserId};
use promox_storage::{Cache, Tx};
use promox_testkit::saga::Faults;
use promox_testkit::sample::{amount, order_line, sku, totals};
use promox_testkit::{Harness, Setup};

use crate::Orders;
use crate::api::OrderView;
use crate::checkout::draft::{Draft, NewOrder, StoredClaim};
use crate::checkout::rows::{ConfirmedRows, PendingRows};
use crate::checkout::transitions::{self, SagaLease};
use crate::order_row;
use crate::pricing::Entitlements;
use crate::records::Saga;
use crate::rules::price::Priced;

pub(super) const BUYER: UserId = UserId(7);

/// The order service on a node with the settings of a new store.
pub(super) struct Fixture {
    harness: Harness<Orders>,
}

impl Deref for Fixture {
    type Target = Harness<Orders>;

    fn deref(&self) -> &Self::Target {
        &self.harness
    }
}

impl Fixture {
    pub(super) fn open() -> Self {
        Self::open_with(Arc::default(), |_| {})
    }

    /// A fixture with the stub services that `register` registers. `faults` plans the faults of its writes.
    pub(super) fn open_with(faults: Arc<Faults>, register: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup::at("2027-01-15T08:00:00Z").failing(faults);
        register(&mut setup);
        let harness = setup.start(|databases| Orders::new(databases.ecommerce.clone(), Cache::in_memory(), false));
        Self { harness }
    }

    pub(super) fn buyer(&self) -> Cx {
        self.user(BUYER.0)
    }

    /// Begins the saga of an order with these lines. Returns its lease and its draft.
    pub(super) async fn begin(&self, lines: &[Line], claim: Option<Claim>) -> (SagaLease, Draft) {
        self.begin_with(draft(lines), claim).await
    }

    /// Begins a saga with this draft. Returns its lease and its draft.
    pub(super) async fn begin_with(&self, draft: Draft, claim: Option<Claim>) -> (SagaLease, Draft) {
        let draft = Draft { claim: claim.as_ref().map(StoredClaim::of), ..draft };
        let sealed = EncodedJson::encode(&draft).unwrap();
        let claim = claim.map(Arc::new);
        let (lease, lease_end) = (self.new_lease().await, transitions::lease_end(&self.cx()));
        let id = lease.order_id;
        let begin = move |tx: &mut Tx<'_>| transitions::begin(tx, id, &sealed, claim.as_deref(), None, lease_end);
        self.write(begin).await.unwrap();
        (lease, draft)
    }

    /// The lease of a checkout that has not begun yet.
    pub(super) async fn new_lease(&self) -> SagaLease {
        SagaLease { order_id: OrderId(self.service.ids.next(&self.cx()).await.unwrap()), attempt: 1 }
    }

    /// Writes the PENDING order of a saga.
    pub(super) async fn open_order(&self, lease: &SagaLease, draft: &Draft) -> Result<Arc<PendingRows>, Error> {
        let pending = Arc::new(PendingRows::of(draft, lease.order_id, self.node.clock.now()).unwrap());
        let (lease, rows) = (lease.clone(), pending.clone());
        self.write(move |tx| transitions::open(tx, &lease, &rows)).await.map(|()| pending)
    }

    /// Confirms an order with rows prepared from `pending`. Returns whether these rows were used, and the order.
    pub(super) async fn confirm_prepared(
        &self,
        lease: &SagaLease,
        pending: &Arc<PendingRows>,
    ) -> Result<(bool, OrderView), Error> {
        let prepared = Arc::new(ConfirmedRows::of(pending, Some(&paid()), self.node.clock.now())?);
        let (lease, pending, rows) = (lease.clone(), pending.clone(), prepared.clone());
        let confirm = move |tx: &mut Tx<'_>| transitions::confirm(tx, &lease, Some(&paid()), Some((&*pending, &*rows)));
        let view = self.write(confirm).await?;
        Ok((view.is_none(), view.unwrap_or_else(|| prepared.answer.clone())))
    }

    /// Confirms an order without prepared rows.
    pub(super) async fn confirm(&self, lease: &SagaLease) -> Result<OrderView, Error> {
        let lease = lease.clone();
        let view = self.write(move |tx| transitions::confirm(tx, &lease, Some(&paid()), None)).await?;
        view.ok_or_else(|| Error::internal("a confirmation without prepared rows returns the order"))
    }

    /// Places and confirms an order with these lines.
    pub(super) async fn confirmed_order(&self, lines: &[Line]) -> OrderId {
        let (lease, draft) = self.begin(lines, None).await;
        self.open_order(&lease, &draft).await.unwrap();
        self.confirm(&lease).await.unwrap();
        lease.order_id
    }

    pub(super) async fn status(&self, id: OrderId) -> OrderStatus {
        self.db.read(|tx| order_row::load(tx, id)).await.unwrap().status
    }

    pub(super) async fn saga(&self, id: OrderId) -> Option<Saga> {
        self.db.read(|tx| tx.get::<Saga>(&id)).await.unwrap()
    }

    /// Checks that the audit has no findings about orders and sagas.
    pub(super) fn verify(&self) {
        let is_own = |invariant: &str| invariant.starts_with("order") || invariant.starts_with("saga");
        let findings = self.findings_with(|_| {}).into_iter();
        let own: Vec<_> = findings.filter(|finding| is_own(finding.invariant)).collect();
        assert_eq!(own, []);
    }
}

/// A line: SKU, units, unit price, and the discount on the line.
pub(super) type Line = (&'static str, u32, &'static str, &'static str);

pub(super) fn items(units: &[(&str, u32)]) -> Vec<SkuQuantity> {
    units.iter().map(|(name, quantity)| SkuQuantity { sku: sku(name), quantity: *quantity }).collect()
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
        left: amount("1000.00"),
        secured: amount("1000.00"),
    }
}

pub(super) fn draft(lines: &[Line]) -> Draft {
    let lines: Vec<OrderLine> = lines.iter().map(line).collect();
    let priced = Priced {
        currency: Currency::GBP,
        prices_include_tax: true,
        totals: totals(&lines),
        lines,
        shipping_method: None,
        applied: Vec::new(),
        rejected: Vec::new(),
        hooks: Vec::new(),
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
        languages: Vec::new(),
    };
    Draft { order: Some(Box::new(order)), actor: "user:7".into(), ..Draft::default() }
}

fn line((name, quantity, price, discount): &Line) -> OrderLine {
    let discount = amount(discount);
    let share = LineDiscount { promotion_id: PromotionId(1), coupon_code: None, amount: discount };
    OrderLine {
        variant_id: Some(VariantId(1)),
        discounts: vec![share],
        ..order_line(sku(name), *quantity, amount(price), discount)
    }
}
