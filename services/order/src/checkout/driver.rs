//! Drives a saga from its current step to its end, or until it has to wait.

use std::sync::Arc;
use std::time::Duration;

use promox_contract::cart::EmptyCart;
use promox_contract::codes;
use promox_contract::ids::OrderId;
use promox_contract::order::OrderStatus;
use promox_contract::payment::{GetOrderPayment, PaymentOutcome, PaymentStatus, TakePayment};
use promox_kernel::{Cx, Error, Kind};
use promox_storage::{Chain, Outcome, Recall, Tx};

use crate::Orders;
use crate::api::{OrderView, PlaceOrder};
use crate::checkout::draft::{Draft, OrderedCart};
use crate::checkout::holds::{self, HoldSet};
use crate::checkout::rows::{ConfirmedRows, PendingRows};
use crate::checkout::transitions::{self, Resumable, SagaLease};
use crate::records::{Order, Saga, SagaStep};
use crate::{order_row, queries, reject};

/// The pause before a provider that did not respond is queried again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Maximum times that an order is priced, while other buyers take the last uses of its automatic promotions.
const MAX_PRICINGS: u32 = 4;

/// One driver's run of a saga.
pub(crate) struct Driver<'a> {
    pub(crate) orders: &'a Orders,
    pub(crate) cx: &'a Cx,
    pub(crate) lease: SagaLease,
    /// The rows of the order, if this driver opened it.
    pub(super) pending: Option<Arc<PendingRows>>,
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
            // Another driver may have begun with the same key.
            if let Ok(Some(other)) = self.undecided(cx).await
                && other != order_id
            {
                return self.present(other).await;
            }
            let again = draft.order.as_deref().is_some_and(|order| holds::is_priced_again(error, order));
            if !again || pricings == MAX_PRICINGS || body.quote_id.is_some() {
                return result;
            }
            pricings += 1;
        }
    }

    /// The order of the request's idempotency key, while its reply is undecided.
    async fn undecided(&self, cx: &Cx) -> Result<Option<OrderId>, Error> {
        let Some(claim) = &cx.claim else { return Ok(None) };
        match self.db.recall(claim).await? {
            Recall::Undecided(order) => Ok(Some(OrderId(order))),
            _ => Ok(None),
        }
    }

    /// The current state of an order whose request is repeated: 402 when its payment was declined, 503 before it
    /// exists.
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

    /// Resumes a saga at its current step; does nothing if there is none to resume.
    pub(crate) async fn resume(&self, cx: &Cx, order_id: OrderId, resumable: Resumable) -> Result<(), Error> {
        let lease_end = transitions::lease_end(cx);
        let take = move |tx: &mut Tx<'_>| transitions::resume(tx, order_id, resumable, lease_end);
        let Some((lease, step)) = self.db.write(cx, take).await? else { return Ok(()) };
        let mut driver = Driver::new(self, cx, lease);
        let result = match step {
            SagaStep::Holding => driver.hold_again().await,
            SagaStep::Paying => driver.pay_again().await,
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

    /// Writes one step of the saga.
    pub(super) async fn step<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Tx<'_>, &SagaLease) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let lease = self.lease.clone();
        self.orders.db.write(self.cx, move |tx| work(tx, &lease)).await
    }

    /// Ends the lease after an error, so that nobody waits for its expiry.
    async fn release_on_error<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        let Err(error) = &result else { return result };
        if error.kind() == Kind::Declined {
            return result;
        }
        if matches!(self.orders.db.read(|tx| transitions::unfinished(tx, &self.lease)).await, Ok(Some(_))) {
            let text = error.to_string();
            if let Err(error) = self.step(move |tx, lease| transitions::release(tx, lease, &text)).await {
                tracing::warn!(order = self.lease.order_id.0, %error, "a saga could not be released; its lease ends soon");
            }
        }
        result
    }

    /// A checkout from its beginning to its reply.
    pub(crate) async fn place(&mut self, draft: &Draft, cart: Option<OrderedCart>) -> Result<OrderView, Error> {
        self.begin(draft, cart).await?;
        self.pay(draft).await
    }

    /// A checkout that has begun, to its reply.
    async fn checkout(&mut self, draft: &Draft) -> Result<OrderView, Error> {
        self.hold_and_open(draft).await?;
        self.pay(draft).await
    }

    /// Continues holding after a crash. Only the cart's owner may learn that the cart has changed, so a checkout of a
    /// cart ends here, before anything was promised; the owner's repeated request begins anew.
    async fn hold_again(&mut self) -> Result<(), Error> {
        let draft = self.draft().await?;
        if self.cart().await?.is_some() {
            return self.give_up(&draft).await;
        }
        match self.checkout(&draft).await {
            Err(error) if error.is_decided() => Ok(()),
            other => other.map(drop),
        }
    }

    async fn give_up(&self, draft: &Draft) -> Result<(), Error> {
        if let Some(order) = &draft.order {
            HoldSet::wanted(order).release(&self.cx.elevated(), self.lease.order_id).await?;
        }
        self.step(transitions::abandon).await
    }

    async fn pay_again(&self) -> Result<(), Error> {
        let draft = self.draft().await?;
        match self.pay(&draft).await {
            Err(error) if error.kind() == Kind::Declined => Ok(()),
            other => other.map(drop),
        }
    }

    /// Takes the payment and continues by its outcome.
    async fn pay(&self, draft: &Draft) -> Result<OrderView, Error> {
        let Some(choice) = &draft.choice else { return self.confirm(None).await };
        let id = self.lease.order_id;
        let (amount, currency, user_id) = if let Some(new) = draft.order.as_deref() {
            (new.priced.totals.total, new.priced.currency, new.user_id)
        } else {
            let order = self.orders.db.read(|tx| order_row::load(tx, id)).await?;
            (order.total, order.currency, order.user_id)
        };
        let take = TakePayment { order_id: id, amount, currency, choice: choice.clone(), user_id };
        let outcome = match self.cx.call(take).await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::warn!(order = id.0, %error, "the outcome of the payment is unknown; asking the \
                     provider again");
                return self.ask_again(None).await;
            }
        };
        self.follow(outcome).await
    }

    async fn follow(&self, outcome: PaymentOutcome) -> Result<OrderView, Error> {
        match outcome.status {
            _ if outcome.undecided => self.ask_again(Some(outcome)).await,
            PaymentStatus::RequiresAction => {
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

    async fn ask_again(&self, outcome: Option<PaymentOutcome>) -> Result<OrderView, Error> {
        self.step(move |tx, lease| transitions::ask_again(tx, lease, outcome.as_ref(), ASK_AGAIN)).await
    }

    /// Empties the cart and confirms the order; the point of no return has passed.
    async fn confirm(&self, outcome: Option<PaymentOutcome>) -> Result<OrderView, Error> {
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
        let view = match self.cart().await? {
            Some(cart) => self.empty_cart_and(cart, confirm).await?,
            None => self.orders.db.write(self.cx, confirm).await?,
        };
        let prepared = prepared.map(|(_, confirmed)| confirmed.answer.clone());
        view.or(prepared).ok_or_else(|| Error::internal("a confirmation without its reply"))
    }

    /// Empties the ordered cart and confirms the order, in one chain.
    async fn empty_cart_and(
        &self,
        cart: OrderedCart,
        confirm: impl Fn(&mut Tx<'_>) -> Result<Option<OrderView>, Error> + Clone + Send + 'static,
    ) -> Result<Option<OrderView>, Error> {
        let (order_id, OrderedCart { id: cart_id, version }) = (self.lease.order_id, cart);
        let mut chain = Chain::default();
        chain.then_call(EmptyCart { cart_id, order_id, version }, |()| None);
        chain.then(self.orders.db.transaction(confirm.clone()));
        let cx = Cx { claim: self.cx.claim.clone(), ..self.cx.elevated() };
        let mut outcomes = chain.run(&cx).await.into_iter();
        match (outcomes.next(), outcomes.next()) {
            (_, Some(Outcome::Done(view))) => Ok(view),
            // The money is taken, so a cart that another order took no longer stops this one.
            (Some(Outcome::Refused(error)), _) if error.kind() == Kind::Conflict => {
                self.orders.db.write(self.cx, confirm).await
            }
            (Some(Outcome::Refused(error)), _) | (_, Some(Outcome::Refused(error))) => Err(error),
            _ => Err(Error::internal("a link was skipped after none was refused")),
        }
    }

    /// The ordered cart, if any.
    async fn cart(&self) -> Result<Option<OrderedCart>, Error> {
        let order_id = self.lease.order_id;
        let saga = self.orders.db.read(|tx| tx.get::<Saga>(&order_id)).await?;
        let cart = saga.and_then(|saga| saga.cart_id.zip(saga.cart_version));
        Ok(cart.map(|(id, version)| OrderedCart { id, version }))
    }

    /// Fails the order because its payment failed, and gives back what it holds.
    async fn fail(&self, outcome: PaymentOutcome, reason: &'static str) -> Result<(), Error> {
        self.step(move |tx, lease| transitions::fail(tx, lease, Some(&outcome), reason)).await?;
        self.compensate().await.map(drop)
    }

    /// Ends a checkout whose buyer did not act in time, unless the payment has succeeded since.
    async fn expire_action(&self) -> Result<(), Error> {
        let outcome = self.cx.call(GetOrderPayment { order_id: self.lease.order_id }).await?;
        match outcome.status {
            PaymentStatus::Captured | PaymentStatus::Authorized => self.confirm(Some(outcome)).await.map(drop),
            _ => self.fail(outcome, "The payment was not confirmed in time.").await,
        }
    }

    async fn draft(&self) -> Result<Draft, Error> {
        self.orders.db.read(|tx| transitions::leased(tx, &self.lease)?.draft.open()).await
    }
}
