//! The identity of a person in the rows of redemptions.

use promox_contract::buyer::{Buyer, Person, PersonKey};
use promox_kernel::UserId;

use crate::records::Redemption;

/// The buyer who redeems.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redeemer {
    pub(crate) user_id: Option<UserId>,
    /// The person that limits per user count.
    pub(crate) person: Person,
}

/// The address that buyers without an account or address are counted under, as one person, so that limits per user
/// apply to them.
const NOBODY: &str = "-";

impl Redeemer {
    pub(crate) fn new(buyer: &Buyer) -> Self {
        Self { user_id: buyer.user_id, person: buyer.person() }
    }

    /// The buyer; one without an identity is the common anonymous person.
    pub(crate) fn or_nobody(mut self) -> Self {
        if self.person.is_unknown() {
            self.person.keys.push(PersonKey { name: NOBODY.to_owned(), exact: None });
        }
        self
    }

    /// The addresses, two at most.
    pub(crate) fn emails(&self) -> impl Iterator<Item = &PersonKey> {
        let account = self.user_id.map(|id| format!("user:{id}"));
        self.person.keys.iter().filter(move |key| account.as_ref() != Some(&key.name))
    }
}

impl Redemption {
    /// The person's identifiers besides the account.
    pub(crate) fn emails(&self) -> impl Iterator<Item = PersonKey> {
        let columns = [(&self.email, &self.email_exact), (&self.other_email, &self.other_exact)];
        columns.into_iter().filter_map(|(name, exact)| Some(PersonKey { name: name.clone()?, exact: exact.clone() }))
    }
}
