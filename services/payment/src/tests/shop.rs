//! A harness with the payment service and a stub of the order service.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use promox_contract::analytics::REFUNDED_BY_PAYMENT;
use promox_contract::ids::{OrderId, PaymentId};
use promox_contract::order::{
    CancelVoidedOrder, CheckOrderAccess, CurrentOrderStatus, GetOrderStatus, OrderStatus, ResumeCheckout,
    ResumedCheckout, VoidedOrder,
};
use promox_contract::payment::{
    CancelPayment, CaptureAt, DUE, PAID, PAYMENT_REFUNDS, PaymentChoice, PaymentOutcome, PaymentStatus, SETTLED,
    TakePayment,
};
use promox_kernel::{Currency, Cx, Error, Handle, Timestamp, UserId};
use promox_testkit::{Databases, Harness, Setup};

use crate::api::{CreateRefund, GetPayment, PaymentView};
use crate::{Payments, Settings};

pub(super) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub(super) const OWNER: UserId = UserId(7);

/// A stub of the order service. Orders below 100 belong to [`OWNER`], others to the holder of the order token `guest`.
#[derive(Default)]
pub(super) struct Orders {
    /// The orders whose checkouts were resumed, in order.
    pub(super) resumed: Mutex<Vec<i64>>,
    /// The time that every resumed checkout gives for the next attempt.
    pub(super) again_at: Mutex<Option<Timestamp>>,
}

#[allow(clippy::unnecessary_wraps, reason = "handlers return a result")]
impl Orders {
    fn resume(&self, _: &Cx, op: ResumeCheckout) -> Result<ResumedCheckout, Error> {
        self.resumed.lock().push(op.order_id.0);
        Ok(ResumedCheckout { again_at: *self.again_at.lock() })
    }
}

/// Cancels the order's payment, as the order service does.
impl Handle<CancelVoidedOrder> for Orders {
    async fn handle(&self, cx: &Cx, op: CancelVoidedOrder) -> Result<VoidedOrder, Error> {
        cx.elevated().call(CancelPayment { order_id: op.order_id, reason: op.reason }).await?;
        Ok(VoidedOrder { cancelled: true })
    }
}

fn check_access(cx: &Cx, op: CheckOrderAccess) -> Result<(), Error> {
    let allowed = match op.order_id.0 {
        ..100 => cx.principal.user() == Some(OWNER),
        _ => cx.order_token.as_deref() == Some("guest"),
    };
    if allowed { Ok(()) } else { Err(Error::not_found("order")) }
}

/// The payment service on a node whose other services are stubs.
pub(super) struct Shop {
    harness: Harness<Payments>,
    pub(super) orders: Arc<Orders>,
}

impl Deref for Shop {
    type Target = Harness<Payments>;

    fn deref(&self) -> &Self::Target {
        &self.harness
    }
}

fn service(databases: &Databases, sandbox_latency: Duration) -> Arc<Payments> {
    let sandbox_webhook_secret = SECRET.into();
    let settings = Settings { sandbox: true, sandbox_webhook_secret, sandbox_latency, ..Settings::default() };
    Payments::new(databases.ecommerce.clone(), settings).unwrap()
}

impl Shop {
    /// A shop with the sandbox enabled, all of whose orders are confirmed.
    pub(super) fn open() -> Self {
        let orders = Arc::<Orders>::default();
        let mut setup = Setup::at("2027-01-15T08:00:00Z")
            .answer(check_access)
            .answer(|_, _: GetOrderStatus| Ok(CurrentOrderStatus { status: OrderStatus::Confirmed }))
            .answer_from(&orders, Orders::resume)
            .shared(&[PAID, DUE, SETTLED, PAYMENT_REFUNDS, REFUNDED_BY_PAYMENT]);
        setup.register::<CancelVoidedOrder, _>(&orders);
        Self { harness: setup.start(|databases| service(databases, Duration::ZERO)), orders }
    }

    /// Restarts the service on the same data, with a sandbox that takes `latency` to answer.
    pub(super) fn reopen(&self, latency: Duration) -> Self {
        Self { harness: self.restart(|databases| service(databases, latency)), orders: self.orders.clone() }
    }

    pub(super) fn guest(&self, token: &str) -> Cx {
        Cx { order_token: Some(token.into()), ..self.anonymous() }
    }

    /// Runs work that sleeps on the clock, advancing the clock in small steps.
    pub(super) async fn ticking<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::task::yield_now() => self.advance(Duration::from_millis(50)),
            }
        }
    }

    pub(super) async fn take(&self, order: i64, token: &str, amount: &str) -> Result<PaymentOutcome, Error> {
        self.take_in(order, Some(token), "CARD", (amount, Currency::GBP)).await
    }

    /// Takes a manual payment, by bank transfer.
    pub(super) async fn take_manual(&self, order: i64, amount: &str) -> PaymentOutcome {
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
        let capture_at = CaptureAt::Order;
        let op = TakePayment { order_id: OrderId(order), amount, currency, choice, user_id, capture_at };
        self.ticking(self.call(op)).await
    }

    /// Takes a card payment that is captured as goods are shipped.
    pub(super) async fn authorize(&self, order: i64, token: &str, amount: &str) -> PaymentOutcome {
        let choice = PaymentChoice { method: "CARD".into(), provider: None, token: Some(token.into()) };
        let (order_id, amount, currency) = (OrderId(order), amount.parse().unwrap(), Currency::GBP);
        let (user_id, capture_at) = (Some(OWNER), CaptureAt::Shipment);
        let op = TakePayment { order_id, amount, currency, choice, user_id, capture_at };
        self.ticking(self.call(op)).await.unwrap()
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

    /// A payment's status, captured amount and refunded amount.
    pub(super) async fn status_and_amounts(&self, id: i64) -> (PaymentStatus, String, String) {
        let view = self.payment(id).await;
        (view.status, view.captured.to_string(), view.refunded.to_string())
    }
}

pub(super) fn refund_op(id: i64, amount: Option<&str>) -> CreateRefund {
    let amount = amount.map(|amount| amount.parse().unwrap());
    CreateRefund { id: PaymentId(id), amount, reason: "broken in the post".into() }
}
