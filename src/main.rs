//! promox.
fn main() {}
