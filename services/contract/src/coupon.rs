//! What others ask of the coupon service.
