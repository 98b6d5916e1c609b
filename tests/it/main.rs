//! Black-box tests: a whole node behind a real socket, each scenario closing with the auditor.

mod checkout;
mod client;
mod shop;
