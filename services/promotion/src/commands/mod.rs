//! What changes promotions and their uses. Every guard stands before the first write.

pub(crate) mod codes;
pub(crate) mod promotions;
pub(crate) mod rule_rows;
pub(crate) mod uses;
