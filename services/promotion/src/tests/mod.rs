//! Tests on the memory engine with simulated neighbours. Scenarios end with the auditor.

mod calculate;
mod carts;
mod editing;
mod later_limits;
mod limit_races;
mod limits_per_person;
mod neighbours;
mod rule_rows;
mod uses;
