//! Flash sale service: stock set aside and sold fast.
