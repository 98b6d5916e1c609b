//! The checkout: price, hold, take the payment, confirm; and undo in reverse what a failed step leaves behind.
//!
//! A saga row says what comes next and who drives it. Every step is written down before it acts, is idempotent, and is taken
//! up again after a crash. Holds are pinned from the start, so that nothing lapses under a saga that lives. The payment
//! provider's answer is the point of no return: before it undo, after it go forward.

mod draft;
mod drive;
mod hold;
mod opening;
mod prepare;
mod quotes;
pub(crate) mod steps;
mod undo;

pub(crate) use draft::{Draft, Extras, NewOrder, StoredClaim, Undo};
pub(crate) use drive::Driver;
pub(crate) use opening::{Confirmation, Opening};
pub(crate) use prepare::{Asker, OrderedCart};
pub(crate) use quotes::Quotes;
pub(crate) use steps::{confirm_paid, note_failed_payment};
