//! The pure domain: what an order earns, what points are worth, the ladder of tiers, the calendar, achievements.

pub(crate) mod achievement;
pub(crate) mod calendar;
pub(crate) mod ladder;
pub(crate) mod returns;
pub(crate) mod worth;
