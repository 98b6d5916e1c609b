//! The identity of a buyer in redemptions.

use promox_contract::buyer::{Buyer, Person, PersonKey};
use promox_kernel::UserId;

use crate::records::Redemption;

/// The buyer who redeems.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redeemer {
    pub(crate) user_id: Option<UserId>,
    /// The identifiers by which limits per user count.
    pub(crate) person: Person,
}

/// The address under which all buyers without an account or address are counted as one person, so that limits per user
/// apply to them too.
const ANONYMOUS: &str = "-";

impl Redeemer {
    pub(crate) fn new(buyer: &Buyer) -> Self {
        Self { user_id: buyer.user_id, person: buyer.person() }
    }

    /// The buyer, or the common anonymous person if the buyer has no identity.
    pub(crate) fn or_anonymous(mut self) -> Self {
        if self.person.is_unknown() {
            self.person.keys.push(PersonKey { name: ANONYMOUS.to_owned(), exact: None });
        }
        self
    }

    /// The identifiers other than the account, at most two.
    pub(crate) fn emails(&self) -> impl Iterator<Item = &PersonKey> {
        let account = self.user_id.map(|id| format!("user:{id}"));
        self.person.keys.iter().filter(move |key| account.as_ref() != Some(&key.name))
    }
}

impl Redemption {
    /// The person's identifiers other than the account.
    pub(crate) fn emails(&self) -> impl Iterator<Item = PersonKey> {
        let columns = [(&self.email, &self.email_exact), (&self.other_email, &self.other_exact)];
        columns.into_iter().filter_map(|(name, exact)| Some(PersonKey { name: name.clone()?, exact: exact.clone() }))
    }
}
