//! The engines against servers that the tests start.
