//! The first chain of a checkout: it begins the saga, takes the holds and opens the PENDING order.

use std::sync::Arc;

use promox_contract::cart::CheckCart;
use promox_kernel::{EncodedJson, Error};
use promox_storage::{Chain, Outcome, Transaction, Tx};

use crate::checkout::Driver;
use crate::checkout::draft::{Draft, OrderedCart};
use crate::checkout::holds::HoldSet;
use crate::checkout::rows::PendingRows;
use crate::checkout::transitions;
use crate::commands::erasure;

impl Driver<'_> {
    /// Begins a checkout, checks the ordered cart, takes the holds and opens the order. The cart is checked after the
    /// saga has begun, because from then on no other checkout of the cart can begin.
    pub(super) async fn begin(&mut self, draft: &Draft, cart: Option<OrderedCart>) -> Result<(), Error> {
        let mut chain = Chain::default();
        chain.then(self.beginning(draft, cart)?);
        if let Some(OrderedCart { id: cart_id, version }) = cart {
            chain.then_call(CheckCart { cart_id, version }, drop);
        }
        self.run(draft, chain, true).await
    }

    /// Takes the holds and opens the order of a checkout that an earlier driver has begun.
    pub(super) async fn hold_and_open(&mut self, draft: &Draft) -> Result<(), Error> {
        self.run(draft, Chain::default(), false).await
    }

    /// The transaction that begins a checkout.
    fn beginning(&self, draft: &Draft, cart: Option<OrderedCart>) -> Result<Transaction<()>, Error> {
        let (sealed, claim, order_id) = (EncodedJson::encode(draft)?, self.cx.claim.clone(), self.lease.order_id);
        let (buyer, lease_end) = (self.cx.principal.user(), transitions::lease_end(self.cx));
        Ok(self.orders.db.transaction(move |tx: &mut Tx<'_>| {
            erasure::refuse_leaving(tx, buyer)?;
            transitions::begin(tx, order_id, &sealed, claim.as_deref(), cart, lease_end)
        }))
    }

    /// Appends the holds and the opening of the order to a chain, and runs it. After a refusal by the cart or a hold,
    /// the holds are released and the saga is removed. If the release fails, the saga stays and is resumed.
    async fn run(&mut self, draft: &Draft, mut chain: Chain<()>, begins: bool) -> Result<(), Error> {
        let Some(order) = &draft.order else { return Err(Error::internal("a saga without its order")) };
        let order_id = self.lease.order_id;
        let pending = Arc::new(PendingRows::of(draft, order_id, self.cx.now)?);
        let (first_hold, needed) = (chain.links(), HoldSet::needed_by(order));
        needed.append(&mut chain, order_id, order)?;
        let opening = chain.links();
        let (lease, rows) = (self.lease.clone(), pending.clone());
        chain.then(self.orders.db.transaction(move |tx| transitions::open(tx, &lease, &rows)));
        let outcomes = chain.run(self.cx).await;
        let refused = (0..).zip(&outcomes).find_map(|(link, outcome)| match outcome {
            Outcome::Refused(error) => Some((link, error.clone())),
            _ => None,
        });
        let Some((link, refusal)) = refused else {
            self.pending = Some(pending);
            return Ok(());
        };
        if link == opening || (begins && link == 0) {
            return Err(refusal);
        }
        let holds = outcomes.get(first_hold..opening).unwrap_or_default();
        needed.may_be_held(holds, !begins).release(&self.cx.elevated(), order_id).await?;
        self.step(transitions::abandon).await?;
        Err(refusal)
    }
}
