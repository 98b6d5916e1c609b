//! Example bodies for operations whose fields alone do not show what a request looks like. A test sends those in
//! `examples.json` to a shop.

use serde_json::{Map, Value};

/// A JSON object with the example bodies by operation.
const EXAMPLES: &str = include_str!("examples.json");

/// All examples; parsed once per document.
pub(crate) struct Examples(Map<String, Value>);

impl Examples {
    pub(crate) fn read() -> Self {
        Self(serde_json::from_str(EXAMPLES).unwrap_or_default())
    }

    /// The example body of an operation.
    pub(crate) fn of(&self, operation: &str) -> Option<&Value> {
        self.0.get(operation)
    }
}
