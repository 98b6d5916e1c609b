//! Carts on the memory engine, with a small shop in place of the other services.

mod checkout;
mod shop;
mod shopping;
mod sweeping;
