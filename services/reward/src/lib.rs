//! Reward service: points, tiers, achievements.
