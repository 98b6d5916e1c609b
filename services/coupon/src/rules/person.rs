//! A buyer, as limits per user count: by account and by normalised address.

use promox_kernel::{Email, UserId};

use super::code::fingerprint;

/// Who redeems. Those who name nobody count as one person, so that a limit per user holds for them too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) user_id: Option<UserId>,
    /// A digest of the address.
    pub(crate) email: Option<String>,
}

/// What stands for the address of somebody who names nobody.
const NOBODY: &str = "-";

impl Person {
    /// Who redeems.
    pub(crate) fn new(user_id: Option<UserId>, email: Option<&Email>) -> Self {
        Self { user_id, email: email.map(|email| fingerprint(&email.normal())) }
    }

    /// Who redeems, nobody being somebody.
    pub(crate) fn or_nobody(mut self) -> Self {
        if self.user_id.is_none() && self.email.is_none() {
            self.email = Some(NOBODY.to_owned());
        }
        self
    }
}
