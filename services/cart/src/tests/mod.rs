//! Carts on the memory engine, with a small shop answering for the other services.

mod checkout;
mod shop;
mod shopping;
mod sweeping;
