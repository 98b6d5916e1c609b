//! Links that end a kind of message: they work without logging in, and for as long as the shop exists.
//!
//! A link's token states the kind and the recipient, with a code that only the shop can make.

use aws_lc_rs::hmac;
use promox_kernel::{Cx, Email, Error, UserId, hex, sha256};
use promox_storage::{StoreError, Tx};

use crate::kinds::{Channel, MessageKind};
use crate::records::{Preferences, UnsubscribeSecret, UnsubscribedAddress};
use crate::{Notifications, commands, queries};

/// The key of the only row of secrets.
const SECRET: u32 = 1;

/// Whom messages are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Recipient {
    /// An account.
    User(UserId),
    /// A guest, by a digest of the e-mail address.
    Guest(Vec<u8>),
}

impl Recipient {
    /// A guest with this address.
    pub(crate) fn guest(email: &Email) -> Self {
        Self::Guest(sha256([email.normal().as_bytes()]).to_vec())
    }
}

fn code(secret: &[u8], claim: &str) -> String {
    hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), claim.as_bytes()).as_ref())
}

/// The token that ends a kind of message for a recipient.
fn token(secret: &[u8], kind: MessageKind, recipient: &Recipient) -> String {
    let recipient = match recipient {
        Recipient::User(user) => format!("u{user}"),
        Recipient::Guest(digest) => format!("g{}", hex(digest)),
    };
    let claim = format!("{}.{recipient}", kind.key());
    format!("{claim}.{}", code(secret, &claim))
}

/// The kind and the recipient of a token; `None` if the shop did not make it.
pub(crate) fn read(secret: &[u8], token: &str) -> Option<(MessageKind, Recipient)> {
    let (claim, given) = token.rsplit_once('.')?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    hmac::verify(&key, claim.as_bytes(), &crate::push::unhex(given)?).ok()?;
    let (kind, recipient) = claim.split_once('.')?;
    let recipient = match recipient.split_at_checked(1)? {
        ("u", id) => Recipient::User(UserId(id.parse().ok()?)),
        ("g", digest) => Recipient::Guest(crate::push::unhex(digest)?.to_vec()),
        _ => return None,
    };
    Some((MessageKind::from_key(kind)?, recipient))
}

/// The secret of the links, if it was needed before.
pub(crate) fn secret(tx: &Tx<'_>) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(tx.get::<UnsubscribeSecret>(&SECRET)?.map(|row| row.secret))
}

/// Whether a guest has ended a kind of message.
pub(crate) fn has_ended(tx: &Tx<'_>, kind: MessageKind, email: &Email) -> Result<bool, StoreError> {
    let Recipient::Guest(digest) = Recipient::guest(email) else { return Ok(false) };
    Ok(tx.get::<UnsubscribedAddress>(&(digest, kind))?.is_some())
}

/// Ends a kind of message: for a guest's address, or in the preferences of a user in all channels but the inbox.
pub(crate) fn end(tx: &mut Tx<'_>, kind: MessageKind, recipient: Recipient) -> Result<(), StoreError> {
    let user = match recipient {
        Recipient::User(user) => user,
        Recipient::Guest(address_hash) => {
            return tx.put(&UnsubscribedAddress { address_hash, kind, created_at: tx.now() });
        }
    };
    let mut changed = queries::changed(tx, user)?;
    for channel in [Channel::Email, Channel::Sms, Channel::Push] {
        if kind.is_optional(channel) && queries::wants(&changed, kind, channel) {
            // What differs from the default is listed, so a wanted channel is added or removed.
            match changed.iter().position(|it| *it == (kind, channel)) {
                Some(index) => drop(changed.remove(index)),
                None => changed.push((kind, channel)),
            }
        }
    }
    let is_known = tx.get::<Preferences>(&user)?.is_some();
    if is_known || !changed.is_empty() { commands::set_preferences(tx, user, changed) } else { Ok(()) }
}

impl Notifications {
    /// The token of the link that ends a kind of message. The shop's secret is made when it is first needed.
    pub(crate) async fn unsubscribe_token(
        &self,
        cx: &Cx,
        kind: MessageKind,
        recipient: &Recipient,
    ) -> Result<String, Error> {
        if let Some(known) = self.db.read(secret).await? {
            return Ok(token(&known, kind, recipient));
        }
        let new = cx.node.entropy.bytes::<32>();
        let work = move |tx: &mut Tx<'_>| {
            if let Some(known) = secret(tx)? {
                return Ok(known);
            }
            tx.insert(&UnsubscribeSecret { id: SECRET, secret: new.to_vec(), created_at: tx.now() })?;
            Ok::<_, Error>(new.to_vec())
        };
        Ok(token(&self.db.write(cx, work).await?, kind, recipient))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_by_the_shop_that_made_it_and_unchanged_only() {
        let guest = Recipient::guest(&"Ada@Example.com".parse().unwrap());
        assert_eq!(guest, Recipient::guest(&"ada@example.com".parse().unwrap()));
        for recipient in [Recipient::User(UserId(7)), guest] {
            let made = token(b"secret", MessageKind::CartAbandoned, &recipient);
            assert_eq!(read(b"secret", &made), Some((MessageKind::CartAbandoned, recipient)));
            assert_eq!(read(b"another", &made), None);
            let forged = made.replacen("u7", "u8", 1).replacen(".g", ".u", 1);
            assert_eq!(read(b"secret", &forged), None, "{forged}");
            for cut in 0..made.len() {
                assert_eq!(read(b"secret", &made[..cut]), None);
            }
        }
    }
}
