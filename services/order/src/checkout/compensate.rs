//! Compensates a checkout in reverse order: first the payment, then the holds. Each step can be repeated, and a failed
//! compensation is retried until it succeeds.

use promox_contract::payment::{CancelPayment, GetOrderPayment};
use promox_kernel::{Error, Kind};

use crate::api::OrderView;
use crate::checkout::Driver;
use crate::checkout::holds::HoldSet;
use crate::checkout::transitions;
use crate::{order_row, queries};

impl Driver<'_> {
    /// Refunds the order's payment and releases its holds. A failure is not returned as an error: it schedules a retry.
    pub(crate) async fn compensate(&self) -> Result<OrderView, Error> {
        match self.undo().await {
            Ok(view) => Ok(view),
            Err(error) => {
                let id = self.lease.order_id;
                tracing::warn!(order = id.0, %error, "a compensation failed and will be retried");
                let text = error.to_string();
                self.step(move |tx, lease| transitions::compensate_later(tx, lease, &text)).await?;
                self.orders.db.read(|tx| queries::view(tx, order_row::load(tx, id)?)).await
            }
        }
    }

    /// Makes one attempt to refund the payment and release the holds, and ends the saga.
    async fn undo(&self) -> Result<OrderView, Error> {
        let order_id = self.lease.order_id;
        let saga = self.orders.db.read(|tx| transitions::leased(tx, &self.lease)).await?;
        let reason = saga.draft.decode()?.undo.map(|undo| undo.reason).unwrap_or_default();
        let cx = self.cx.elevated();
        cx.call(CancelPayment { order_id, reason }).await?;
        let read = |tx: &promox_storage::Tx<'_>| {
            let order = order_row::load(tx, order_id)?;
            Ok::<_, Error>(HoldSet::of(&order, &queries::items(tx, order_id)?))
        };
        self.orders.db.read(read).await?.release(&cx, order_id).await?;
        let paid = match cx.call(GetOrderPayment { order_id }).await {
            Ok(paid) => Some(paid),
            Err(error) if error.kind() == Kind::NotFound => None,
            Err(error) => return Err(error),
        };
        self.step(move |tx, lease| transitions::compensated(tx, lease, paid.as_ref())).await
    }
}
