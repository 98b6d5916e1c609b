//! Handlers: authorise, then one read, one write, or a call to a provider between two of them.

use promox_contract::order::{CheckOrderAccess, GetOrderStatus, OrderStatus};
use promox_contract::payment::{
    CancelPayment, CheckPaymentChoice, GetOrderPayment, PaymentOutcome, PaymentStatus, RefreshPayment,
    ReturnSettlement, SettleReturn, TakePayment,
};
use promox_contract::store::{EnabledMethods, ListEnabledPaymentMethods};
use promox_contract::user::{ExportPayments, PersonalData};
use promox_kernel::{Cx, Error, Handle, Page};
use promox_storage::{Transact, Transaction, Tx};

use crate::api::{
    CapturePayment, ConfirmPayment, CreateRefund, GetPayment, ListMethods, ListPayments, MethodView, PaymentView,
    ReceiveWebhook, VoidPayment,
};
use crate::commands::charge::PaymentRequest;
use crate::commands::refund::{self, ReturnRefund};
use crate::commands::webhook::{self, Processed};
use crate::gateway::{Gateway, SignedRequest};
use crate::records::Provider;
use crate::{Payments, queries, reject, rules};

/// The maximum size of a webhook's body in bytes.
const MAX_WEBHOOK_BYTES: usize = 256 * 1024;

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
        let view = |(provider, method, name)| {
            let key = self.gateways.of(provider).ok().and_then(Gateway::publishable_key);
            MethodView { method, provider, name, publishable_key: key.map(str::to_owned) }
        };
        let available = rules::available(&methods, |provider| self.gateways.accepts(provider));
        Ok(Page::new(available.map(view).collect(), None))
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
        self.confirm(cx, payment).await
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
        if payment.is_captured_later() {
            return self.capture_rest(cx, payment).await;
        }
        self.capture(cx, payment).await
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
        let provider: Provider = op.provider.parse().map_err(|_| reject::no_webhooks())?;
        let gateway = self.gateways.of(provider).map_err(|_| reject::no_webhooks())?;
        let body = match op.body.reader {
            Some(reader) => reader.collect(MAX_WEBHOOK_BYTES).await?,
            None => Vec::new(),
        };
        let request = SignedRequest { headers: op.body.headers, body };
        let webhook = gateway.read_webhook(&cx.node, &request, cx.now).await?;
        match self.db.write(cx, move |tx| webhook::process(tx, &webhook)).await? {
            Processed::Changed(payment) => self.refund_late_capture(cx, *payment).await.map(drop),
            Processed::Unchanged => Ok(()),
            Processed::Mismatch(refusal) => Err(refusal),
        }
    }
}

impl Handle<CheckPaymentChoice> for Payments {
    async fn handle(&self, cx: &Cx, op: CheckPaymentChoice) -> Result<(), Error> {
        let choice = rules::choose(&op.choice, |method| self.gateways.default_for(method))?;
        let EnabledMethods { methods } = cx.call(ListEnabledPaymentMethods {}).await?;
        rules::check_available(&choice, &methods, |provider| self.gateways.accepts(provider))
    }
}

impl Transact<TakePayment> for Payments {
    async fn transaction(&self, cx: &Cx, op: TakePayment) -> Result<Transaction<PaymentOutcome>, Error> {
        let request = PaymentRequest {
            order_id: op.order_id,
            user_id: op.user_id,
            amount: rules::money(op.amount, op.currency)?,
            currency: op.currency,
            choice: rules::choose(&op.choice, |method| self.gateways.default_for(method))?,
            capture_at: op.capture_at,
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

impl Handle<RefreshPayment> for Payments {
    async fn handle(&self, cx: &Cx, op: RefreshPayment) -> Result<PaymentOutcome, Error> {
        self.refresh(cx, op.order_id).await
    }
}

impl Handle<CancelPayment> for Payments {
    async fn handle(&self, cx: &Cx, op: CancelPayment) -> Result<(), Error> {
        self.cancel(cx, op.order_id, op.reason).await
    }
}

impl Handle<SettleReturn> for Payments {
    async fn handle(&self, cx: &Cx, op: SettleReturn) -> Result<ReturnSettlement, Error> {
        let SettleReturn { order_id, return_id, amount, fee, whole, unshipped, complete, reason } = op;
        let request = ReturnRefund { order_id, return_id, amount, fee, whole, unshipped, complete, reason };
        self.settle_return(cx, request).await
    }
}

impl Handle<ExportPayments> for Payments {
    async fn handle(&self, _cx: &Cx, op: ExportPayments) -> Result<PersonalData, Error> {
        let own = queries::export(&self.db, op.user_id).await?;
        serde_json::to_value(own).map(PersonalData).map_err(Error::internal)
    }
}
