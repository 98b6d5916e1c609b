//! The rotation of signing keys. A new key is published before it signs, so that clients that cache the public keys
//! have it in time. An old key stays published until its last token has expired.

use std::time::Duration;

use promox_kernel::Timestamp;

use crate::records::SigningKey;

/// How long a key signs before the next one is created.
pub(crate) const LIFETIME: Duration = Duration::from_hours(24 * 30);
/// How long a key is published before it signs.
const PUBLISHED_AHEAD: Duration = Duration::from_hours(1);
/// How long a retired key stays published after it was retired, in addition to the lifetime of an access token.
const REMOVAL_MARGIN: Duration = Duration::from_hours(24);

/// The changes to the keys that are due.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Create a key that signs from this time on.
    pub(crate) create: Option<Timestamp>,
    /// Delete the private halves of these keys.
    pub(crate) retire: Vec<String>,
    /// Delete these keys.
    pub(crate) remove: Vec<String>,
}

impl Plan {
    /// Whether nothing is due.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The key that signs at `now`.
pub(crate) fn signing(keys: &[SigningKey], now: Timestamp) -> Option<&SigningKey> {
    keys.iter().filter(|key| key.seed.is_some() && key.signs_from <= now).max_by_key(|key| key.signs_from)
}

/// The changes that are due at `now`. `token_lifetime` is the lifetime of access tokens.
pub(crate) fn plan(keys: &[SigningKey], now: Timestamp, token_lifetime: Duration) -> Plan {
    let mut plan = Plan::default();
    let newest = keys.iter().filter(|key| key.seed.is_some()).max_by_key(|key| key.signs_from);
    match newest {
        None => plan.create = Some(now),
        Some(key) if key.signs_from + LIFETIME <= now => plan.create = Some(now + PUBLISHED_AHEAD),
        Some(_) => {}
    }
    let signing = signing(keys, now);
    for key in keys {
        match key.retired_at {
            Some(retired) if retired + token_lifetime + REMOVAL_MARGIN <= now => plan.remove.push(key.kid.clone()),
            None if signing.is_some_and(|signing| key.signs_from < signing.signs_from) => {
                plan.retire.push(key.kid.clone());
            }
            _ => {}
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kid: &str, signs_from: Timestamp, retired_at: Option<Timestamp>) -> SigningKey {
        let seed = retired_at.is_none().then(|| vec![1; 32]);
        SigningKey {
            kid: kid.to_owned(),
            seed,
            public_key: vec![2; 32],
            signs_from,
            created_at: signs_from,
            retired_at,
        }
    }

    #[test]
    fn keys_are_created_ahead_then_retired_then_removed() {
        let (start, token_lifetime) = (Timestamp::from_seconds(1_000_000), Duration::from_mins(15));
        assert_eq!(plan(&[], start, token_lifetime).create, Some(start));
        let first = key("a", start, None);
        assert!(plan(std::slice::from_ref(&first), start + LIFETIME - PUBLISHED_AHEAD, token_lifetime).is_empty());
        let due = start + LIFETIME;
        let next = plan(std::slice::from_ref(&first), due, token_lifetime);
        assert_eq!(next, Plan { create: Some(due + PUBLISHED_AHEAD), ..Plan::default() });
        let both = [first, key("b", due + PUBLISHED_AHEAD, None)];
        assert!(plan(&both, due, token_lifetime).is_empty());
        assert_eq!(signing(&both, due).map(|key| key.kid.as_str()), Some("a"));
        assert_eq!(signing(&both, due + PUBLISHED_AHEAD).map(|key| key.kid.as_str()), Some("b"));
        assert_eq!(plan(&both, due + PUBLISHED_AHEAD, token_lifetime).retire, ["a"]);
        let retired = [key("a", start, Some(due + PUBLISHED_AHEAD)), key("b", due + PUBLISHED_AHEAD, None)];
        assert!(plan(&retired, due + PUBLISHED_AHEAD + token_lifetime, token_lifetime).is_empty());
        assert_eq!(
            plan(&retired, due + PUBLISHED_AHEAD + token_lifetime + REMOVAL_MARGIN, token_lifetime).remove,
            ["a"]
        );
    }
}
