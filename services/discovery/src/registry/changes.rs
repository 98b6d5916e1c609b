//! The last change of each instance in the last minutes, from which deltas are made.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use promox_kernel::Timestamp;

use crate::rules::view::Rendered;

/// How long a change is part of deltas: clients fetch them every 30 seconds.
const RETENTION: Duration = Duration::from_secs(180);

/// One change.
#[derive(Debug)]
struct Change {
    at: Timestamp,
    app: String,
    id: String,
    rendered: Arc<Rendered>,
}

/// The changes, oldest first. An instance that changes again replaces its change, so there are at most as many as
/// instances that were registered lately.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    next: u64,
    list: BTreeMap<u64, Change>,
    numbers: HashMap<(String, String), u64>,
}

impl Changes {
    pub(crate) fn push(&mut self, now: Timestamp, app: &str, id: &str, rendered: Arc<Rendered>) {
        self.drop_old(now);
        self.next += 1;
        if let Some(earlier) = self.numbers.insert((app.to_owned(), id.to_owned()), self.next) {
            self.list.remove(&earlier);
        }
        self.list.insert(self.next, Change { at: now, app: app.to_owned(), id: id.to_owned(), rendered });
    }

    fn drop_old(&mut self, now: Timestamp) {
        while let Some(oldest) = self.list.first_entry().filter(|oldest| oldest.get().at + RETENTION < now) {
            let change = oldest.remove();
            self.numbers.remove(&(change.app, change.id));
        }
    }

    /// The changes of the last minutes by application.
    pub(crate) fn recent(&mut self, now: Timestamp) -> BTreeMap<&str, Vec<&Rendered>> {
        self.drop_old(now);
        let mut recent: BTreeMap<&str, Vec<&Rendered>> = BTreeMap::new();
        for change in self.list.values() {
            recent.entry(&change.app).or_default().push(&change.rendered);
        }
        recent
    }
}
