//! Changes and reads of subscriptions and of the shop's key.

use promox_kernel::{Error, UserId, hex};
use promox_storage::{StoreError, Tx};

use super::records::{PushKey, Subscription, SubscriptionByEndpoint, SubscriptionByUser, SubscriptionId};
use crate::reject;

/// Maximum browsers of a user.
pub(crate) const MAX_SUBSCRIPTIONS: usize = 20;
/// The key of the only row of keys.
const KEY: u32 = 1;

/// A user's browsers, oldest first.
pub(crate) fn of_user(tx: &Tx<'_>, user: UserId) -> Result<Vec<Subscription>, StoreError> {
    tx.scan_by::<SubscriptionByUser>().prefix(user).collect(MAX_SUBSCRIPTIONS)
}

/// Adds a browser, or gives it to the user who uses it now.
pub(crate) fn subscribe(
    tx: &mut Tx<'_>,
    user: UserId,
    endpoint: &str,
    (p256dh, auth): (&str, &str),
) -> Result<Subscription, Error> {
    let known = tx.get_by::<SubscriptionByEndpoint>(endpoint)?;
    if known.as_ref().is_none_or(|known| known.user_id != user) && of_user(tx, user)?.len() >= MAX_SUBSCRIPTIONS {
        return Err(reject::too_many_subscriptions(MAX_SUBSCRIPTIONS));
    }
    let (id, created_at) = match known {
        Some(known) => (known.id, known.created_at),
        None => (SubscriptionId(tx.next_id::<Subscription>()?), tx.now()),
    };
    let (endpoint, p256dh, auth) = (endpoint.to_owned(), p256dh.to_owned(), auth.to_owned());
    let row = Subscription { id, user_id: user, endpoint, p256dh, auth, created_at };
    tx.put(&row)?;
    Ok(row)
}

/// Ends a user's subscription.
pub(crate) fn unsubscribe(tx: &mut Tx<'_>, user: UserId, id: SubscriptionId) -> Result<(), Error> {
    let own = tx.get::<Subscription>(&id)?.filter(|row| row.user_id == user);
    own.ok_or_else(|| Error::not_found("subscription"))?;
    Ok(tx.delete::<Subscription>(&id).map(drop)?)
}

/// Ends all subscriptions of a user.
pub(crate) fn erase(tx: &mut Tx<'_>, user: UserId) -> Result<(), StoreError> {
    for row in of_user(tx, user)? {
        tx.delete::<Subscription>(&row.id)?;
    }
    Ok(())
}

/// The shop's private key in hexadecimal, if it has one.
pub(crate) fn key(tx: &Tx<'_>) -> Result<Option<String>, StoreError> {
    Ok(tx.get::<PushKey>(&KEY)?.map(|row| row.private))
}

/// Stores the shop's private key, unless it has one. Returns the one that is stored.
pub(crate) fn set_key(tx: &mut Tx<'_>, private: &[u8; 32]) -> Result<String, StoreError> {
    if let Some(known) = key(tx)? {
        return Ok(known);
    }
    let private = hex(private);
    tx.insert(&PushKey { id: KEY, private: private.clone(), created_at: tx.now() })?;
    Ok(private)
}
