//! Undoing, in reverse: the money first, then the stock. Every step may be asked again; one that fails is tried for ever.

use promox_contract::ids::OrderId;
use promox_contract::payment::{CancelPayment, PaymentOfOrder};
use promox_kernel::{Error, Kind};
use promox_storage::Tx;

use crate::api::OrderView;
use crate::checkout::hold::{self, Kept};
use crate::checkout::{Driver, steps};
use crate::queries;

impl Driver<'_> {
    /// Gives back what the saga took; what does not work now is tried later.
    pub(crate) async fn undo(&self) -> Result<OrderView, Error> {
        match self.give_back().await {
            Ok(view) => Ok(view),
            Err(error) => {
                tracing::warn!(order = self.held.order_id.0, %error, "an undo did not work; it is tried again");
                let (held, text) = (self.held.clone(), error.to_string());
                self.orders.db.write(self.cx, move |tx| steps::undo_later(tx, &held, &text)).await?;
                let id = self.held.order_id;
                self.orders.db.read(|tx| queries::view(tx, steps::order(tx, id)?)).await
            }
        }
    }

    async fn give_back(&self) -> Result<OrderView, Error> {
        let (order_id, held) = (self.held.order_id, self.held.clone());
        let saga = self.orders.db.read(|tx| steps::held(tx, &held)).await?;
        let reason = saga.draft.open()?.undo.map(|undo| undo.reason).unwrap_or_default();
        let cx = self.cx.elevated();
        cx.call(CancelPayment { order_id, reason }).await?;
        let kept = self.orders.db.read(|tx| kept(tx, order_id)).await?;
        hold::let_go(&cx, order_id, kept, true).await?;
        let paid = match cx.call(PaymentOfOrder { order_id }).await {
            Ok(paid) => Some(paid),
            Err(error) if error.kind() == Kind::NotFound => None,
            Err(error) => return Err(error),
        };
        self.orders.db.write(self.cx, move |tx| steps::undone(tx, &held, paid.as_ref())).await
    }
}

fn kept(tx: &Tx<'_>, id: OrderId) -> Result<Kept, Error> {
    let order = steps::order(tx, id)?;
    Ok(Kept::of(&order, &queries::items(tx, id)?))
}
