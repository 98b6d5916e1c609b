//! Operations on notifications: authorise, one read or write, convert.

use promox_contract::notification::{CartIdleTime, GetCartIdleTime, GetMailQueue, MailQueue, SendMessage};
use promox_contract::user::{ExportNotifications, PersonalData};
use promox_kernel::{Cx, Error, Handle, Page, Patch, bounded};
use promox_storage::Tx;
use serde_json::Value;

use crate::api::{
    DeliveryView, EndMessages, GetNotificationSettings, GetPreferences, GetTemplate, ListDeliveries, ListInbox,
    ListTemplates, MarkRead, Notification, NotificationSettings, PatchNotificationSettings, PreferencesView, Preview,
    PreviewTemplate, PutNotificationSettings, PutPreferences, PutTemplate, RetryDelivery, TemplateView,
};
use crate::checks::{self, TemplateName};
use crate::commands::{self, RequestedMessage};
use crate::kinds::{Channel, MessageKind};
use crate::templates::{Source, Wording, context, sample};
use crate::{Notifications, queries, reject, rules, unsubscribing};

impl Handle<ListInbox> for Notifications {
    async fn handle(&self, cx: &Cx, op: ListInbox) -> Result<Page<Notification>, Error> {
        let user = checks::caller(cx)?;
        self.db.read(|tx| queries::inbox(tx, user, op.clone())).await
    }
}

impl Handle<GetMailQueue> for Notifications {
    async fn handle(&self, _: &Cx, _: GetMailQueue) -> Result<MailQueue, Error> {
        Ok(self.db.read(queries::mail_queue).await?)
    }
}

impl Handle<MarkRead> for Notifications {
    async fn handle(&self, cx: &Cx, op: MarkRead) -> Result<Notification, Error> {
        let user = checks::caller(cx)?;
        let item = self.db.write(cx, move |tx| commands::mark_read(tx, user, op.id, op.read)).await?;
        Ok(queries::notification(item))
    }
}

impl Handle<GetPreferences> for Notifications {
    async fn handle(&self, cx: &Cx, _: GetPreferences) -> Result<PreferencesView, Error> {
        let user = checks::caller(cx)?;
        let changed = self.db.read(|tx| queries::changed(tx, user)).await?;
        Ok(queries::preferences(&changed))
    }
}

impl Handle<PutPreferences> for Notifications {
    async fn handle(&self, cx: &Cx, op: PutPreferences) -> Result<PreferencesView, Error> {
        let user = checks::caller(cx)?;
        let changed = checks::changed(&op)?;
        let view = queries::preferences(&changed);
        let work = move |tx: &mut Tx<'_>| Ok::<_, Error>(commands::set_preferences(tx, user, changed.clone())?);
        self.db.write(cx, work).await?;
        Ok(view)
    }

    async fn check(&self, _: &Cx, op: PutPreferences) -> Result<(), Error> {
        checks::changed(&op).map(drop)
    }
}

impl Handle<GetNotificationSettings> for Notifications {
    async fn handle(&self, _: &Cx, _: GetNotificationSettings) -> Result<NotificationSettings, Error> {
        Ok(self.db.read(queries::settings).await?)
    }
}

impl Handle<PutNotificationSettings> for Notifications {
    async fn handle(&self, cx: &Cx, op: PutNotificationSettings) -> Result<NotificationSettings, Error> {
        let patch = PatchNotificationSettings {
            order_received: Some(op.order_received),
            cart_abandoned: Some(op.cart_abandoned),
            cart_abandoned_minutes: Some(op.cart_abandoned_minutes),
            quiet_hours: op.quiet_hours.map_or(Patch::Clear, Patch::Set),
            version: op.version,
        };
        self.handle(cx, patch).await
    }
}

impl Handle<PatchNotificationSettings> for Notifications {
    async fn handle(&self, cx: &Cx, op: PatchNotificationSettings) -> Result<NotificationSettings, Error> {
        let mut caller = cx.clone();
        if caller.if_match.is_none() {
            caller.if_match = op.version.map(Into::into);
        }
        self.db.write(cx, move |tx| commands::change_settings(tx, &caller, &op)).await
    }
}

impl Handle<GetCartIdleTime> for Notifications {
    async fn handle(&self, _: &Cx, _: GetCartIdleTime) -> Result<CartIdleTime, Error> {
        let settings = self.db.read(queries::settings).await?;
        Ok(CartIdleTime { minutes: settings.cart_abandoned_minutes })
    }
}

impl Handle<EndMessages> for Notifications {
    async fn handle(&self, cx: &Cx, op: EndMessages) -> Result<(), Error> {
        let secret = self.db.read(unsubscribing::secret).await?;
        let named = secret.and_then(|secret| unsubscribing::read(&secret, &op.token));
        let (kind, recipient) = named.ok_or_else(reject::no_such_link)?;
        self.db.write(cx, move |tx| Ok(unsubscribing::end(tx, kind, recipient.clone())?)).await
    }
}

impl Handle<ListTemplates> for Notifications {
    async fn handle(&self, _: &Cx, op: ListTemplates) -> Result<Page<TemplateView>, Error> {
        self.db.read(|tx| queries::all_templates(tx, op.limit, op.cursor.clone())).await
    }
}

impl Handle<GetTemplate> for Notifications {
    async fn handle(&self, cx: &Cx, op: GetTemplate) -> Result<TemplateView, Error> {
        let name = TemplateName::read(cx, &op.key, op.channel, op.locale.as_ref()).await?;
        self.db.read(|tx| queries::template(tx, name.kind, name.channel, &name.locales)).await
    }
}

impl Handle<PutTemplate> for Notifications {
    async fn handle(&self, cx: &Cx, op: PutTemplate) -> Result<TemplateView, Error> {
        let name = TemplateName::read(cx, &op.key, op.channel, op.locale.as_ref()).await?;
        let source = checks::check_source(Source { subject: op.subject, html: op.html, text: op.text }, name.channel)?;
        let wording = Wording::new(source, name.locale(), &name.locales);
        for sample in sample::all(name.kind) {
            let rendered = self.renderer.render(&wording, &context::json_members(&sample));
            rendered.map_err(|fault| reject::template_invalid(&fault))?;
        }
        let (actor, if_match) = (cx.principal.name(), cx.if_match.clone());
        let work = move |tx: &mut Tx<'_>| {
            let key = (name.kind, name.channel, name.locale());
            commands::put_template(tx, key, wording.source.clone(), if_match.as_ref(), &actor)?;
            queries::template(tx, name.kind, name.channel, &name.locales)
        };
        self.db.write(cx, work).await
    }
}

impl Handle<PreviewTemplate> for Notifications {
    async fn handle(&self, cx: &Cx, op: PreviewTemplate) -> Result<Preview, Error> {
        let name = TemplateName::read(cx, &op.key, op.channel, op.locale.as_ref()).await?;
        let wording = self.db.read(|tx| queries::wording(tx, name.kind, name.channel, &name.locales)).await?;
        let draft = checks::drafted(wording, &name, &op)?;
        let mut data = sample::full(name.kind);
        if let Value::Object(members) = &mut data {
            members.extend(op.data);
        }
        let rendered = self.renderer.render(&draft, &context::json_members(&data));
        let message = rendered.map_err(|fault| reject::template_invalid(&fault))?;
        Ok(Preview { subject: message.subject, html: message.html, text: message.text })
    }
}

impl Handle<ListDeliveries> for Notifications {
    async fn handle(&self, _: &Cx, op: ListDeliveries) -> Result<Page<DeliveryView>, Error> {
        self.db.read(|tx| queries::deliveries(tx, op.clone())).await
    }
}

impl Handle<RetryDelivery> for Notifications {
    async fn handle(&self, cx: &Cx, op: RetryDelivery) -> Result<DeliveryView, Error> {
        let actor = cx.principal.name();
        let row = self.db.write(cx, move |tx| commands::retry(tx, &actor, op.id)).await?;
        Ok(queries::delivery(row))
    }
}

impl Handle<SendMessage> for Notifications {
    async fn handle(&self, cx: &Cx, op: SendMessage) -> Result<(), Error> {
        let kind = MessageKind::from_key(&op.template).ok_or_else(reject::no_template)?;
        let reference = bounded(&op.reference, 1, 200).map_err(|detail| Error::field("/reference", detail))?;
        let store = checks::store(cx).await?;
        let locales = rules::locale_chain(op.locale.as_slice(), &store.locale);
        let user = op.user_id;
        let (email, inbox) = self.db.read(|tx| queries::wordings(tx, kind, user, &locales)).await?;
        let Some(email) = email else { return Ok(()) };
        let members = self.members(&store, None, context::members(&op.data));
        let render =
            |channel, wording: &Wording| self.render(kind, channel, wording, &members).map_err(Error::internal);
        let message = render(Channel::Email, &email)?;
        let inbox = inbox.map(|wording| render(Channel::Inbox, &wording)).transpose()?;
        let requested =
            RequestedMessage { reference, kind, user_id: user, email: op.email, message, inbox: user.zip(inbox) };
        self.db.write(cx, move |tx| commands::send(tx, &requested)).await
    }
}

impl Handle<ExportNotifications> for Notifications {
    async fn handle(&self, _: &Cx, op: ExportNotifications) -> Result<PersonalData, Error> {
        queries::export(&self.db, op.user_id).await.map(PersonalData)
    }
}
