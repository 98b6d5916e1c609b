//! Payment service: gateway, captures, refunds.
