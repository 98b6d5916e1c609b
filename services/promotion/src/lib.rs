//! Promotion service: rules and discounts.
