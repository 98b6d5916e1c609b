//! Covers, periods, sets and ranks as tables of data and against plain models.

mod covering;
mod periods;
mod sets;
