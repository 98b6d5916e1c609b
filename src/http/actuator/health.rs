//! Health: whether the process is alive, whether it takes requests, and the state of its parts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use serde_json::Value;

/// A check of one part: details when it is healthy, a sentence when it is not.
pub type Component = Box<dyn Fn() -> Result<Value, String> + Send + Sync>;

/// The health of the server. Clones share it.
#[derive(Clone, Default)]
pub struct Health(Arc<Inner>);

#[derive(Default)]
struct Inner {
    ready: AtomicBool,
    components: RwLock<BTreeMap<&'static str, Component>>,
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Health {{ ready: {} }}", self.is_ready())
    }
}

impl Health {
    /// Adds a part that is checked whenever the server's health is requested.
    pub fn add(&self, name: &'static str, component: Component) {
        self.0.components.write().insert(name, component);
    }

    /// Sets whether requests are taken: after recovery, until shutdown.
    pub(crate) fn set_ready(&self, ready: bool) {
        self.0.ready.store(ready, Ordering::Release);
    }

    /// Whether requests are taken.
    pub(crate) fn is_ready(&self) -> bool {
        self.0.ready.load(Ordering::Acquire)
    }

    /// The state of every part.
    pub(crate) fn check(&self) -> BTreeMap<&'static str, Result<Value, String>> {
        self.0.components.read().iter().map(|(name, component)| (*name, component())).collect()
    }
}
