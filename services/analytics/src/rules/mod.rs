//! The pure domain: what an order counts for, buckets of time and what they add up to, periods in the store's zone.

pub(crate) mod counting;
pub(crate) mod cover;
pub(crate) mod measures;
pub(crate) mod members;
pub(crate) mod metric;
pub(crate) mod period;
pub(crate) mod ratios;
pub(crate) mod rfm;
pub(crate) mod sold;
#[cfg(test)]
mod tests;
