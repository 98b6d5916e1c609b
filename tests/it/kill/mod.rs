//! A process is killed at any moment under load and started again: nothing is lost or done twice.

mod after_sale;
mod checkout;
mod flash_sale;
mod points;
