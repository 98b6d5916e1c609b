//! Confirmations, captures and voids that staff or the buyer ask for.

use promox_contract::audit::Audited;
use promox_contract::ids::PaymentId;
use promox_contract::order::CancelVoidedOrder;
use promox_contract::payment::PaymentStatus;
use promox_kernel::{Cx, Error};
use promox_storage::Tx;

use crate::api::PaymentView;
use crate::charge::Charge;
use crate::charging::apply_update;
use crate::gateway::CaptureRequest;
use crate::records::Payment;
use crate::rules::{self, ProviderUpdate};
use crate::{Payments, queries, reject};

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

    /// Continues a payment for which the buyer has acted. Returns it as it then is.
    pub(crate) async fn confirm(&self, cx: &Cx, payment: Payment) -> Result<PaymentView, Error> {
        let (id, gateway, charge) = (payment.id, self.charging(payment.provider)?, Charge::of(&payment));
        let answer = self.ask(cx, id, gateway.resume(&cx.node, &charge)).await?.ok_or_else(reject::no_answer)?;
        let update = answer.update();
        if rules::next(payment.status, &update).is_none() {
            let now = self.db.read(|tx| queries::payment(tx, id)).await?;
            return Ok(self.db.read(|tx| queries::view(tx, now.clone())).await?);
        }
        let view = self.answer_update(cx, "payment.confirm", payment, update, |_| Ok(())).await?;
        let now = self.db.read(|tx| queries::payment(tx, id)).await?;
        self.refund_late_capture(cx, now).await?;
        Ok(view)
    }

    /// Captures what is due of a payment. If the provider has cancelled the charge meanwhile, that is recorded and the
    /// capture refused.
    pub(crate) async fn capture(&self, cx: &Cx, payment: Payment) -> Result<PaymentView, Error> {
        let (id, gateway, charge) = (payment.id, self.gateways.of(payment.provider)?, Charge::of(&payment));
        let request = CaptureRequest { key: charge.key.clone(), amount: charge.amount, charge };
        let answer = self.ask(cx, id, gateway.capture(&cx.node, &request)).await?.ok_or_else(reject::no_answer)?;
        let update = answer.update();
        match update {
            ProviderUpdate::Captured { .. } => {
                self.answer_update(cx, "payment.capture", payment, update, Payment::check_capture).await
            }
            ProviderUpdate::Voided => {
                let now = self.db.write(cx, move |tx| apply_update(tx, id, &update)).await?;
                Err(reject::transition(now.status, PaymentStatus::Captured))
            }
            _ => Err(reject::no_answer()),
        }
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
