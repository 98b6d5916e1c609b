//! The schema as review sees it: a change of a table is a change of `fixtures/schema.sql`, in the same commit.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by failing")]

use std::path::Path;

/// The tables of both databases that clients of the databases know by name.
const NAMED: [(&str, &[&str]); 2] = [
    (
        "ecommerce",
        &[
            "products",
            "categories",
            "inventory",
            "orders",
            "order_items",
            "payments",
            "users",
            "roles",
            "permissions",
            "carts",
            "cart_items",
            "notifications",
        ],
    ),
    (
        "promox",
        &[
            "campaigns",
            "promotions",
            "promotion_rules",
            "promotion_usage_log",
            "flash_sales",
            "flash_sale_purchases",
            "coupons",
            "coupon_redemptions",
            "reward_accounts",
            "point_transactions",
            "achievements",
            "user_achievements",
            "campaign_analytics",
            "promotion_analytics",
        ],
    ),
];

#[test]
fn the_named_tables_are_in_their_databases() {
    let schema = promox::node::schema().unwrap();
    let tables: Vec<String> = schema.tables().iter().map(|table| table.full_name()).collect();
    let named = NAMED.iter().flat_map(|(database, names)| names.iter().map(move |name| format!("{database}.{name}")));
    let named: Vec<String> = named.collect();
    assert_eq!(named.len(), 26);
    for name in named {
        assert_eq!(tables.iter().filter(|table| **table == name).count(), 1, "{name}");
    }
}

#[test]
fn the_schema_is_the_one_that_was_reviewed() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/schema.sql");
    let ddl = promox::node::schema().unwrap().ddl();
    if std::env::var_os("PROMOX_WRITE_SCHEMA").is_some() {
        std::fs::write(&file, &ddl).unwrap();
    }
    let reviewed = std::fs::read_to_string(&file).unwrap_or_default();
    let changed = ddl.lines().zip(reviewed.lines()).find(|(now, then)| now != then);
    assert!(
        ddl == reviewed,
        "the tables are not those of fixtures/schema.sql, first at {changed:?}. Columns may only be added, at the end of \
         their table and with a default; numbers are given once. If that is kept: PROMOX_WRITE_SCHEMA=1 cargo test --test schema"
    );
}
