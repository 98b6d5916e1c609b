//! Scheduled jobs: requested messages, erasures, pruning, rotation of signing keys, the last uses of API keys.

use std::sync::Arc;
use std::time::Duration;

use promox_contract::notification::SendMessage;
use promox_contract::order::PrepareErasure;
use promox_kernel::{Cx, Email, Error, Job, UserId};
use promox_storage::Lane;
use serde_json::{Map, Value, json};

use crate::api::UserStatus;
use crate::commands::{erasures, messages, prune};
use crate::records::{Erasure, MessageRequest, Purpose, User};
use crate::rules::secrets;
use crate::{Users, queries};

/// Maximum messages or erasures per batch.
const BATCH: usize = 50;

/// The jobs that send messages, run erasures, prune expired rows and rotate signing keys.
pub(crate) fn jobs(users: &Arc<Users>) -> Vec<Job> {
    let (sender, eraser, pruner, rotator, recorder) =
        (users.clone(), users.clone(), users.clone(), users.clone(), users.clone());
    vec![
        Job::new("user.send_messages", Duration::from_secs(1), move |cx| {
            let users = sender.clone();
            async move { users.send_messages(&cx).await }
        }),
        Job::new("user.erase", Duration::from_secs(1), move |cx| {
            let users = eraser.clone();
            async move { users.run_due_erasures(&cx).await }
        }),
        Job::new("user.prune", Duration::from_mins(10), move |cx| {
            let users = pruner.clone();
            async move { users.db.write_in(&cx, Lane::Bulk, |tx| Ok(prune::remove_expired(tx)?)).await }
        }),
        Job::new("user.rotate_keys", Duration::from_hours(1), move |cx| {
            let users = rotator.clone();
            async move { users.rotate_keys(&cx).await.map(|()| false) }
        }),
        Job::new("user.record_key_uses", Duration::from_secs(10), move |cx| {
            let users = recorder.clone();
            async move { users.record_key_uses(&cx).await.map(|()| false) }
        }),
    ]
}

impl Users {
    /// Checks the erasures that are due and runs those that no longer wait for orders. Returns whether there may be
    /// more.
    async fn run_due_erasures(&self, cx: &Cx) -> Result<bool, Error> {
        let due = self.db.read(|tx| erasures::due(tx, cx.now, BATCH)).await?;
        let more = due.len() == BATCH;
        for erasure in due {
            self.run_erasure(cx, erasure.user).await?;
        }
        Ok(more)
    }

    /// Sends the messages that are due. A failed one is retried later with another token. Returns whether there may be
    /// more.
    async fn send_messages(&self, cx: &Cx) -> Result<bool, Error> {
        let now = cx.now;
        let due = self.db.read(|tx| messages::due(tx, now, BATCH)).await?;
        let more = due.len() == BATCH;
        for request in due {
            if let Err(error) = self.send_message(cx, &request).await {
                tracing::warn!(purpose = %request.purpose, %error, "a message could not be sent and will be retried");
            }
        }
        Ok(more)
    }

    /// Sends one message with a new token. The request is dropped if no account may receive it.
    async fn send_message(&self, cx: &Cx, request: &MessageRequest) -> Result<(), Error> {
        let email: Email = request.address.parse().map_err(Error::internal)?;
        let user = self.db.read(|tx| queries::user_by_email(tx, &email)).await?;
        let may_receive = |user: &User| {
            let is_verification = request.purpose == Purpose::EmailVerification;
            user.status == UserStatus::Active && !(is_verification && user.email_verified_at.is_some())
        };
        let (pending, token) = (request.clone(), cx.node.entropy.token());
        let Some(user) = user.filter(may_receive) else {
            return self.db.write(cx, move |tx| Ok(messages::remove_request(tx, &pending)?)).await;
        };
        let (id, hash) = (user.id, secrets::hash(&token));
        let started =
            self.db.write(cx, move |tx| Ok::<_, Error>(messages::start_attempt(tx, &pending, id, &hash)?)).await?;
        if started {
            let email = user.email.clone().unwrap_or(email);
            cx.call(self.message(cx, request, &user, email, &token)).await?;
            let sent = request.clone();
            self.db.write(cx, move |tx| Ok::<_, Error>(messages::remove_request(tx, &sent)?)).await?;
        }
        Ok(())
    }

    /// The message for a request, with its token and a link that contains it.
    fn message(&self, cx: &Cx, request: &MessageRequest, user: &User, email: Email, token: &str) -> SendMessage {
        let (template, page) = match request.purpose {
            Purpose::PasswordReset => ("password_reset", "reset-password"),
            Purpose::EmailVerification => ("verify_email", "verify-email"),
            Purpose::Setup => ("setup", "setup"),
        };
        let base = self.settings.public_url.trim_end_matches('/');
        let expires_at = cx.now + request.purpose.lifetime();
        let mut data = Map::new();
        let mut put = |name: &str, value: Value| data.insert(name.to_owned(), value);
        if let Some(name) = &user.name {
            put("name", json!(name));
        }
        put("token", json!(token));
        put("link", json!(format!("{base}/{page}?token={token}")));
        put("expiresAt", json!(expires_at));
        SendMessage {
            // Each attempt has its own token, so each is a separate message.
            reference: format!("{template}:{}:{}:{}", user.id, cx.now.0, request.attempts),
            template: template.to_owned(),
            email,
            user_id: Some(user.id),
            locale: user.locale.clone(),
            data,
        }
    }

    /// Runs a requested erasure if no order needs the personal data any more. Otherwise returns the erasure with what
    /// it waits for.
    pub(crate) async fn run_erasure(&self, cx: &Cx, id: UserId) -> Result<Option<Erasure>, Error> {
        let orders = cx.elevated().call(PrepareErasure { user_id: id }).await?;
        let context = cx.clone();
        self.db.write(cx, move |tx| erasures::run(tx, &context, id, &orders)).await
    }
}
