//! Captures and voids that staff or the buyer ask for.

use promox_contract::audit::Audited;
use promox_contract::ids::PaymentId;
use promox_contract::order::CancelVoidedOrder;
use promox_contract::payment::PaymentStatus;
use promox_kernel::{Cx, Error};
use promox_storage::Tx;

use crate::api::PaymentView;
use crate::charging::apply_update;
use crate::records::Payment;
use crate::rules::ProviderUpdate;
use crate::{Payments, queries};

/// The reason recorded when an administrator voids a payment.
const VOID_REASON: &str = "voided manually";

impl Payments {
    /// Applies a provider's update in one transaction with its audit entry and the stored reply.
    pub(crate) async fn answer_update(
        &self,
        cx: &Cx,
        action: &'static str,
        before: Payment,
        update: ProviderUpdate,
        check: fn(&Payment) -> Result<(), Error>,
    ) -> Result<PaymentView, Error> {
        let actor = cx.principal.name();
        let (id, was) = (before.id, before.status);
        let work = move |tx: &mut Tx<'_>| {
            check(&queries::payment(tx, id)?)?;
            let payment = apply_update(tx, id, &update)?;
            let entry = Audited::new(actor.clone(), action, format!("payment:{id}"), was, payment.status);
            tx.emit(id, &entry)?;
            Ok(queries::view(tx, payment)?)
        };
        self.db.answer(cx, work).await
    }

    /// Voids a payment, by cancelling its order while that is possible. A provider that does not answer leaves it waiting.
    pub(crate) async fn void_manually(&self, cx: &Cx, id: PaymentId) -> Result<PaymentView, Error> {
        let before = self.db.read(|tx| queries::payment(tx, id)).await?;
        if before.status != PaymentStatus::Voided {
            before.check_void()?;
            let (order_id, actor) = (before.order_id, cx.principal.name());
            let cancel = CancelVoidedOrder { order_id, reason: VOID_REASON.to_owned(), actor };
            if !cx.elevated().call(cancel).await?.cancelled {
                self.void(cx, &before).await?;
            }
        }
        let now = self.db.read(|tx| queries::payment(tx, id)).await?;
        if now.check_void().is_ok() {
            let mut view = self.db.read(|tx| queries::view(tx, now.clone())).await?;
            view.waiting = true;
            return Ok(view);
        }
        let (actor, was) = (cx.principal.name(), before.status);
        let work = move |tx: &mut Tx<'_>| {
            let payment = queries::payment(tx, id)?;
            if was != payment.status {
                let subject = format!("payment:{id}");
                tx.emit(id, &Audited::new(actor.clone(), "payment.void", subject, was, payment.status))?;
            }
            Ok(queries::view(tx, payment)?)
        };
        self.db.answer(cx, work).await
    }
}
