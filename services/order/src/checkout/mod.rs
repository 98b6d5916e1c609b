//! The checkout: a saga that takes the holds, takes the payment and confirms the order, or compensates what it did.
//!
//! The saga's row records the next step and the lease of the driver that carries it out. Every step is recorded before
//! it acts, can be repeated, and is resumed after a crash. Holds do not expire while their saga is running. The payment
//! is the point of no return: a failure before it is compensated, and after it the saga only goes forward.

mod compensate;
pub(crate) mod draft;
mod driver;
mod holds;
mod opening;
mod prepare;
pub(crate) mod rows;
pub(crate) mod transitions;
mod validation;

pub(crate) use driver::Driver;
