//! Rewards on the memory engine, each scenario closed by the auditor.
