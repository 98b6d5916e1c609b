//! Operations on subscriptions: authorise, one read or write, convert.

use promox_contract::codes;
use promox_kernel::{Cx, Error, FieldError, Handle, Page};

use super::api::{GetPushKey, ListSubscriptions, PushKeyView, Subscribe, SubscriptionView, Unsubscribe};
use super::commands;
use super::encryption::BrowserKeys;
use super::records::Subscription;
use crate::{Notifications, checks};

fn view(row: Subscription) -> SubscriptionView {
    SubscriptionView { id: row.id, endpoint: row.endpoint, created_at: row.created_at }
}

impl Handle<GetPushKey> for Notifications {
    async fn handle(&self, cx: &Cx, _: GetPushKey) -> Result<PushKeyView, Error> {
        let identity = self.push_identity(&cx.elevated()).await?;
        Ok(PushKeyView { key: identity.public().to_owned() })
    }
}

impl Handle<ListSubscriptions> for Notifications {
    async fn handle(&self, cx: &Cx, _: ListSubscriptions) -> Result<Page<SubscriptionView>, Error> {
        let user = checks::caller(cx)?;
        let own = self.db.read(|tx| commands::of_user(tx, user)).await?;
        Ok(Page::new(own.into_iter().map(view).collect(), None))
    }
}

impl Handle<Subscribe> for Notifications {
    async fn handle(&self, cx: &Cx, op: Subscribe) -> Result<SubscriptionView, Error> {
        let user = checks::caller(cx)?;
        let Subscribe { endpoint, keys, .. } = op;
        BrowserKeys::read(&keys.p256dh, &keys.auth)
            .map_err(|name| Error::field(format!("/keys/{name}"), "is not a key of a browser's subscription"))?;
        self.webhooks
            .check_url(&endpoint)
            .await
            .map_err(|fault| Error::invalid(vec![FieldError::coded("/endpoint", codes::URL_REFUSED, fault)]))?;
        let work =
            move |tx: &mut promox_storage::Tx<'_>| commands::subscribe(tx, user, &endpoint, (&keys.p256dh, &keys.auth));
        self.db.write(cx, work).await.map(view)
    }
}

impl Handle<Unsubscribe> for Notifications {
    async fn handle(&self, cx: &Cx, op: Unsubscribe) -> Result<(), Error> {
        let user = checks::caller(cx)?;
        self.db.write(cx, move |tx| commands::unsubscribe(tx, user, op.id)).await
    }
}
