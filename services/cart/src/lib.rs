//! Cart service: guest and user carts, merge.
