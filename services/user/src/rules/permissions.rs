//! Permissions and the built-in roles.

use std::collections::BTreeSet;

use promox_kernel::multiline;

/// Has every permission; the last user with it keeps it.
pub(crate) const ADMIN: &str = "ADMIN";
/// The role of everyone who registers.
pub(crate) const CUSTOMER: &str = "CUSTOMER";

/// A role as it is at the first start.
pub(crate) struct Seed {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) permissions: &'static [&'static str],
}

/// The roles of a new store. ADMIN needs no list: it has every permission.
pub(crate) const SEEDS: [Seed; 4] = [
    Seed { name: ADMIN, description: "Everything.", permissions: &[] },
    Seed { name: CUSTOMER, description: "Their own account, cart and orders.", permissions: &[] },
    Seed { name: "MANAGER", description: "Manages the shop; reads payments and users.", permissions: MANAGER },
    Seed { name: "SUPPORT", description: "Supports customers: orders, returns, refunds.", permissions: SUPPORT },
];

const MANAGER: &[&str] = &[
    "analytics:read",
    "analytics:write",
    "campaign:write",
    "coupon:read",
    "coupon:redeem",
    "coupon:write",
    "flashsale:write",
    "inventory:read",
    "inventory:write",
    "order:cancel",
    "order:fulfil",
    "order:import",
    "order:read",
    "order:return",
    "payment:read",
    "product:read",
    "product:write",
    "promotion:read",
    "promotion:write",
    "reward:read",
    "reward:write",
    "settings:write",
    "user:read",
];

const SUPPORT: &[&str] =
    &["order:cancel", "order:fulfil", "order:read", "order:return", "payment:read", "payment:refund", "user:read"];

/// Permissions added in this release: a role that is unchanged since an earlier release gets them.
pub(crate) const GAINED: [(&str, &str); 1] = [("MANAGER", "analytics:write")];

/// Permissions that no route names, because a handler checks them.
const ELSEWHERE: &[&str] = &["notification:read", "notification:write", "ops:read", "payment:write", "webhook:write"];

/// Every permission: those that operations require, and those of the seeded roles.
pub(crate) fn every(named: BTreeSet<String>) -> BTreeSet<String> {
    let seeded = SEEDS.iter().flat_map(|seed| seed.permissions).chain(ELSEWHERE);
    seeded.map(|name| (*name).to_owned()).chain(named).collect()
}

/// Whether a role is built in.
pub(crate) fn is_built_in(role: &str) -> bool {
    role == ADMIN || role == CUSTOMER
}

/// Checks a new role's name.
pub(crate) fn role_name(name: &str) -> Result<String, String> {
    let well_formed = name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        && (2..=40).contains(&name.len());
    if well_formed {
        Ok(name.to_owned())
    } else {
        Err("must be 2 to 40 of A-Z, 0-9 and _, starting with a letter".to_owned())
    }
}

/// Checks a role's description.
pub(crate) fn description(text: &str) -> Result<String, String> {
    multiline(text, 0, 500)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_names_are_upper_snake() {
        for (name, good) in
            [("STORE_CLERK2", true), ("A", false), ("_A", false), ("2A", false), ("clerk", false), ("A B", false)]
        {
            assert_eq!(role_name(name).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn permissions_are_resource_and_action() {
        for permission in every(BTreeSet::from(["audit:read".to_owned()])) {
            assert_eq!(permission.split(':').count(), 2, "{permission}");
        }
    }
}
