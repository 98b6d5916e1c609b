//! What others ask of the reward service.
