//! Operations on hooks: authorise, one read or write, convert.

use promox_contract::codes;
use promox_contract::hook::{AskHook, HookReply, sample_question};
use promox_kernel::{Cx, Error, FieldError, Handle, Page};
use promox_outbound::standard_webhooks;

use super::api::{
    CreateHook, DeleteHook, GetHook, HookSecretView, HookTestView, HookView, ListHooks, TestHook, UpdateHook,
};
use super::records::HookByKind;
use super::{commands, queries};
use crate::Store;

impl Store {
    /// Validates a URL: its form, and that its host has only addresses that hooks may have.
    async fn check_hook_url(&self, url: &str) -> Result<(), Error> {
        let refused = |fault: String| Error::invalid(vec![FieldError::coded("/url", codes::URL_REFUSED, fault)]);
        self.hooks.check_url(url).await.map_err(refused)
    }
}

impl Handle<ListHooks> for Store {
    async fn handle(&self, _: &Cx, _: ListHooks) -> Result<Page<HookView>, Error> {
        let hooks = self.db.read(queries::all).await?;
        Ok(Page::new(hooks.into_iter().map(queries::view).collect(), None))
    }
}

impl Handle<GetHook> for Store {
    async fn handle(&self, _: &Cx, op: GetHook) -> Result<HookView, Error> {
        self.db.read(|tx| queries::hook(tx, op.id)).await.map(queries::view)
    }
}

impl Handle<CreateHook> for Store {
    async fn handle(&self, cx: &Cx, op: CreateHook) -> Result<HookSecretView, Error> {
        self.check_hook_url(&op.url).await?;
        let (actor, secret) = (cx.principal.name(), standard_webhooks::secret(cx.node.entropy.bytes()));
        let stored = secret.clone();
        let hook = self.db.write(cx, move |tx| commands::create(tx, &actor, &op, &stored)).await?;
        Ok(HookSecretView { hook: queries::view(hook), secret })
    }
}

impl Handle<UpdateHook> for Store {
    async fn handle(&self, cx: &Cx, op: UpdateHook) -> Result<HookView, Error> {
        if let Some(url) = &op.url {
            self.check_hook_url(url).await?;
        }
        let caller = cx.clone();
        self.db.write(cx, move |tx| commands::update(tx, &caller, &op)).await.map(queries::view)
    }
}

impl Handle<DeleteHook> for Store {
    async fn handle(&self, cx: &Cx, op: DeleteHook) -> Result<(), Error> {
        let caller = cx.clone();
        self.db.write(cx, move |tx| commands::delete(tx, &caller, op.id)).await
    }
}

impl Handle<TestHook> for Store {
    async fn handle(&self, cx: &Cx, op: TestHook) -> Result<HookTestView, Error> {
        let hook = self.db.read(|tx| queries::hook(tx, op.id)).await?;
        let currency = self.settings.get(&self.db).await?.store.currency;
        let question = sample_question(hook.kind, currency).ok_or_else(|| Error::internal("no sample question"))?;
        let asked = self.hooks.post(cx, &hook, &question, true).await;
        let millis = u64::try_from(asked.took.as_millis()).unwrap_or(u64::MAX);
        let detail = asked.result.as_ref().err().cloned();
        Ok(HookTestView { message: asked.message, millis, answer: asked.result.ok(), detail })
    }
}

impl Handle<AskHook> for Store {
    async fn handle(&self, cx: &Cx, op: AskHook) -> Result<HookReply, Error> {
        let kind = op.question.kind();
        let hook = self.db.read(|tx| tx.get_by::<HookByKind>(kind)).await?;
        let record = match hook.filter(|hook| hook.enabled) {
            Some(hook) => Some(self.hooks.ask(cx, &hook, &op.question).await?),
            None => None,
        };
        Ok(HookReply { record })
    }
}
