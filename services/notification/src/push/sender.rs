//! Sends a message to a browser's push service.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri};
use promox_kernel::{Cx, Error};
use serde_json::json;

use super::commands;
use super::encryption::{self, BrowserKeys, Identity, MessageRandom};
use super::records::Subscription;
use crate::Notifications;
use crate::templates::Message;

/// How long a push service may take to answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How long a push service keeps a message for a browser that is offline, in seconds.
const TTL: u32 = 24 * 3_600;
/// Maximum characters of the text of a message.
const MAX_TEXT_LEN: usize = 500;

/// What a push service answers.
#[derive(Debug)]
pub(crate) enum PushOutcome {
    Accepted(String),
    /// The browser has ended the subscription.
    Gone,
    /// The flag says whether another attempt is pointless.
    Failed(String, bool),
}

impl Notifications {
    /// The key pair that identifies the shop to push services. It is made when it is first needed.
    pub(crate) async fn push_identity(&self, cx: &Cx) -> Result<Arc<Identity>, Error> {
        if let Some(known) = self.identity.get() {
            return Ok(known.clone());
        }
        let stored = if let Some(stored) = self.db.read(commands::key).await? {
            stored
        } else {
            let private = loop {
                let private = cx.node.entropy.bytes::<32>();
                if Identity::of(&private).is_some() {
                    break private;
                }
            };
            self.db.write(cx, move |tx| Ok::<_, Error>(commands::set_key(tx, &private)?)).await?
        };
        let identity = unhex(&stored).and_then(|private| Identity::of(&private));
        let identity = Arc::new(identity.ok_or_else(|| Error::internal("the key of Web Push is damaged"))?);
        Ok(self.identity.get_or_init(|| identity).clone())
    }

    /// Sends a message to a browser.
    pub(crate) async fn push(&self, cx: &Cx, to: &Subscription, message: &Message) -> Result<PushOutcome, Error> {
        let identity = self.push_identity(cx).await?;
        let (key, salt) = (cx.node.entropy.bytes(), cx.node.entropy.bytes());
        let request = match self.request(&identity, to, message, &MessageRandom { key, salt }, cx) {
            Ok(request) => request,
            Err(why) => return Ok(PushOutcome::Failed(why, true)),
        };
        let status = tokio::select! {
            biased;
            status = self.webhooks.client().status_of(request) => status.map_err(|error| error.to_string()),
            () = cx.node.clock.sleep(TIMEOUT) => Err(format!("no answer within {} seconds", TIMEOUT.as_secs())),
        };
        Ok(match status.map(|status| status.as_u16()) {
            Ok(status @ 200..300) => PushOutcome::Accepted(format!("{status} accepted by the push service")),
            Ok(404 | 410) => PushOutcome::Gone,
            Ok(status @ (400 | 401 | 403 | 413)) => {
                PushOutcome::Failed(format!("the push service answered {status}"), true)
            }
            Ok(status) => PushOutcome::Failed(format!("the push service answered {status}"), false),
            Err(why) => PushOutcome::Failed(why, false),
        })
    }

    /// The request that posts an encrypted message.
    fn request(
        &self,
        identity: &Identity,
        to: &Subscription,
        message: &Message,
        random: &MessageRandom,
        cx: &Cx,
    ) -> Result<Request<Bytes>, String> {
        let uri: Uri = to.endpoint.parse().map_err(|_| "the subscription's URL is damaged".to_owned())?;
        let origin = match (uri.scheme_str(), uri.authority()) {
            (Some(scheme), Some(authority)) => format!("{scheme}://{authority}"),
            _ => return Err("the subscription's URL is damaged".to_owned()),
        };
        let keys = BrowserKeys::read(&to.p256dh, &to.auth).map_err(|name| format!("the key {name} is damaged"))?;
        let text: String = message.text.trim().chars().take(MAX_TEXT_LEN).collect();
        let payload = json!({
            "title": message.subject, "body": text, "url": self.public_url, "lang": message.language,
        })
        .to_string();
        let body = encryption::encrypt(payload.as_bytes(), &keys, random).ok_or("the message cannot be encrypted")?;
        let contact = format!("mailto:{}", self.from.email);
        let authorization = identity.authorization(&origin, &contact, cx.node.clock.now());
        Request::post(uri)
            .header("content-encoding", "aes128gcm")
            .header("content-type", "application/octet-stream")
            .header("ttl", TTL)
            .header("urgency", "normal")
            .header("authorization", authorization.ok_or("the message cannot be signed")?)
            .body(Bytes::from(body))
            .map_err(|error| error.to_string())
    }
}

/// The 32 bytes of a hexadecimal text.
pub(crate) fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some((digit(high)? << 4) | digit(low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect::<Option<Vec<u8>>>()?.try_into().ok()
}
