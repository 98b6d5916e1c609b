//! Health: whether the process is alive, whether it takes requests, and the state of its parts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use promox_kernel::BoxFuture;
use serde_json::Value;

/// How long the check of a part may take.
const CHECK_LIMIT: Duration = Duration::from_secs(2);
/// How long the result of a check that waits is reused: anyone may request the health, as often as they like.
const REUSED_FOR: Duration = Duration::from_secs(1);

/// The state of a part: details when it is healthy, a sentence when it is not.
pub(crate) type Checked = Result<Value, String>;
/// A check of one part.
pub type Component = Box<dyn Fn() -> Result<Value, String> + Send + Sync>;
/// A check that reads the store or calls a service.
pub type AsyncComponent = Box<dyn Fn() -> BoxFuture<Result<Value, String>> + Send + Sync>;

/// The health of the server. Clones share it.
#[derive(Clone, Default)]
pub struct Health(Arc<Inner>);

#[derive(Default)]
struct Inner {
    ready: AtomicBool,
    components: RwLock<BTreeMap<&'static str, Arc<Part>>>,
}

/// A part and its check.
enum Part {
    Now(Component),
    Waiting(AsyncComponent, Mutex<Option<(Instant, Checked)>>),
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Health {{ ready: {} }}", self.is_ready())
    }
}

impl Health {
    /// Adds a part that is checked whenever the server's health is requested.
    pub fn add(&self, name: &'static str, component: Component) {
        self.0.components.write().insert(name, Arc::new(Part::Now(component)));
    }

    /// Adds a part whose check waits for the store or a service, at most two seconds. A result is reused for a second.
    pub fn add_async(&self, name: &'static str, component: AsyncComponent) {
        self.0.components.write().insert(name, Arc::new(Part::Waiting(component, Mutex::default())));
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
    pub(crate) async fn check(&self) -> BTreeMap<&'static str, Checked> {
        let components = self.0.components.read().clone();
        let mut checked = BTreeMap::new();
        for (name, component) in components {
            checked.insert(name, component.check().await);
        }
        checked
    }

    /// The state of one part; `None` if there is none with this name.
    pub(crate) async fn check_one(&self, name: &str) -> Option<Checked> {
        let component = self.0.components.read().get(name).cloned()?;
        Some(component.check().await)
    }
}

impl Part {
    async fn check(&self) -> Checked {
        let (component, last) = match self {
            Self::Now(component) => return component(),
            Self::Waiting(component, last) => (component, last),
        };
        if let Some((_, checked)) = last.lock().as_ref().filter(|(at, _)| at.elapsed() < REUSED_FOR) {
            return checked.clone();
        }
        let checked = tokio::time::timeout(CHECK_LIMIT, component()).await;
        let checked = checked.unwrap_or_else(|_| Err("did not answer in time".to_owned()));
        *last.lock() = Some((Instant::now(), checked.clone()));
        checked
    }
}
