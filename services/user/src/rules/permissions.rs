//! Permissions and the built-in roles.

use std::collections::BTreeSet;

use promox_kernel::multiline;

/// The role of administrators, which has every permission. The last active user with it cannot lose it.
pub(crate) const ADMIN: &str = "ADMIN";
/// The role of every user who registers.
pub(crate) const CUSTOMER: &str = "CUSTOMER";

/// A role that a new store is created with.
pub(crate) struct SeedRole {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) permissions: &'static [&'static str],
}

/// The roles of a new store. ADMIN needs no list because it has every permission.
pub(crate) const SEED_ROLES: [SeedRole; 4] = [
    SeedRole { name: ADMIN, description: "Everything.", permissions: &[] },
    SeedRole { name: CUSTOMER, description: "Their own account, cart and orders.", permissions: &[] },
    SeedRole { name: "MANAGER", description: "Manages the shop; reads payments and users.", permissions: MANAGER },
    SeedRole { name: "SUPPORT", description: "Supports customers: orders, returns, refunds.", permissions: SUPPORT },
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

/// Roles and permissions added to them in this release. A role gets them if it is unchanged since an earlier release.
pub(crate) const ADDED_PERMISSIONS: [(&str, &str); 1] = [("MANAGER", "analytics:write")];

/// Permissions that no operation declares because handlers check them.
const CHECKED_BY_HANDLERS: &[&str] =
    &["hook:write", "notification:read", "notification:write", "ops:read", "payment:write", "webhook:write"];

/// All permissions: those that operations declare (`named`), those that handlers check, and those of the seeded roles.
pub(crate) fn all(named: BTreeSet<String>) -> BTreeSet<String> {
    let seeded = SEED_ROLES.iter().flat_map(|seed| seed.permissions).chain(CHECKED_BY_HANDLERS);
    seeded.map(|name| (*name).to_owned()).chain(named).collect()
}

/// Whether a role is built in and cannot be deleted.
pub(crate) fn is_built_in(role: &str) -> bool {
    role == ADMIN || role == CUSTOMER
}

/// Validates the name of a new role.
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

/// Validates the description of a role.
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
        for permission in all(BTreeSet::from(["audit:read".to_owned()])) {
            assert_eq!(permission.split(':').count(), 2, "{permission}");
        }
    }
}
