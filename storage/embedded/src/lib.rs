//! The embedded engine: journal, memory table, redb checkpoints, gates, cache, bus.
