//! The service on the memory engine, beside a desk that plays the other services; every scenario closes with the auditor.

mod calculating;
mod carts;
mod desk;
mod editing;
<<<<<<< HEAD
mod persons;
=======
mod rule_rows;
>>>>>>> 8948544 (promotion: keep each condition and action as a typed row)
mod using;
