//! Covers, periods, sets and ranks as tables of data and compared with plain models.

mod covering;
mod periods;
mod sets;
