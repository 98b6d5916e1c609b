//! Logging to standard error, with levels that can be changed while the server runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, fmt, reload};

use crate::config::{Log, LogFormat};

type Apply = dyn Fn(Targets) -> bool + Send + Sync;

/// The current levels by target, shared by clones.
#[derive(Clone)]
pub struct Levels(Arc<Inner>);

struct Inner {
    levels: Mutex<BTreeMap<String, LevelFilter>>,
    apply: Box<Apply>,
}

impl std::fmt::Debug for Levels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.list()).finish()
    }
}

/// The name of the default level.
pub const ROOT: &str = "root";

impl Levels {
    /// Parses levels such as `info,promox=debug`; `apply` makes them current.
    pub fn new(text: &str, apply: impl Fn(Targets) -> bool + Send + Sync + 'static) -> Self {
        let levels = Self(Arc::new(Inner { levels: Mutex::new(parse(text)), apply: Box::new(apply) }));
        levels.enforce();
        levels
    }

    /// Levels without effect, for a server in a process that does its own logging.
    pub fn detached() -> Self {
        Self::new("off", |_| true)
    }

    /// Replaces all levels by those of a text such as `info,promox=debug`.
    pub fn replace(&self, text: &str) {
        *self.0.levels.lock() = parse(text);
        self.enforce();
    }

    /// Every target with a level of its own, and `root`.
    pub fn list(&self) -> BTreeMap<String, String> {
        self.0.levels.lock().iter().map(|(target, level)| (target.clone(), level.to_string())).collect()
    }

    /// Sets a target's level, or removes it with `None`. The level of `root` cannot be removed. Returns whether the change
    /// took effect.
    pub fn set(&self, target: &str, level: Option<LevelFilter>) -> bool {
        {
            let mut levels = self.0.levels.lock();
            match level {
                Some(level) => drop(levels.insert(target.to_owned(), level)),
                None if target == ROOT => return false,
                None => drop(levels.remove(target)),
            }
        }
        self.enforce()
    }

    fn enforce(&self) -> bool {
        let levels = self.0.levels.lock();
        let root = levels.get(ROOT).copied().unwrap_or(LevelFilter::OFF);
        let named = levels.iter().filter(|(target, _)| *target != ROOT);
        let targets = Targets::new().with_default(root).with_targets(named.map(|(name, level)| (name.clone(), *level)));
        (self.0.apply)(targets)
    }
}

fn parse(text: &str) -> BTreeMap<String, LevelFilter> {
    let targets: Targets = text.parse().unwrap_or_default();
    let mut levels: BTreeMap<String, LevelFilter> =
        targets.iter().map(|(target, level)| (target.to_owned(), level)).collect();
    levels.insert(ROOT.to_owned(), targets.default_level().unwrap_or(LevelFilter::OFF));
    levels
}

/// Starts logging for the whole process. Only the first call has an effect on the output.
pub fn start(settings: &Log) -> Levels {
    let (filter, handle) = reload::Layer::<Targets, Registry>::new(Targets::new());
    let lines = match settings.format {
        LogFormat::Text => fmt::layer().with_writer(std::io::stderr).with_ansi(false).boxed(),
        LogFormat::Json => {
            fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(std::io::stderr).boxed()
        }
    };
    // A second start in one process (a test) keeps the first's subscriber.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Levels::new(&settings.level, move |targets| handle.reload(targets).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_change_by_target() {
        let seen = Arc::new(Mutex::new(Targets::new()));
        let applied = seen.clone();
        let levels = Levels::new("warn,promox::http=debug", move |targets| {
            *applied.lock() = targets;
            true
        });
        assert_eq!(
            levels.list().into_iter().collect::<Vec<_>>(),
            [("promox::http".to_owned(), "debug".to_owned()), ("root".to_owned(), "warn".to_owned()),]
        );
        assert!(levels.set("promox::http", None) && levels.set("sqlx", Some(LevelFilter::TRACE)));
        assert!(!levels.set(ROOT, None), "the root keeps a level");
        assert_eq!(seen.lock().to_string(), "sqlx=trace,warn");
        levels.replace("error,promox=info");
        assert_eq!(seen.lock().to_string(), "promox=info,error");
    }
}
