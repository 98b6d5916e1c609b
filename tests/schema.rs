//! The schema as review sees it: a change of a table is a change of `fixtures/schema.sql`, in the same commit.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by failing")]

#[path = "schema/postgres.rs"]
mod postgres;

use std::path::{Path, PathBuf};

use postgres::Postgres;

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

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/schema.sql")
}

#[test]
fn postgres_takes_the_schema() {
    let server = Postgres::start();
    server.psql("postgres", &["-f", fixture().to_str().unwrap()]);
    for (database, names) in NAMED {
        let database = format!("{database}_db");
        let listed = server.psql(&database, &["-c", "select tablename from pg_tables where schemaname = 'public'"]);
        let tables: Vec<&str> = listed.lines().collect();
        let system = promox_storage::SYSTEM_TABLES.iter().map(|table| table.name);
        for name in names.iter().copied().chain(system) {
            assert!(tables.contains(&name), "{name} is not in {database}: {tables:?}");
        }
    }
    let described = server.psql("ecommerce_db", &["-c", "\\d products"]);
    assert!(described.contains("created_at|timestamp with time zone"), "{described}");
    keys_are_compared_as_ours_are(&server);
}

/// Folded texts are one key whatever their case, and nulls stand first or in no index at all.
fn keys_are_compared_as_ours_are(server: &Postgres) {
    let variant = |sku: &str| {
        format!(
            "insert into variants (sku, sku_folded, product_id, former) values ('{sku}', '{}', 1, false)",
            sku.to_lowercase()
        )
    };
    server.psql("ecommerce_db", &["-c", &variant("Blue-Ärmel")]);
    let refused = server.refused("ecommerce_db", &variant("BLUE-ärmel"));
    assert!(refused.contains("variants_pkey"), "{refused}");
    let definitions = server.psql(
        "ecommerce_db",
        &[
            "-c",
            "select indexdef from pg_indexes where indexname in ('users_by_email', 'deliveries_by_due') order by 1",
        ],
    );
    let [delivery, user] = definitions.lines().collect::<Vec<_>>()[..] else { panic!("{definitions}") };
    assert!(user.contains("UNIQUE") && user.ends_with("(email_folded) WHERE (email_folded IS NOT NULL)"), "{user}");
    assert!(delivery.contains("due_at NULLS FIRST, id) WHERE (queue IS NOT NULL)"), "{delivery}");
}

#[test]
fn the_schema_is_the_one_that_was_reviewed() {
    let file = fixture();
    let ddl = promox::node::schema().unwrap().sql_script();
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
