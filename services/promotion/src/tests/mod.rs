//! The service on the memory engine, beside a desk that plays the other services; every scenario closes with the auditor.

mod calculating;
mod carts;
mod desk;
mod editing;
mod persons;
mod rule_rows;
mod using;
