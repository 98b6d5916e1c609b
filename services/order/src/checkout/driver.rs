//! Drives a saga from its current step until it ends or has to wait.

use std::sync::Arc;

use promox_contract::cart::EmptyCart;
use promox_contract::codes;
use promox_contract::ids::OrderId;
use promox_contract::order::OrderStatus;
use promox_contract::payment::{GetOrderPayment, PaymentOutcome, PaymentStatus, RefreshPayment, TakePayment};
use promox_kernel::{Cx, Error, Kind};
use promox_storage::{Call, Chain, Outcome, Recall, Transaction, Tx};

use crate::Orders;
use crate::api::{OrderView, PlaceOrder};
use crate::checkout::draft::{Draft, OrderedCart};
use crate::checkout::holds::{self, HoldSet};
use crate::checkout::rows::{ConfirmedRows, PendingRows};
use crate::checkout::transitions::{self, Resumable, SagaLease};
use crate::records::{Order, Saga, SagaStep};
use crate::{order_row, queries, reject};

/// Maximum times that an order is priced. It is priced again when another buyer took the last use of a promotion that
/// applied to it.
const MAX_PRICINGS: u32 = 4;

/// A driver: it holds the lease of a saga and carries out its steps.
pub(crate) struct Driver<'a> {
    pub(crate) orders: &'a Orders,
    pub(crate) cx: &'a Cx,
    pub(crate) lease: SagaLease,
    /// The rows of the order, if this driver wrote them.
    pub(super) pending: Option<Arc<PendingRows>>,
}

/// The value of a link of the chain that confirms an order.
enum Step {
    Paid(Box<PaymentOutcome>),
    CartEmptied,
    /// The order's state, unless the prepared rows were used.
    Confirmed(Option<Box<OrderView>>),
}

/// Why a chain has not confirmed its order.
struct Unconfirmed {
    /// The index of the link that was refused, if one was.
    link: Option<usize>,
    error: Error,
    /// The payment as this chain has recorded it.
    paid: Option<Box<PaymentOutcome>>,
}

impl From<Error> for Unconfirmed {
    fn from(error: Error) -> Self {
        Self { link: None, error, paid: None }
    }
}

impl Unconfirmed {
    /// Whether this link was refused because of a conflict.
    fn is_conflict_at(&self, link: Option<usize>) -> bool {
        self.link == link && self.error.kind() == Kind::Conflict
    }
}

/// The confirmation at the end of a chain, if all of its links are done.
fn confirmation(outcomes: Vec<Outcome<Step>>) -> Result<Option<Box<OrderView>>, Unconfirmed> {
    let mut paid = None;
    for (link, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Outcome::Done(Step::Paid(outcome)) => paid = Some(outcome),
            Outcome::Done(Step::CartEmptied) => {}
            Outcome::Done(Step::Confirmed(view)) => return Ok(view),
            Outcome::Refused(error) => return Err(Unconfirmed { link: Some(link), error, paid }),
            Outcome::Skipped => break,
        }
    }
    Err(Error::internal("a chain ended without a confirmation or a refusal").into())
}

/// Whether a payment's outcome lets its order be confirmed.
fn secures_order(outcome: &PaymentOutcome) -> bool {
    !outcome.undecided && matches!(outcome.status, PaymentStatus::Captured | PaymentStatus::Authorized)
}

impl Orders {
    /// Places an order. The reply is 202 while its payment is undecided.
    pub(crate) async fn place(&self, cx: &Cx, mut body: PlaceOrder) -> Result<OrderView, Error> {
        if let Some(order) = self.undecided(cx).await? {
            return self.present(order).await;
        }
        let mut pricings = 1;
        loop {
            let (draft, cart) = self.prepare(cx, &mut body).await?;
            let order_id = OrderId(self.ids.next(cx).await?);
            let mut driver = Driver::new(self, cx, SagaLease { order_id, attempt: 1 });
            let result = driver.place(&draft, cart).await;
            let result = driver.release_on_error(result).await;
            let Err(error) = &result else { return result };
            // A concurrent request with the same idempotency key may have begun its checkout first.
            if let Ok(Some(other)) = self.undecided(cx).await
                && other != order_id
            {
                return self.present(other).await;
            }
            let reprice = draft.order.as_deref().is_some_and(|order| holds::is_solved_by_repricing(error, order));
            if !reprice || pricings == MAX_PRICINGS || body.quote_id.is_some() {
                return result;
            }
            pricings += 1;
        }
    }

    /// The order that the request's idempotency key belongs to, while its reply is undecided. Fails if it was decided since
    /// the request began, so that no second checkout begins: whoever runs the request returns the stored reply.
    async fn undecided(&self, cx: &Cx) -> Result<Option<OrderId>, Error> {
        let Some(claim) = &cx.claim else { return Ok(None) };
        match self.db.recall(claim).await? {
            Recall::Undecided(order) => Ok(Some(OrderId(order))),
            Recall::Decided(_) => {
                Err(Error::unavailable(codes::CHECKOUT_IN_PROGRESS, "The checkout has just been decided.", 1))
            }
            Recall::New | Recall::OtherRequest => Ok(None),
        }
    }

    /// The current state of an order whose request is repeated: 402 if its payment was declined, 503 if it has no rows
    /// yet.
    pub(crate) async fn present(&self, id: OrderId) -> Result<OrderView, Error> {
        self.db
            .read(|tx| {
                let Some(order) = tx.get::<Order>(&id)? else {
                    return Err(Error::unavailable(codes::CHECKOUT_IN_PROGRESS, "The checkout is still running.", 1));
                };
                if order.status == OrderStatus::Failed {
                    return Err(reject::declined(order.id, order.details.decline_code.as_deref()));
                }
                let saga = tx.get::<Saga>(&id)?;
                let mut view = queries::view(tx, order)?;
                view.undecided = saga.is_some_and(|saga| saga.step != SagaStep::AwaitingAction);
                Ok(view)
            })
            .await
    }

    /// Resumes a saga at its current step. Does nothing if there is no saga, or if it cannot be resumed yet.
    pub(crate) async fn resume(&self, cx: &Cx, order_id: OrderId, resumable: Resumable) -> Result<(), Error> {
        let lease_end = transitions::lease_end(cx);
        let take = move |tx: &mut Tx<'_>| transitions::resume(tx, order_id, resumable, lease_end);
        let Some((lease, step)) = self.db.write(cx, take).await? else { return Ok(()) };
        let mut driver = Driver::new(self, cx, lease);
        let result = match step {
            SagaStep::Holding => driver.resume_holding().await,
            SagaStep::Paying => driver.resume_paying().await,
            SagaStep::AwaitingAction => driver.expire_action().await,
            SagaStep::Undoing => driver.compensate().await.map(drop),
        };
        driver.release_on_error(result).await
    }
}

impl<'a> Driver<'a> {
    pub(crate) fn new(orders: &'a Orders, cx: &'a Cx, lease: SagaLease) -> Self {
        Self { orders, cx, lease, pending: None }
    }

    /// Runs one step of the saga as a transaction.
    pub(super) async fn step<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Tx<'_>, &SagaLease) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let lease = self.lease.clone();
        self.orders.db.write(self.cx, move |tx| work(tx, &lease)).await
    }

    /// Ends the lease after an error, so that the saga can be resumed before the lease expires.
    async fn release_on_error<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        let Err(error) = &result else { return result };
        if error.kind() == Kind::Declined {
            return result;
        }
        if matches!(self.orders.db.read(|tx| transitions::unfinished(tx, &self.lease)).await, Ok(Some(_))) {
            let text = error.to_string();
            if let Err(error) = self.step(move |tx, lease| transitions::release(tx, lease, &text)).await {
                let order = self.lease.order_id.0;
                tracing::warn!(order, %error, "the lease of a saga could not be ended; it expires soon");
            }
        }
        result
    }

    /// Carries out a new checkout. Returns the reply.
    pub(crate) async fn place(&mut self, draft: &Draft, cart: Option<OrderedCart>) -> Result<OrderView, Error> {
        self.begin(draft, cart).await?;
        self.pay(draft).await
    }

    /// Carries out a checkout that an earlier driver has begun. Returns the reply.
    async fn continue_checkout(&mut self, draft: &Draft) -> Result<OrderView, Error> {
        self.hold_and_open(draft).await?;
        self.pay(draft).await
    }

    /// Continues a checkout that was interrupted while it took its holds. If it orders a cart, it is abandoned, because
    /// only the cart's owner can be told that the cart has changed; nothing was promised yet, and a repeated request
    /// begins a new checkout.
    async fn resume_holding(&mut self) -> Result<(), Error> {
        let draft = self.draft().await?;
        if self.cart().await?.is_some() {
            return self.abandon(&draft).await;
        }
        match self.continue_checkout(&draft).await {
            Err(error) if error.is_decided() => Ok(()),
            other => other.map(drop),
        }
    }

    /// Releases the holds of a checkout and removes its saga.
    async fn abandon(&self, draft: &Draft) -> Result<(), Error> {
        if let Some(order) = &draft.order {
            HoldSet::needed_by(order).release(&self.cx.elevated(), self.lease.order_id).await?;
        }
        self.step(transitions::abandon).await
    }

    /// Continues a checkout that was interrupted during its payment. A declined payment is a result, not an error.
    async fn resume_paying(&self) -> Result<(), Error> {
        let draft = self.draft().await?;
        match self.pay(&draft).await {
            Err(error) if error.kind() == Kind::Declined => Ok(()),
            other => other.map(drop),
        }
    }

    /// Takes the payment and applies its outcome.
    async fn pay(&self, draft: &Draft) -> Result<OrderView, Error> {
        let Some(choice) = &draft.choice else { return self.confirm(None).await };
        let id = self.lease.order_id;
        let (amount, currency, user_id) = if let Some(new) = draft.order.as_deref() {
            (new.priced.totals.total, new.priced.currency, new.user_id)
        } else {
            let order = self.orders.db.read(|tx| order_row::load(tx, id)).await?;
            (order.total, order.currency, order.user_id)
        };
        let (choice, capture_at) = (choice.clone(), draft.capture_at);
        let take = TakePayment { order_id: id, amount, currency, choice, user_id, capture_at };
        let outcome = match Call::prepare(self.cx, take).await {
            Ok(Call::Prepared(outcome, recording)) if secures_order(&outcome) => {
                return self.record_and_confirm(outcome, recording).await;
            }
            Ok(call) => call.run(self.cx).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(outcome) => self.apply_outcome(outcome).await,
            Err(error) => self.retry_unknown_payment(&error).await,
        }
    }

    /// Requests a payment again whose outcome is unknown.
    async fn retry_unknown_payment(&self, error: &Error) -> Result<OrderView, Error> {
        let order = self.lease.order_id.0;
        tracing::warn!(order, %error, "the outcome of a payment is unknown; it is requested again");
        self.retry_payment_later(None).await
    }

    /// Records a payment and confirms its order in one chain. If the payment is recorded otherwise than expected, the
    /// chain ends there and the actual outcome is applied.
    async fn record_and_confirm(
        &self,
        expected: PaymentOutcome,
        recording: Transaction<PaymentOutcome>,
    ) -> Result<OrderView, Error> {
        let mut chain = Chain::default();
        chain.then_prepared(recording.map(|outcome| Step::Paid(Box::new(outcome))));
        let Unconfirmed { link, error, paid } = match Box::pin(self.confirm_after(chain, Some(expected.clone()))).await
        {
            Ok(view) => return Ok(view),
            Err(unconfirmed) => unconfirmed,
        };
        match paid {
            None if link == Some(0) => self.retry_unknown_payment(&error).await,
            Some(actual) if *actual != expected => self.apply_outcome(*actual).await,
            _ => Err(error),
        }
    }

    /// Confirms or fails the order by the outcome of its payment, or waits for the provider or the buyer.
    async fn apply_outcome(&self, outcome: PaymentOutcome) -> Result<OrderView, Error> {
        match outcome.status {
            _ if outcome.undecided => self.retry_payment_later(Some(outcome)).await,
            PaymentStatus::RequiresAction | PaymentStatus::Processing => {
                self.step(move |tx, lease| transitions::await_action(tx, lease, &outcome)).await
            }
            PaymentStatus::Failed | PaymentStatus::Voided => {
                let code = outcome.decline_code.clone();
                self.fail(outcome, "The payment was declined.").await?;
                Err(reject::declined(self.lease.order_id, code.as_deref()))
            }
            _ => self.confirm(Some(outcome)).await,
        }
    }

    /// Schedules another attempt at the payment. Returns the undecided order.
    async fn retry_payment_later(&self, outcome: Option<PaymentOutcome>) -> Result<OrderView, Error> {
        self.step(move |tx, lease| transitions::retry_payment_later(tx, lease, outcome.as_ref())).await
    }

    /// Empties the ordered cart and confirms the order; the point of no return has passed.
    async fn confirm(&self, outcome: Option<PaymentOutcome>) -> Result<OrderView, Error> {
        Box::pin(self.confirm_after(Chain::default(), outcome)).await.map_err(|unconfirmed| unconfirmed.error)
    }

    /// Runs a chain, extended by emptying the ordered cart and confirming the order.
    async fn confirm_after(
        &self,
        mut chain: Chain<Step>,
        outcome: Option<PaymentOutcome>,
    ) -> Result<OrderView, Unconfirmed> {
        let prepared = match &self.pending {
            Some(pending) => {
                let confirmed = ConfirmedRows::of(pending, outcome.as_ref(), self.cx.now)?;
                Some((pending.clone(), Arc::new(confirmed)))
            }
            None => None,
        };
        let (lease, rows) = (self.lease.clone(), prepared.clone());
        let confirm = move |tx: &mut Tx<'_>| {
            let rows = rows.as_ref().map(|(pending, confirmed)| (&**pending, &**confirmed));
            transitions::confirm(tx, &lease, outcome.as_ref(), rows)
        };
        let (order_id, mut cart_link) = (self.lease.order_id, None);
        if let Some(OrderedCart { id: cart_id, version }) = self.cart().await? {
            cart_link = Some(chain.links());
            chain.then_call(EmptyCart { cart_id, order_id, version }, |()| Step::CartEmptied);
        }
        chain.then(self.orders.db.transaction(confirm.clone()).map(|view| Step::Confirmed(view.map(Box::new))));
        let cx = Cx { claim: self.cx.claim.clone(), ..self.cx.elevated() };
        let view = match confirmation(chain.run(&cx).await) {
            Ok(view) => view.map(|view| *view),
            // The payment is taken, so the order is confirmed even if another order took the cart's contents.
            Err(unconfirmed) if cart_link.is_some() && unconfirmed.is_conflict_at(cart_link) => {
                self.orders.db.write(self.cx, confirm).await?
            }
            Err(unconfirmed) => return Err(unconfirmed),
        };
        let prepared_view = prepared.map(|(_, confirmed)| confirmed.answer.clone());
        Ok(view.or(prepared_view).ok_or_else(|| Error::internal("a confirmation without its reply"))?)
    }

    /// The ordered cart, if any.
    async fn cart(&self) -> Result<Option<OrderedCart>, Error> {
        let order_id = self.lease.order_id;
        let saga = self.orders.db.read(|tx| tx.get::<Saga>(&order_id)).await?;
        let cart = saga.and_then(|saga| saga.cart_id.zip(saga.cart_version));
        Ok(cart.map(|(id, version)| OrderedCart { id, version }))
    }

    /// Marks the order as failed because its payment failed, and compensates it.
    async fn fail(&self, outcome: PaymentOutcome, reason: &'static str) -> Result<(), Error> {
        self.step(move |tx, lease| transitions::fail(tx, lease, Some(&outcome), reason)).await?;
        self.compensate().await.map(drop)
    }

    /// Ends the wait for the buyer or the provider: confirms the order if the payment has succeeded meanwhile, waits on
    /// while the provider is processing it, and fails the order otherwise.
    async fn expire_action(&self) -> Result<(), Error> {
        let order_id = self.lease.order_id;
        let outcome = match self.cx.call(RefreshPayment { order_id }).await {
            // What the provider reports later is refunded.
            Err(error) if error.kind() == Kind::Unavailable => self.cx.call(GetOrderPayment { order_id }).await?,
            outcome => outcome?,
        };
        match outcome.status {
            PaymentStatus::Captured | PaymentStatus::Authorized => self.confirm(Some(outcome)).await.map(drop),
            PaymentStatus::Processing => self.step(transitions::keep_waiting).await,
            PaymentStatus::Failed => self.fail(outcome, "The payment was declined.").await,
            _ => self.fail(outcome, "The payment was not confirmed in time.").await,
        }
    }

    /// The stored state of the saga.
    async fn draft(&self) -> Result<Draft, Error> {
        self.orders.db.read(|tx| transitions::leased(tx, &self.lease)?.draft.decode()).await
    }
}
