//! Drives a saga from the step it stands at to its end, or to where it has to wait.

use std::sync::Arc;
use std::time::Duration;

use promox_contract::cart::{CartForCheckout, EmptyCart};
use promox_contract::ids::OrderId;
use promox_contract::order::OrderStatus;
use promox_contract::payment::{PaymentOutcome, PaymentStatus, TakePayment};
use promox_kernel::{Cx, Error, Kind, Reply as _, Response, Sealed};
use promox_storage::{Recall, Tx};

use crate::Orders;
use crate::api::{OrderView, PlaceOrder};
use crate::checkout::steps::{self, Begun, Held, TakeUp};
use crate::checkout::{Confirmation, Draft, Opening, OrderedCart, hold};
use crate::commands::leaving;
use crate::queries;
use crate::records::{Order, Saga, SagaStep};
use crate::reject;

/// The pause before a silent provider is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How often an order is priced when others take the last of an automatic promotion meanwhile.
const PRICED_AGAIN: u32 = 4;

/// The answer that the deciding transaction kept is the one that is given.
fn answered(cx: &Cx, result: Result<OrderView, Error>) -> Result<OrderView, Error> {
    if let (Some(claim), Ok(view)) = (&cx.claim, &result)
        && !view.undecided
        && claim.recorded.get().is_none()
        && let Some(response) = view.kept(claim.status)?
    {
        let _ = claim.recorded.set(response);
    }
    result
}

/// The saga was decided between the edge's look at the key and ours: what it recorded is the answer, whatever is returned.
fn already(cx: &Cx, response: Response) -> Result<OrderView, Error> {
    if let Some(claim) = &cx.claim {
        let _ = claim.recorded.set(response);
    }
    Err(reject::in_progress())
}

/// One run of a saga by one driver.
pub(crate) struct Driver<'a> {
    pub(crate) orders: &'a Orders,
    pub(crate) cx: &'a Cx,
    pub(crate) held: Held,
    /// What this driver itself has opened.
    opened: Option<Arc<Opening>>,
}

impl Orders {
    /// Checks out.
    pub(crate) async fn place(&self, cx: &Cx, body: PlaceOrder) -> Result<OrderView, Error> {
        if let Some(claim) = &cx.claim {
            match self.db.recall(claim).await? {
                Recall::Undecided(order) => return self.present(OrderId(order)).await,
                Recall::Decided(response) => return already(cx, response),
                Recall::New | Recall::OtherRequest => {}
            }
        }
        let mut tries = 1;
        loop {
            let (draft, cart) = self.prepare(cx, &body).await?;
            let (sealed, claim) = (Sealed::of(&draft)?, cx.claim.clone());
            let (buyer, until) = (cx.principal.user(), steps::lease(cx));
            let begin = move |tx: &mut Tx<'_>| {
                leaving::refuse(tx, buyer)?;
                steps::begin(tx, &sealed, claim.as_deref(), cart, until)
            };
            let begun = self.db.write(cx, begin).await?;
            let held = match begun {
                Begun::Claimed(order) => return self.present(order).await,
                Begun::Decided(response) => return already(cx, response),
                Begun::New(held) => held,
            };
            let mut driver = Driver::new(self, cx, held);
            let result = match driver.check_cart(cart).await {
                Ok(()) => driver.checkout(&draft).await,
                Err(error) => Err(error),
            };
            let result = driver.let_go_on_error(result).await;
            let lost = |error: &Error| draft.order.as_deref().is_some_and(|order| hold::lost_automatic(error, order));
            match result {
                Err(error) if tries < PRICED_AGAIN && body.quote_id.is_none() && lost(&error) => tries += 1,
                result => return answered(cx, result),
            }
        }
    }

    /// What has become of an order whose request comes again.
    pub(crate) async fn present(&self, id: OrderId) -> Result<OrderView, Error> {
        self.db
            .read(|tx| {
                let Some(order) = tx.get::<Order>(&id)? else {
                    return Err(Error::unavailable("CHECKOUT_IN_PROGRESS", "The checkout is still running.", 1));
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

    /// Takes a saga up where it stands.
    pub(crate) async fn take_up(&self, cx: &Cx, order_id: OrderId, which: TakeUp) -> Result<(), Error> {
        let until = steps::lease(cx);
        let Some((held, step)) = self.db.write(cx, move |tx| steps::take_up(tx, order_id, which, until)).await? else {
            return Ok(());
        };
        let mut driver = Driver::new(self, cx, held);
        let result = match step {
            SagaStep::Holding => driver.hold_again().await,
            SagaStep::Paying | SagaStep::Confirming => driver.pay_again().await,
            SagaStep::AwaitingAction => driver.give_up_waiting().await,
            SagaStep::Undoing => driver.undo().await.map(drop),
        };
        driver.let_go_on_error(result).await
    }
}

impl<'a> Driver<'a> {
    pub(crate) fn new(orders: &'a Orders, cx: &'a Cx, held: Held) -> Self {
        Self { orders, cx, held, opened: None }
    }

    /// Hands a saga on that an error left standing, so that nobody waits for the end of this driver's lease.
    async fn let_go_on_error<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        let Err(error) = &result else { return result };
        if error.kind() == Kind::Declined {
            return result;
        }
        let (held, db) = (&self.held, &self.orders.db);
        if matches!(db.read(|tx| steps::left_standing(tx, held)).await, Ok(Some(_))) {
            let (held, text) = (held.clone(), error.to_string());
            if let Err(error) = db.write(self.cx, move |tx| steps::hand_over(tx, &held, &text)).await {
                tracing::warn!(order = self.held.order_id.0, %error, "a saga could not be handed on; its lease ends soon");
            }
        }
        result
    }

    async fn checkout(&mut self, draft: &Draft) -> Result<OrderView, Error> {
        self.hold(draft).await?;
        let opening = Arc::new(Opening::of(draft, self.held.order_id, self.cx.now)?);
        let (held, opened) = (self.held.clone(), opening.clone());
        self.orders.db.write(self.cx, move |tx| steps::open_order(tx, &held, &opened)).await?;
        self.opened = Some(opening);
        self.pay(draft).await
    }

    /// The cart is this saga's now; what was read of it before must still be what is in it.
    async fn check_cart(&self, cart: Option<OrderedCart>) -> Result<(), Error> {
        let Some(cart) = cart else { return Ok(()) };
        let now = self.cx.call(CartForCheckout {}).await;
        if now.as_ref().is_ok_and(|now| now.cart_id == cart.id && now.version == cart.version) {
            return Ok(());
        }
        let held = self.held.clone();
        self.orders.db.write(self.cx, move |tx| steps::abandon(tx, &held)).await?;
        now?;
        Err(Error::conflict("CART_CHANGED", "The cart changed while it was being ordered; look at it and order again."))
    }

    /// Holds everything at once; a refusal leaves no order. While something may still be held the saga stays, and goes on.
    async fn hold(&self, draft: &Draft) -> Result<(), Error> {
        let Some(order) = &draft.order else { return Ok(()) };
        let Err(error) = hold::hold_all(self.cx, self.held.order_id, order).await? else { return Ok(()) };
        let held = self.held.clone();
        self.orders.db.write(self.cx, move |tx| steps::abandon(tx, &held)).await?;
        Err(error)
    }

    /// Goes on holding after a crash. Whether a cart still is what was read of it only its holder can ask, so its checkout
    /// ends here, before anything was promised, and the holder's request, when it comes again, begins anew.
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
            hold::let_go_of_wanted(&self.cx.elevated(), self.held.order_id, order).await?;
        }
        let held = self.held.clone();
        self.orders.db.write(self.cx, move |tx| steps::abandon(tx, &held)).await
    }

    async fn pay_again(&self) -> Result<(), Error> {
        let draft = self.draft().await?;
        match self.pay(&draft).await {
            Err(error) if error.kind() == Kind::Declined => Ok(()),
            other => other.map(drop),
        }
    }

    /// Takes the payment and goes where its outcome leads.
    async fn pay(&self, draft: &Draft) -> Result<OrderView, Error> {
        let Some(choice) = &draft.choice else { return self.confirm(None).await };
        let id = self.held.order_id;
        let (amount, currency, user_id) = if let Some(new) = draft.order.as_deref() {
            (new.priced.totals.total, new.priced.currency, new.user_id)
        } else {
            let order = self.orders.db.read(|tx| steps::order(tx, id)).await?;
            (order.total, order.currency, order.user_id)
        };
        let take = TakePayment { order_id: id, amount, currency, choice: choice.clone(), user_id };
        let outcome = match self.cx.call(take).await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::warn!(order = id.0, %error, "the payment's outcome is unknown; it is asked for again");
                return self.ask_again(None).await;
            }
        };
        self.follow(outcome).await
    }

    async fn follow(&self, outcome: PaymentOutcome) -> Result<OrderView, Error> {
        match outcome.status {
            _ if outcome.undecided => self.ask_again(Some(outcome)).await,
            PaymentStatus::RequiresAction => {
                let held = self.held.clone();
                let awaited = self.orders.db.write(self.cx, move |tx| steps::await_action(tx, &held, &outcome));
                awaited.await
            }
            PaymentStatus::Failed | PaymentStatus::Voided => {
                self.decline(Some(outcome), "The payment was declined.").await
            }
            _ => self.confirm(Some(outcome)).await,
        }
    }

    async fn ask_again(&self, outcome: Option<PaymentOutcome>) -> Result<OrderView, Error> {
        let held = self.held.clone();
        self.orders.db.write(self.cx, move |tx| steps::ask_again(tx, &held, outcome.as_ref(), ASK_AGAIN)).await
    }

    /// The point of no return is passed: the cart is emptied, the order confirmed.
    async fn confirm(&self, outcome: Option<PaymentOutcome>) -> Result<OrderView, Error> {
        self.empty_cart().await?;
        if let Some(opening) = &self.opened
            && let Some(view) = self.confirm_opened(opening.clone(), outcome.as_ref()).await?
        {
            return Ok(view);
        }
        let held = self.held.clone();
        self.orders.db.write(self.cx, move |tx| steps::confirm(tx, &held, outcome.as_ref())).await
    }

    /// Confirms the order as this driver has opened it, unless somebody else has changed it since.
    async fn confirm_opened(
        &self,
        opening: Arc<Opening>,
        outcome: Option<&PaymentOutcome>,
    ) -> Result<Option<OrderView>, Error> {
        let ready = Arc::new(Confirmation::of(&opening, outcome, self.cx.now)?);
        let (held, writing) = (self.held.clone(), ready.clone());
        let write = self.orders.db.write(self.cx, move |tx| steps::confirm_opened(tx, &held, &opening, &writing));
        if !write.await? {
            return Ok(None);
        }
        let kept = ready.kept.as_ref().and_then(|(_, response)| response.copy());
        if let Some((claim, response)) = self.cx.claim.as_ref().zip(kept) {
            let _ = claim.recorded.set(response);
        }
        Ok(Some(ready.answer.clone()))
    }

    /// The state of the cart that is ordered, if one is.
    async fn cart(&self) -> Result<Option<OrderedCart>, Error> {
        let order_id = self.held.order_id;
        let saga = self.orders.db.read(|tx| tx.get::<Saga>(&order_id)).await?;
        let cart = saga.and_then(|saga| saga.cart_id.zip(saga.cart_version));
        Ok(cart.map(|(id, version)| OrderedCart { id, version }))
    }

    async fn empty_cart(&self) -> Result<(), Error> {
        let order_id = self.held.order_id;
        let Some(OrderedCart { id: cart_id, version }) = self.cart().await? else { return Ok(()) };
        match self.cx.elevated().call(EmptyCart { cart_id, order_id, version }).await {
            // The money is taken: a cart that went another way cannot stop the order any more.
            Err(error) if error.kind() == Kind::Conflict => Ok(()),
            other => other,
        }
    }

    async fn decline(&self, outcome: Option<PaymentOutcome>, reason: &'static str) -> Result<OrderView, Error> {
        let held = self.held.clone();
        let code = outcome.as_ref().and_then(|outcome| outcome.decline_code.clone());
        self.orders.db.write(self.cx, move |tx| steps::fail(tx, &held, outcome.as_ref(), reason)).await?;
        self.undo().await?;
        Err(reject::declined(self.held.order_id, code.as_deref()))
    }

    /// The buyer's time is over, unless the money has come in the meantime.
    async fn give_up_waiting(&self) -> Result<(), Error> {
        let asked = promox_contract::payment::PaymentOfOrder { order_id: self.held.order_id };
        let outcome = self.cx.call(asked).await?;
        match outcome.status {
            PaymentStatus::Captured | PaymentStatus::Authorized => self.confirm(Some(outcome)).await.map(drop),
            _ => match self.decline(Some(outcome), "The payment was not confirmed in time.").await {
                Err(error) if error.kind() == Kind::Declined => Ok(()),
                other => other.map(drop),
            },
        }
    }

    async fn draft(&self) -> Result<Draft, Error> {
        let held = self.held.clone();
        self.orders.db.read(|tx| steps::held(tx, &held)?.draft.open()).await
    }
}
