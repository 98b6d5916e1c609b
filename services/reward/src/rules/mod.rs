//! Domain rules: points earned by orders, the value of points, tiers, the calendar, achievements.

pub(crate) mod achievement;
pub(crate) mod calendar;
pub(crate) mod ladder;
pub(crate) mod progress;
pub(crate) mod returns;
pub(crate) mod worth;
