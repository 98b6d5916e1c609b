//! The data that must be looked up before a promotion can be evaluated.

use promox_contract::condition::{CustomerField, Field, Test};
use promox_kernel::Sku;

use crate::rules::actions::action::Action;
use crate::rules::language::filter::Filter;
use crate::rules::language::promotion::Limits;

/// The data that must be looked up before a promotion can be evaluated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each says whether one question has to be asked")]
pub struct Needs {
    /// The account's address, age and attributes.
    pub profile: bool,
    /// Earlier orders.
    pub purchases: bool,
    /// The reward tier.
    pub tier: bool,
    /// The segments.
    pub segments: bool,
    /// Remaining limits and budget.
    pub limits: bool,
    /// Prices and stock of gifts.
    pub gifts: Vec<Sku>,
    /// Whether a condition depends on the time.
    pub time: bool,
    /// Whether a condition depends on the buyer or the channel.
    pub who: bool,
}

pub(super) fn needs(when: Option<&Test<Filter>>, actions: &[Action], limits: &Limits) -> Needs {
    let gift = |action: &Action| if let Action::Gift { sku, .. } = action { Some(sku.clone()) } else { None };
    let mut needs = Needs {
        limits: *limits != Limits { when_short: limits.when_short, ..Limits::default() },
        gifts: actions.iter().filter_map(gift).collect(),
        ..Needs::default()
    };
    if let Some(when) = when {
        when.leaves(&mut |leaf| match &leaf.field {
            Field::Customer(field) => {
                needs.who = true;
                needs.of_customer(field);
            }
            Field::Channel => needs.who = true,
            Field::Weekday | Field::Hour => needs.time = true,
            _ => {}
        });
    }
    needs
}

impl Needs {
    fn of_customer(&mut self, field: &CustomerField) {
        match field {
            CustomerField::Tier => self.tier = true,
            CustomerField::Segments => self.segments = true,
            CustomerField::OrderCount | CustomerField::TotalSpent => self.purchases = true,
            CustomerField::RegisteredDays | CustomerField::Email | CustomerField::Attribute(_) => self.profile = true,
            CustomerField::Id | CustomerField::IsGuest => {}
        }
    }

    /// Adds what another promotion needs.
    pub fn add(&mut self, other: &Self) {
        self.profile |= other.profile;
        self.purchases |= other.purchases;
        self.tier |= other.tier;
        self.segments |= other.segments;
        self.limits |= other.limits;
        self.time |= other.time;
        self.who |= other.who;
        self.gifts.extend(other.gifts.iter().cloned());
    }
}
