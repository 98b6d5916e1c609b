//! Buyers: how per-person limits and counts recognise a person.
//!
//! A person is identified by the account, the account's e-mail address and the e-mail address of an order. Addresses
//! are compared in normal form (case, Unicode, IDNA). Two orders, uses or redemptions belong to the same person if they
//! share any of these. This is not transitive: an order that shares the account with a second order and the address
//! with a third does not make the second and the third belong to the same person.
//!
//! Whether `ada+shop@example.com` counts as `ada@example.com` is a setting of the store that may change at any time. A
//! [`PersonKey`] therefore holds both the mailbox of an address and the address itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use promox_kernel::{Cx, Email, Error, UserId, sha256};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::store::GetStoreProfile;
use crate::user::DescribeUsers;

/// The length of a digest in bytes.
const DIGEST_LEN: usize = 16;

/// A buyer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Buyer {
    /// The account; null for a guest.
    pub user_id: Option<UserId>,
    /// The account's e-mail address.
    pub account_email: Option<Email>,
    /// The e-mail address given with the order: a guest's, or one that differs from the account's.
    pub given_email: Option<Email>,
    /// Whether the store treats addresses that differ only in a plus tag as the same person.
    pub ignore_plus_tags: bool,
}

impl Buyer {
    /// Identifies a buyer, with the account's address from the user service and the plus-tag rule from the settings.
    pub async fn identify(cx: &Cx, user_id: Option<UserId>, given_email: Option<Email>) -> Result<Self, Error> {
        let ignore_plus_tags = cx.call(GetStoreProfile {}).await?.ignore_plus_tags;
        let account_email = match user_id {
            Some(id) => cx.call(DescribeUsers { ids: vec![id] }).await?.items.pop().map(|user| user.email),
            None => None,
        };
        Ok(Self { user_id, account_email, given_email, ignore_plus_tags })
    }

    /// The address to which the order's confirmation is sent: the one given with the order, else the account's.
    pub fn email(&self) -> Option<&Email> {
        self.given_email.as_ref().or(self.account_email.as_ref())
    }

    /// The buyer's addresses, without duplicates.
    pub fn emails(&self) -> Vec<&Email> {
        let mut emails: Vec<&Email> = Vec::with_capacity(2);
        for email in self.account_email.iter().chain(&self.given_email) {
            if !emails.iter().any(|known| known.normal() == email.normal()) {
                emails.push(email);
            }
        }
        emails
    }

    /// Whether two addresses belong to the same person by the store's plus-tag rule.
    pub fn same(&self, one: &Email, other: &Email) -> bool {
        if self.ignore_plus_tags { one.mailbox() == other.mailbox() } else { one.normal() == other.normal() }
    }

    /// The person's identifiers, with digests in place of addresses.
    pub fn person(&self) -> Person {
        let account = self.user_id.map(|id| PersonKey { name: format!("user:{id}"), exact: None });
        let keys = account.into_iter().chain(self.emails().into_iter().map(PersonKey::of_email)).collect();
        Person { keys, ignore_plus_tags: self.ignore_plus_tags }
    }

    /// A digest of the confirmation address, for limits that count by address alone.
    pub fn email_digest(&self) -> Option<String> {
        let form = |email: &Email| if self.ignore_plus_tags { email.mailbox() } else { email.normal() };
        self.email().map(|email| digest_of(&form(email)))
    }
}

/// One identifier of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonKey {
    /// `user:7`, or `mail:` and a digest of the mailbox, which is the address in normal form without its plus tag.
    pub name: String,
    /// A digest of the whole address if it has a plus tag; null if the address is the mailbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
}

impl PersonKey {
    /// The key of an address.
    pub fn of_email(email: &Email) -> Self {
        let (mailbox, normal) = (email.mailbox(), email.normal());
        let exact = (mailbox != normal).then(|| digest_of(&normal));
        Self { name: format!("mail:{}", digest_of(&mailbox)), exact }
    }
}

/// A person, as a set of identifiers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// The account first, then the addresses; empty for an unknown person.
    pub keys: Vec<PersonKey>,
    /// Whether plus tags are ignored.
    pub ignore_plus_tags: bool,
}

impl Person {
    /// Whether the person is unknown.
    pub fn is_unknown(&self) -> bool {
        self.keys.is_empty()
    }

    /// The digest of the confirmation address, as by [`Buyer::email_digest`].
    pub fn email_digest(&self) -> Option<String> {
        // The address of the order comes last.
        let digest = |key: &PersonKey| key.name.strip_prefix("mail:").map(str::to_owned);
        let (key, mailbox) = self.keys.iter().rev().find_map(|key| Some((key, digest(key)?)))?;
        Some(key.exact.clone().filter(|_| !self.ignore_plus_tags).unwrap_or(mailbox))
    }

    /// Whether a count that is stored under the name of `key`, with this `exact` digest, belongs to this person.
    pub fn is(&self, key: &PersonKey, exact: Option<&str>) -> bool {
        self.ignore_plus_tags || key.exact.as_deref() == exact
    }
}

/// A short digest of a text, in letters and digits that fit into any column or log.
pub fn digest_of(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(sha256([text.as_bytes()]).get(..DIGEST_LEN).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buyer(user: Option<i64>, account: &str, given: &str) -> Buyer {
        let email = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
        let (account_email, given_email) = (email(account), email(given));
        Buyer { user_id: user.map(UserId), account_email, given_email, ignore_plus_tags: false }
    }

    /// Whether two buyers count as the same person.
    fn same_person(one: &Buyer, other: &Buyer) -> bool {
        let (one, other) = (one.person(), other.person());
        other
            .keys
            .iter()
            .any(|key| one.keys.iter().any(|known| known.name == key.name && other.is(key, known.exact.as_deref())))
    }

    #[test]
    fn a_person_is_identified_by_account_and_addresses() {
        let ada = buyer(Some(7), "ada@example.com", "");
        assert_eq!(ada.person().keys.len(), 2);
        assert_eq!(buyer(Some(7), "ada@example.com", "ADA@Example.com").person(), ada.person());
        for (other, same) in [
            (buyer(None, "", "Ada@example.COM"), true),
            (buyer(Some(7), "ada@example.com", "other@example.com"), true),
            (buyer(Some(8), "eve@example.com", "ada@example.com"), true),
            (buyer(Some(8), "eve@example.com", ""), false),
            (buyer(None, "", "ada+shop@example.com"), false),
            (Buyer { ignore_plus_tags: true, ..buyer(None, "", "ada+shop@example.com") }, true),
        ] {
            assert_eq!(same_person(&ada, &other), same, "{other:?}");
        }
        let (one, other) = (buyer(None, "", "ada+1@example.com"), buyer(None, "", "ada+2@example.com"));
        assert!(!same_person(&one, &other) && same_person(&one, &Buyer { ignore_plus_tags: true, ..other }));
        assert!(same_person(&buyer(None, "", "ada@münchen.example"), &buyer(None, "", "ada@xn--mnchen-3ya.example")));
        assert!(buyer(None, "", "").person().is_unknown());
    }
}
