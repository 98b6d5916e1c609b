//! Domain rules: the points that orders earn, the value of points, tiers, dates, achievements.

pub(crate) mod achievement;
pub(crate) mod calendar;
pub(crate) mod ladder;
pub(crate) mod progress;
pub(crate) mod returns;
pub(crate) mod worth;
