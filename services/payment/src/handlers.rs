//! Handlers: authorise, then one read, one write, or a call to a provider between two of them.

use promox_contract::order::{CheckOrderAccess, GetOrderStatus, OrderStatus};
use promox_contract::payment::{
    CancelPayment, CheckPaymentChoice, GetOrderPayment, PaymentOutcome, PaymentStatus, ReturnSettlement, SettleReturn,
    TakePayment,
};
use promox_contract::store::{EnabledMethods, ListEnabledPaymentMethods};
use promox_contract::user::{ExportPayments, PersonalData};
use promox_kernel::{Cx, Error, Handle, Page};
use promox_storage::{Transact, Transaction, Tx};

use crate::api::{
    CapturePayment, ConfirmPayment, CreateRefund, GetPayment, ListMethods, ListPayments, MethodView, PaymentView,
    ReceiveWebhook, VoidPayment,
};
use crate::commands::charge::{self, PaymentRequest};
use crate::commands::refund::{self, ReturnRefund};
use crate::records::{Payment, Provider};
use crate::rules::{self, ProviderUpdate};
use crate::{Payments, queries, reject, webhooks};

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
        self.void_manually(cx, op.id).await
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
