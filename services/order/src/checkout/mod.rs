//! The checkout: hold, take the payment, confirm, and compensate when a step fails.
//!
//! A saga row says which step comes next and who drives it. Every step is recorded before it acts, can be repeated, and
//! is resumed after a crash. Holds do not expire while their saga is running. The payment is the point of no return: a
//! failure before it is compensated, after it the saga only goes forward.

mod compensate;
pub(crate) mod draft;
mod driver;
mod holds;
mod opening;
mod prepare;
pub(crate) mod rows;
pub(crate) mod transitions;

pub(crate) use driver::Driver;
