//! The SQL schema: `fixtures/schema.sql` is generated from the tables, so that reviews see every change of them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports what is wrong by panicking")]

use std::path::{Path, PathBuf};

use promox_servers::Postgres;

/// The tables of each database whose names are part of the contract.
const NAMED_TABLES: [(&str, &[&str]); 2] = [
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
fn the_named_tables_exist_in_their_databases() {
    let schema = promox::node::schema().unwrap();
    let tables: Vec<String> = schema.tables().iter().map(|table| table.full_name()).collect();
    let named =
        NAMED_TABLES.iter().flat_map(|(database, names)| names.iter().map(move |name| format!("{database}.{name}")));
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
fn postgres_accepts_the_schema() {
    let server = Postgres::start();
    server.psql("postgres", &["-f", fixture().to_str().unwrap()]);
    for (database, names) in NAMED_TABLES {
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
    check_key_comparison(&server);
}

/// Checks that PostgreSQL compares keys as the store does: folded texts ignore case, and nulls sort first or are not
/// indexed.
fn check_key_comparison(server: &Postgres) {
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
fn the_schema_fixture_is_up_to_date() {
    let file = fixture();
    let ddl = promox::node::schema().unwrap().sql_script();
    if std::env::var_os("PROMOX_WRITE_SCHEMA").is_some() {
        std::fs::write(&file, &ddl).unwrap();
    }
    let reviewed = std::fs::read_to_string(&file).unwrap_or_default();
    let difference = ddl.lines().zip(reviewed.lines()).find(|(actual, expected)| actual != expected);
    assert!(
        ddl == reviewed,
        "the tables differ from fixtures/schema.sql, first at {difference:?}. Columns may only be added, at the end of their \
         table and with a default, and numbers may not be reused. To update the file, run \
         PROMOX_WRITE_SCHEMA=1 cargo test --test schema"
    );
}
