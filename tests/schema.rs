//! The schema as review sees it: a change of a table is a change of `fixtures/schema.sql`, in the same commit.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by failing")]

use std::path::Path;

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
