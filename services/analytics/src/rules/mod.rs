//! Rules without I/O: the contribution of an order, buckets of time and their measures, periods in the store's zone.

pub(crate) mod attributed;
pub(crate) mod counting;
pub(crate) mod cover;
pub(crate) mod measures;
pub(crate) mod members;
pub(crate) mod metric;
pub(crate) mod packed;
pub(crate) mod period;
pub(crate) mod ratios;
pub(crate) mod rfm;
pub(crate) mod sold;
pub(crate) mod sum;
#[cfg(test)]
mod tests;
