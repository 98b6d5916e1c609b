//! The registry in memory. Everything that changes it goes through the methods here, each of which names the time, so that
//! nodes which apply the same calls have the same registry.

mod changes;
mod entry;
mod own;

use std::collections::BTreeMap;

use promox_contract::discovery::{RegisteredInstance, RegisteredInstances};
use promox_kernel::{Error, Timestamp};

use crate::rules::format::Format;
use crate::rules::registration::Registration;
use crate::rules::renewals::{self, Renewals};
use crate::rules::view::{self, Action, Rendered};
use crate::{DiscoverySettings, reject};
use changes::Changes;
pub(crate) use entry::Entry;
pub use own::OwnInstance;

/// The share of all instances, in per cent, that one pass may evict, as in Eureka.
const EVICTED_PERCENT: usize = 15;

/// The kind of a virtual address.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Vip {
    Plain,
    Secure,
}

/// The registered instances, and the services of this process.
#[derive(Debug)]
pub(crate) struct Registry {
    max_instances: usize,
    self_preservation: bool,
    renewal_percent: u64,
    apps: BTreeMap<String, BTreeMap<String, Entry>>,
    own: BTreeMap<String, BTreeMap<String, Entry>>,
    /// The number of registered instances.
    count: usize,
    epoch: u64,
    changes: Changes,
    renewals: Renewals,
}

/// What an operator sees of the registry as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) instances: usize,
    pub(crate) renewals_last_minute: u64,
    pub(crate) threshold: u64,
    /// Whether instances whose leases have expired are kept.
    pub(crate) preserves: bool,
}

impl Registry {
    pub(crate) fn new(settings: &DiscoverySettings) -> Self {
        Self {
            max_instances: settings.max_instances,
            self_preservation: settings.self_preservation,
            renewal_percent: settings.renewal_percent,
            apps: BTreeMap::new(),
            own: BTreeMap::new(),
            count: 0,
            epoch: 0,
            changes: Changes::default(),
            renewals: Renewals::default(),
        }
    }

    /// Begins epochs that are later than those of any earlier start.
    pub(crate) fn begin(&mut self, now: Timestamp) {
        self.epoch = self.epoch.max(now.0.unsigned_abs());
    }

    /// Shows these services in place of those shown before.
    pub(crate) fn announce(&mut self, now: Timestamp, own: &[OwnInstance]) {
        self.own.clear();
        for instance in own {
            let entry = Entry::new(instance.registration(now), None, now);
            let (app, id) = (entry.registration.app.clone(), entry.registration.id.clone());
            self.own.entry(app).or_default().insert(id, entry);
        }
    }

    /// Whether the name belongs to a service of this process.
    pub(crate) fn is_own(&self, app: &str) -> bool {
        self.own.contains_key(app)
    }

    fn entry(&self, app: &str, id: &str) -> Option<&Entry> {
        self.apps.get(app).or_else(|| self.own.get(app))?.get(id)
    }

    /// All applications with their instances, by name.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&String, &BTreeMap<String, Entry>)> {
        self.own.iter().chain(&self.apps)
    }

    /// Records a change of an entry.
    fn record(&mut self, now: Timestamp, app: &str, id: &str, action: Action) {
        self.epoch += 1;
        if let Some(entry) = self.apps.get_mut(app).and_then(|instances| instances.get_mut(id)) {
            entry.updated_at = now;
            entry.render(action);
            self.changes.push(now, app, id, entry.rendered.clone());
        }
    }

    /// Adds an instance, or replaces it. An instance that registered later, by its own clock, is kept.
    pub(crate) fn register(&mut self, now: Timestamp, registration: Registration) -> Result<(), Error> {
        let (app, id) = (registration.app.clone(), registration.id.clone());
        let known = self.apps.get_mut(&app).and_then(|instances| instances.get_mut(&id));
        let action = match known {
            Some(known) if known.registration.dirty_at > registration.dirty_at => {
                known.renewed_at = now;
                return Ok(());
            }
            Some(known) => {
                *known = Entry::new(registration, Some(known), now);
                Action::Modified
            }
            None if self.count >= self.max_instances => return Err(reject::full(self.max_instances)),
            None => {
                self.count += 1;
                let entry = Entry::new(registration, None, now);
                self.apps.entry(app.clone()).or_default().insert(id.clone(), entry);
                Action::Added
            }
        };
        self.record(now, &app, &id, action);
        Ok(())
    }

    /// Renews a lease. Returns `false` if the instance is unknown, or has changed since it registered.
    pub(crate) fn renew(&mut self, now: Timestamp, app: &str, id: &str, dirty_at: Option<i64>) -> bool {
        let entry = self.apps.get_mut(app).and_then(|instances| instances.get_mut(id));
        let Some(entry) = entry.filter(|entry| dirty_at.is_none_or(|at| at <= entry.registration.dirty_at)) else {
            return false;
        };
        entry.renewed_at = now;
        self.renewals.record(now);
        true
    }

    /// Changes an instance. Returns whether it exists.
    pub(crate) fn change(&mut self, now: Timestamp, app: &str, id: &str, change: impl FnOnce(&mut Entry)) -> bool {
        let Some(entry) = self.apps.get_mut(app).and_then(|instances| instances.get_mut(id)) else { return false };
        change(entry);
        entry.note_status(now);
        self.record(now, app, id, Action::Modified);
        true
    }

    /// The metadata of a registered instance.
    pub(crate) fn metadata(&self, app: &str, id: &str) -> Option<BTreeMap<String, String>> {
        self.apps.get(app)?.get(id).map(|entry| entry.registration.metadata.clone())
    }

    /// Removes an instance. Returns whether it existed.
    pub(crate) fn cancel(&mut self, now: Timestamp, app: &str, id: &str) -> bool {
        if !self.apps.get(app).is_some_and(|instances| instances.contains_key(id)) {
            return false;
        }
        self.record(now, app, id, Action::Deleted);
        if let Some(instances) = self.apps.get_mut(app) {
            instances.remove(id);
            if instances.is_empty() {
                self.apps.remove(app);
            }
        }
        self.count -= 1;
        true
    }

    pub(crate) fn totals(&self, now: Timestamp) -> Totals {
        let intervals = self.apps.values().flat_map(BTreeMap::values).map(|entry| entry.registration.renewal);
        let threshold = renewals::threshold(intervals, self.renewal_percent);
        let renewals_last_minute = self.renewals.last_minute(now);
        let preserves = self.self_preservation && self.count > 0 && renewals_last_minute <= threshold;
        Totals { instances: self.count, renewals_last_minute, threshold, preserves }
    }

    /// Removes instances whose leases have expired, those that expired first and at most a share of all, unless too few
    /// instances renewed theirs. Returns their applications and ids.
    pub(crate) fn evict(&mut self, now: Timestamp) -> Vec<(String, String)> {
        if self.totals(now).preserves {
            return Vec::new();
        }
        let all =
            self.apps.iter().flat_map(|(app, instances)| instances.iter().map(move |(id, entry)| (app, id, entry)));
        let expired = all.filter(|(_, _, entry)| entry.expires_at() < now);
        let mut expired: Vec<_> =
            expired.map(|(app, id, entry)| (entry.expires_at(), app.clone(), id.clone())).collect();
        expired.sort();
        expired.truncate((self.count * EVICTED_PERCENT).div_ceil(100));
        let evicted: Vec<(String, String)> = expired.into_iter().map(|(_, app, id)| (app, id)).collect();
        for (app, id) in &evicted {
            self.cancel(now, app, id);
        }
        evicted
    }

    fn hash(&self) -> String {
        let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
        for entry in self.all().flat_map(|(_, instances)| instances.values()) {
            *counts.entry(entry.status().as_str()).or_default() += 1;
        }
        view::hash(&counts)
    }

    /// The document of the instances that `keep` chooses.
    pub(crate) fn applications(&self, format: Format, keep: impl Fn(&Entry) -> bool) -> String {
        let kept = |(app, instances): (&String, &BTreeMap<String, Entry>)| {
            let kept = instances.values().filter(|entry| keep(entry)).map(|entry| &*entry.rendered);
            view::application(format, app, kept)
        };
        let texts: Vec<String> = self.all().filter_map(kept).collect();
        view::applications(format, 1, &self.hash(), &texts)
    }

    /// The document of the changes of the last minutes.
    pub(crate) fn delta(&mut self, now: Timestamp, format: Format) -> String {
        let changed = self.changes.recent(now);
        let texts: Vec<String> = changed
            .iter()
            .filter_map(|(app, instances)| view::application(format, app, instances.iter().copied()))
            .collect();
        view::applications(format, self.epoch, &self.hash(), &texts)
    }

    /// The document of an application; `None` if it has no instances.
    pub(crate) fn application(&self, format: Format, app: &str) -> Option<String> {
        let instances = self.apps.get(app).or_else(|| self.own.get(app))?;
        let text = view::application(format, app, instances.values().map(|entry| &*entry.rendered))?;
        Some(view::single(format, "application", &text))
    }

    /// The document of an instance of an application, or of any.
    pub(crate) fn instance(&self, format: Format, app: Option<&str>, id: &str) -> Option<String> {
        let entry = match app {
            Some(app) => self.entry(app, id),
            None => self.all().find_map(|(_, instances)| instances.get(id)),
        };
        let entry = entry?;
        let rendered = Rendered::of(&entry.registration, &entry.lease(), entry.action);
        Some(view::single(format, "instance", rendered.text(format)))
    }

    /// The document of the instances with a virtual address; `None` if there are none.
    pub(crate) fn by_vip(&self, format: Format, kind: Vip, vip: &str) -> Option<String> {
        let name = match kind {
            Vip::Plain => "vipAddress",
            Vip::Secure => "secureVipAddress",
        };
        let has = |entry: &Entry| entry.registration.text(name).split(',').any(|own| own.trim() == vip);
        let exists = self.all().any(|(_, instances)| instances.values().any(has));
        exists.then(|| self.applications(format, has))
    }

    /// The registered instances, unless the epoch is known.
    pub(crate) fn list(&self, app: Option<&str>, known_epoch: Option<u64>) -> RegisteredInstances {
        if known_epoch == Some(self.epoch) {
            return RegisteredInstances { epoch: self.epoch, items: None };
        }
        let app = app.map(str::to_uppercase);
        let wanted = self.apps.iter().filter(|(name, _)| app.as_ref().is_none_or(|app| app == *name));
        let items = wanted.flat_map(|(_, instances)| instances.values().map(listed)).collect();
        RegisteredInstances { epoch: self.epoch, items: Some(items) }
    }
}

fn listed(entry: &Entry) -> RegisteredInstance {
    let registration = &entry.registration;
    RegisteredInstance {
        app: registration.app.clone(),
        id: registration.id.clone(),
        host: registration.host.clone(),
        ip: registration.ip.clone(),
        port: registration.port.open(),
        secure_port: registration.secure_port.open(),
        status: entry.status(),
        metadata: registration.metadata.clone(),
        registered_at: entry.registered_at,
        renewed_at: entry.renewed_at,
    }
}
