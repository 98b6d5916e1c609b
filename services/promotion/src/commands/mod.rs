//! Commands on promotions and their uses. Every check comes before the first write.

pub(crate) mod codes;
pub(crate) mod promotions;
pub(crate) mod recount;
pub(crate) mod rule_rows;
pub(crate) mod uses;
