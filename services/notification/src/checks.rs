//! Checks of requests: templates, their sources, preferences.

use promox_contract::codes;
use promox_contract::store::{GetStoreProfile, StoreProfile};
use promox_kernel::{Cx, Error, Faults, Kind, Locale, UserId};

use crate::api::{PreviewTemplate, PutPreferences};
use crate::kinds::{Channel, MessageKind};
use crate::templates::{Source, Wording};
use crate::{reject, rules};

/// The template that a request names.
pub(crate) struct TemplateName {
    pub(crate) kind: MessageKind,
    pub(crate) channel: Channel,
    /// The requested locale and its fallbacks.
    pub(crate) locales: Vec<Locale>,
}

pub(crate) async fn store(cx: &Cx) -> Result<StoreProfile, Error> {
    cx.elevated().call(GetStoreProfile {}).await
}

pub(crate) fn caller(cx: &Cx) -> Result<UserId, Error> {
    let fault = || Error::new(Kind::Unauthenticated, codes::UNAUTHENTICATED, "Log in and send the access token.");
    cx.principal.user().ok_or_else(fault)
}

/// Validates preferences; returns those that differ from the default.
pub(crate) fn changed(op: &PutPreferences) -> Result<Vec<(MessageKind, Channel)>, Error> {
    let (mut changed, mut faults) = (Vec::new(), Faults::default());
    for (index, preference) in op.preferences.iter().enumerate() {
        let (kind, channel, enabled) = (preference.kind, preference.channel, preference.enabled);
        if !kind.is_for_customers() || !kind.channels().contains(&channel) {
            faults.add(reject::no_such_channel(index, kind, channel));
        } else if !enabled && !kind.is_optional(channel) {
            faults.add(reject::mandatory(index, kind));
        } else if enabled != channel.is_on_by_default() && !changed.contains(&(kind, channel)) {
            changed.push((kind, channel));
        }
    }
    faults.finish().map(|()| changed)
}

/// Checks that a source has the parts of its channel, and that none is too large.
pub(crate) fn check_source(source: Source, channel: Channel) -> Result<Source, Error> {
    let parts = [
        ("/subject", Some(&source.subject), 500),
        ("/html", source.html.as_ref(), 200_000),
        ("/text", Some(&source.text), 100_000),
    ];
    for (pointer, part, max) in parts {
        if part.is_some_and(|part| part.len() > max) {
            return Err(Error::field(pointer, format!("must have at most {max} bytes")));
        }
    }
    match (channel, source.html.is_some()) {
        (Channel::Email, false) => Err(Error::field("/html", "an e-mail must have an HTML part")),
        (Channel::Inbox | Channel::Sms | Channel::Push, true) => {
            Err(Error::field("/html", "this channel shows plain text only"))
        }
        _ => Ok(source),
    }
}

/// The wording with the parts of a draft, which is in the requested locale.
pub(crate) fn drafted(wording: Wording, name: &TemplateName, draft: &PreviewTemplate) -> Result<Wording, Error> {
    let (language, stored) = (wording.language, wording.source);
    let is_draft = draft.subject.is_some() || draft.html.is_some() || draft.text.is_some();
    let html = if name.channel == Channel::Email { draft.html.clone().or(stored.html) } else { draft.html.clone() };
    let source = Source {
        subject: draft.subject.clone().unwrap_or(stored.subject),
        html,
        text: draft.text.clone().unwrap_or(stored.text),
    };
    let source = check_source(source, name.channel)?;
    Ok(Wording::new(source, if is_draft { name.locale() } else { language }, &name.locales))
}

impl TemplateName {
    /// Validates the parts of a name; 404 if there is no such template.
    pub(crate) async fn read(
        cx: &Cx,
        key: &str,
        channel: Option<Channel>,
        locale: Option<&Locale>,
    ) -> Result<Self, Error> {
        let kind = MessageKind::from_key(key).ok_or_else(reject::no_template)?;
        let channel = channel.unwrap_or(Channel::Email);
        if !kind.channels().contains(&channel) {
            return Err(reject::no_template());
        }
        let locales = rules::locale_chain(locale.map_or(&[], std::slice::from_ref), &store(cx).await?.locale);
        Ok(Self { kind, channel, locales })
    }

    /// The requested locale.
    pub(crate) fn locale(&self) -> Locale {
        self.locales.first().cloned().unwrap_or_else(Locale::english)
    }
}
