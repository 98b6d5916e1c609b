//! Tests of covers, periods, sets and ranks, by tables of examples and against plain models.

mod covering;
mod periods;
mod sets;
