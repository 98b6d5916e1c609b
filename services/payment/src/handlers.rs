//! Handlers: authorise, then one read, one write, or a call to a provider between two of them.

use promox_contract::audit::Audited;
use promox_contract::order::{CancelVoidedOrder, CheckOrderAccess, GetOrderStatus, OrderStatus};
use promox_contract::payment::{
    CancelPayment, CheckPaymentChoice, GetOrderPayment, PaymentOutcome, PaymentStatus, ReturnSettlement, SettleReturn,
    TakePayment,
};
use promox_contract::store::{EnabledMethods, ListEnabledPaymentMethods};
use promox_contract::user::{ExportPayments, PersonalData};
use promox_kernel::{Cx, Error, Handle, Kind, Page, multiline};
use promox_storage::{Recall, Transact, Transaction, Tx};

use crate::api::{
    CapturePayment, ConfirmPayment, CreateRefund, GetPayment, ListMethods, ListPayments, MethodView, PaymentView,
    ReceiveWebhook, VoidPayment,
};
use crate::charging;
use crate::commands::charge::{self, PaymentRequest};
use crate::commands::refund::{self, ReturnRefund};
use crate::records::{Payment, Provider};
use crate::reject;
use crate::rules::{self, ProviderUpdate};
use crate::{Payments, queries, webhooks};

/// The reason recorded when an administrator voids a payment.
const VOID_REASON: &str = "voided manually";

impl Payments {
    /// Refuses callers who neither have the permission nor own the order with 404, so that ids cannot be probed.
    async fn authorise(&self, cx: &Cx, payment: &Payment, permission: &str) -> Result<(), Error> {
        let user = cx.principal.user();
        if cx.principal.allows(permission) || (user.is_some() && user == payment.user_id) {
            return Ok(());
        }
        let owns = cx.call(CheckOrderAccess { order_id: payment.order_id }).await;
        owns.map_err(|error| if error.kind() == Kind::NotFound { Error::not_found("payment") } else { error })
    }

    /// Applies a provider's update in one transaction with its audit entry and the stored reply.
    async fn answer_update(
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
            let payment = charging::apply_update(tx, id, &update)?;
            let entry = Audited::new(actor.clone(), action, format!("payment:{id}"), was, payment.status);
            tx.emit(id, &entry)?;
            Ok(queries::view(tx, payment)?)
        };
        self.db.answer(cx, work).await
    }
}

impl Handle<ListPayments> for Payments {
    async fn handle(&self, cx: &Cx, op: ListPayments) -> Result<Page<PaymentView>, Error> {
        let all = cx.principal.allows("payment:read");
        if let Some(order_id) = op.order_id {
            if !all {
                cx.call(CheckOrderAccess { order_id }).await?;
            }
            return self.db.read(|tx| queries::page_of_order(tx, order_id)).await;
        }
        match cx.principal.user() {
            _ if all => self.db.read(|tx| queries::all(tx, op.limit, op.cursor.clone())).await,
            Some(user) => self.db.read(|tx| queries::of_user(tx, user, op.limit, op.cursor.clone())).await,
            None => Err(Error::field("?orderId", "name the order that the token belongs to")),
        }
    }
}

impl Handle<GetPayment> for Payments {
    async fn handle(&self, cx: &Cx, op: GetPayment) -> Result<PaymentView, Error> {
        let payment = self.db.read(|tx| queries::payment(tx, op.id)).await?;
        self.authorise(cx, &payment, "payment:read").await?;
        Ok(self.db.read(|tx| queries::view(tx, payment.clone())).await?)
    }
}

impl Handle<ListMethods> for Payments {
    async fn handle(&self, cx: &Cx, _op: ListMethods) -> Result<Page<MethodView>, Error> {
        let EnabledMethods { methods } = cx.call(ListEnabledPaymentMethods {}).await?;
        Ok(queries::methods(&methods, self.settings.sandbox))
    }
}

impl Handle<ConfirmPayment> for Payments {
    async fn handle(&self, cx: &Cx, op: ConfirmPayment) -> Result<PaymentView, Error> {
        let payment = self.db.read(|tx| queries::payment(tx, op.id)).await?;
        self.authorise(cx, &payment, "payment:write").await?;
        if payment.status == PaymentStatus::Captured {
            return Ok(self.db.read(|tx| queries::view(tx, payment.clone())).await?);
        }
        payment.check_confirm()?;
        self.check_sandbox(payment.provider)?;
        let key = rules::charge_key(payment.order_id);
        let call = self.gateways.of(payment.provider).confirm(&cx.node.clock, &key);
        let reference = self.within_limit(cx, call).await.ok_or_else(reject::no_answer)?;
        let update = ProviderUpdate::Captured { reference };
        let view = self.answer_update(cx, "payment.confirm", payment, update, |_| Ok(())).await?;
        let now = self.db.read(|tx| queries::payment(tx, op.id)).await?;
        self.refund_late_capture(cx, now).await?;
        Ok(view)
    }
}

impl Handle<CapturePayment> for Payments {
    async fn handle(&self, cx: &Cx, op: CapturePayment) -> Result<PaymentView, Error> {
        let payment = self.db.read(|tx| queries::payment(tx, op.id)).await?;
        payment.check_capture()?;
        let order = cx.call(GetOrderStatus { order_id: payment.order_id }).await?;
        if order.status == OrderStatus::Pending {
            return Err(reject::in_checkout());
        }
        let key = rules::charge_key(payment.order_id);
        let call = self.gateways.of(payment.provider).capture(&cx.node.clock, &key);
        let reference = self.within_limit(cx, call).await.ok_or_else(reject::no_answer)?;
        let update = ProviderUpdate::Captured { reference };
        self.answer_update(cx, "payment.capture", payment, update, Payment::check_capture).await
    }
}

impl Handle<VoidPayment> for Payments {
    async fn handle(&self, cx: &Cx, op: VoidPayment) -> Result<PaymentView, Error> {
        let before = self.db.read(|tx| queries::payment(tx, op.id)).await?;
        if before.status != PaymentStatus::Voided {
            before.check_void()?;
            let (order_id, actor) = (before.order_id, cx.principal.name());
            let cancel = CancelVoidedOrder { order_id, reason: VOID_REASON.to_owned(), actor };
            if !cx.elevated().call(cancel).await?.cancelled {
                self.void(cx, &before).await?;
            }
        }
        let now = self.db.read(|tx| queries::payment(tx, op.id)).await?;
        if now.check_void().is_ok() {
            let mut view = self.db.read(|tx| queries::view(tx, now.clone())).await?;
            view.waiting = true;
            return Ok(view);
        }
        let (actor, was) = (cx.principal.name(), before.status);
        let work = move |tx: &mut Tx<'_>| {
            let payment = queries::payment(tx, op.id)?;
            if was != payment.status {
                let subject = format!("payment:{}", op.id);
                tx.emit(op.id, &Audited::new(actor.clone(), "payment.void", subject, was, payment.status))?;
            }
            Ok(queries::view(tx, payment)?)
        };
        self.db.answer(cx, work).await
    }
}

impl Handle<CreateRefund> for Payments {
    async fn handle(&self, cx: &Cx, op: CreateRefund) -> Result<PaymentView, Error> {
        let refund = self.open_refund(cx, op).await?;
        let Some(reference) = self.request_refund(cx, refund).await? else {
            let payment = self.postpone(cx, refund).await?.payment;
            let mut view = self.db.read(|tx| queries::view(tx, payment.clone())).await?;
            view.waiting = true;
            return Ok(view);
        };
        let work = move |tx: &mut Tx<'_>| {
            let payment = refund::settle(tx, refund, &reference)?;
            Ok(queries::view(tx, payment)?)
        };
        self.db.answer(cx, work).await
    }
}

impl Payments {
    /// Claims the amount and the idempotency key in one transaction. Returns the refund's id; a repeated request gets
    /// the same refund.
    async fn open_refund(&self, cx: &Cx, op: CreateRefund) -> Result<i64, Error> {
        let reason = multiline(&op.reason, 1, 200).map_err(|fault| Error::field("/reason", fault))?;
        let (claim, actor) = (cx.claim.clone(), cx.principal.name());
        let work = move |tx: &mut Tx<'_>| {
            if let Some(claim) = &claim
                && let Recall::Undecided(refund) = tx.recall(claim)?
            {
                return Ok(refund);
            }
            let refund = refund::request(tx, op.id, op.amount, &reason)?;
            if let Some(claim) = &claim {
                tx.claim(claim, refund)?;
            }
            let entry = Audited::new(actor.clone(), "payment.refund", format!("payment:{}", op.id), (), refund);
            tx.emit(op.id, &entry)?;
            Ok::<_, Error>(refund)
        };
        self.db.write(cx, work).await
    }
}

impl Handle<ReceiveWebhook> for Payments {
    async fn handle(&self, cx: &Cx, op: ReceiveWebhook) -> Result<(), Error> {
        let secret = &self.settings.sandbox_webhook_secret;
        if op.provider != Provider::Sandbox.as_str() || secret.is_empty() || !self.settings.sandbox {
            return Err(Error::not_found("provider of webhooks"));
        }
        let webhook = webhooks::read(Provider::Sandbox, secret, op.body, cx.now).await?;
        let changed = self.db.write(cx, move |tx| charge::process_webhook(tx, &webhook)).await?;
        match changed {
            Some(payment) => self.refund_late_capture(cx, payment).await.map(drop),
            None => Ok(()),
        }
    }
}

impl Handle<CheckPaymentChoice> for Payments {
    async fn handle(&self, cx: &Cx, op: CheckPaymentChoice) -> Result<(), Error> {
        let choice = rules::choose(&op.choice)?;
        let EnabledMethods { methods } = cx.call(ListEnabledPaymentMethods {}).await?;
        rules::check_available(&choice, &methods, self.settings.sandbox)
    }
}

impl Transact<TakePayment> for Payments {
    async fn transaction(&self, cx: &Cx, op: TakePayment) -> Result<Transaction<PaymentOutcome>, Error> {
        let request = PaymentRequest {
            order_id: op.order_id,
            user_id: op.user_id,
            amount: rules::money(op.amount, op.currency)?,
            currency: op.currency,
            choice: rules::choose(&op.choice)?,
        };
        self.take(cx, request).await
    }
}

impl Handle<GetOrderPayment> for Payments {
    async fn handle(&self, _cx: &Cx, op: GetOrderPayment) -> Result<PaymentOutcome, Error> {
        let payment = self.db.read(|tx| queries::of_order(tx, op.order_id)).await?;
        payment.as_ref().map(queries::outcome).ok_or_else(|| Error::not_found("payment"))
    }
}

impl Handle<CancelPayment> for Payments {
    async fn handle(&self, cx: &Cx, op: CancelPayment) -> Result<(), Error> {
        self.cancel(cx, op.order_id, op.reason).await
    }
}

impl Handle<SettleReturn> for Payments {
    async fn handle(&self, cx: &Cx, op: SettleReturn) -> Result<ReturnSettlement, Error> {
        let SettleReturn { order_id, return_id, amount, fee, whole, reason } = op;
        self.settle_return(cx, ReturnRefund { order_id, return_id, amount, fee, whole, reason }).await
    }
}

impl Handle<ExportPayments> for Payments {
    async fn handle(&self, _cx: &Cx, op: ExportPayments) -> Result<PersonalData, Error> {
        let own = self.db.read(|tx| queries::export(tx, op.user_id)).await?;
        serde_json::to_value(own).map(PersonalData).map_err(Error::internal)
    }
}
