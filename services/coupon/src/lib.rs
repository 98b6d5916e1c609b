//! Coupon service: codes and redemptions.
