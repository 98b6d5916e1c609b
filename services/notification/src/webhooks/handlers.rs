//! Operations on webhooks: authorise, one read or write, convert.

use promox_contract::codes;
use promox_kernel::{Cx, Error, FieldError, Handle, Page, bounded};
use promox_outbound::standard_webhooks;

use super::api::{
    CreateWebhook, DeleteWebhook, GetWebhook, ListWebhookDeliveries, ListWebhooks, RedeliverWebhook,
    RotateWebhookSecret, TestWebhook, UpdateWebhook, WebhookDeliveryView, WebhookSecretView, WebhookView,
};
use super::commands::{self, EndpointChange};
use super::queries;
use crate::Notifications;

/// Maximum length of a description in characters.
const MAX_DESCRIPTION_LEN: usize = 200;

impl Notifications {
    /// Validates a URL: its form, and that its host has only addresses that webhooks may be sent to.
    async fn check_webhook_url(&self, url: &str) -> Result<(), Error> {
        let refused = |fault: String| Error::invalid(vec![FieldError::coded("/url", codes::URL_REFUSED, fault)]);
        self.webhooks.check_url(url).await.map_err(refused)
    }

    async fn check_change(&self, change: &EndpointChange) -> Result<(), Error> {
        if let Some(description) = change.description.as_deref().filter(|description| !description.is_empty()) {
            let checked = bounded(description, 1, MAX_DESCRIPTION_LEN);
            checked.map_err(|fault| Error::field("/description", fault))?;
        }
        match &change.url {
            Some(url) => self.check_webhook_url(url).await,
            None => Ok(()),
        }
    }
}

impl Handle<ListWebhooks> for Notifications {
    async fn handle(&self, _: &Cx, _: ListWebhooks) -> Result<Page<WebhookView>, Error> {
        let endpoints = self.db.read(queries::endpoints).await?;
        Ok(Page::new(endpoints.into_iter().map(queries::view).collect(), None))
    }
}

impl Handle<GetWebhook> for Notifications {
    async fn handle(&self, _: &Cx, op: GetWebhook) -> Result<WebhookView, Error> {
        self.db.read(|tx| queries::endpoint(tx, op.id)).await.map(queries::view)
    }
}

impl Handle<CreateWebhook> for Notifications {
    async fn handle(&self, cx: &Cx, op: CreateWebhook) -> Result<WebhookSecretView, Error> {
        let change = EndpointChange {
            url: Some(op.url),
            description: Some(op.description),
            events: Some(op.events),
            status: None,
        };
        self.check_change(&change).await?;
        let (actor, secret) = (cx.principal.name(), standard_webhooks::secret(cx.node.entropy.bytes()));
        self.webhooks.expect_endpoints();
        let stored = secret.clone();
        let endpoint = self.db.write(cx, move |tx| commands::create(tx, &actor, &change, &stored)).await?;
        Ok(WebhookSecretView { webhook: queries::view(endpoint), secret })
    }
}

impl Handle<UpdateWebhook> for Notifications {
    async fn handle(&self, cx: &Cx, op: UpdateWebhook) -> Result<WebhookView, Error> {
        let UpdateWebhook { id, url, description, events, status } = op;
        let change = EndpointChange { url, description, events, status };
        self.check_change(&change).await?;
        let caller = cx.clone();
        let endpoint = self.db.write(cx, move |tx| commands::update(tx, &caller, id, &change)).await?;
        Ok(queries::view(endpoint))
    }
}

impl Handle<DeleteWebhook> for Notifications {
    async fn handle(&self, cx: &Cx, op: DeleteWebhook) -> Result<(), Error> {
        let caller = cx.clone();
        self.db.write(cx, move |tx| commands::delete(tx, &caller, op.id)).await
    }
}

impl Handle<RotateWebhookSecret> for Notifications {
    async fn handle(&self, cx: &Cx, op: RotateWebhookSecret) -> Result<WebhookSecretView, Error> {
        let (actor, secret) = (cx.principal.name(), standard_webhooks::secret(cx.node.entropy.bytes()));
        let stored = secret.clone();
        let endpoint = self.db.write(cx, move |tx| commands::rotate(tx, &actor, op.id, &stored)).await?;
        Ok(WebhookSecretView { webhook: queries::view(endpoint), secret })
    }
}

impl Handle<TestWebhook> for Notifications {
    async fn handle(&self, cx: &Cx, op: TestWebhook) -> Result<WebhookDeliveryView, Error> {
        self.db.write(cx, move |tx| commands::test(tx, op.id)).await.map(queries::delivery_view)
    }
}

impl Handle<ListWebhookDeliveries> for Notifications {
    async fn handle(&self, _: &Cx, op: ListWebhookDeliveries) -> Result<Page<WebhookDeliveryView>, Error> {
        self.db.read(|tx| queries::deliveries(tx, op.id, op.limit, op.cursor.clone())).await
    }
}

impl Handle<RedeliverWebhook> for Notifications {
    async fn handle(&self, cx: &Cx, op: RedeliverWebhook) -> Result<WebhookDeliveryView, Error> {
        let redelivered = self.db.write(cx, move |tx| commands::redeliver(tx, op.id, op.delivery_id)).await?;
        Ok(queries::delivery_view(redelivered))
    }
}
