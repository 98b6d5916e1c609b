//! The counters of gates in the memory of one node.

use std::collections::HashMap;
use std::fmt;
use std::future::ready;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use promox_kernel::UserId;

use super::engine::{DoubtId, GateCounts, GateEngine, GateFuture, GateKey, GateLoad, GateMark, GateUnits, Taking};
use super::gate::Gate;

/// Gates in memory. Every call is done when it returns.
#[derive(Default)]
pub struct MemoryGates {
    groups: RwLock<HashMap<GateKey, Group>>,
    /// Counts what a load that is under way may have missed: returns, and units kept of counters that are gone.
    missed: AtomicU64,
    loads: AtomicU64,
}

struct Group {
    load: GateLoad,
    gates: Vec<Gate>,
}

impl Group {
    fn gate(&self, number: u32) -> Option<&Gate> {
        self.gates.get(usize::try_from(number).ok()?)
    }

    fn give(&self, units: GateUnits) {
        if let Some(gate) = self.gate(units.gate) {
            gate.give(units.user, units.quantity);
        }
    }
}

impl fmt::Debug for MemoryGates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} groups of gates", self.groups.read().len())
    }
}

impl MemoryGates {
    /// What is left at each gate of a group, and what users have of it, by user.
    pub fn state(&self, group: GateKey) -> Option<Vec<(i64, Vec<(UserId, i64)>)>> {
        Some(self.groups.read().get(&group)?.gates.iter().map(Gate::state).collect())
    }

    /// Drops all counters.
    pub fn clear(&self) {
        let mut groups = self.groups.write();
        self.missed.fetch_add(1, Ordering::AcqRel);
        groups.clear();
    }

    fn return_taken(&self, units: GateUnits, from: GateLoad) {
        if let Some(group) = self.groups.read().get(&units.group).filter(|group| group.load == from) {
            group.give(units);
        }
    }
}

impl GateEngine for MemoryGates {
    fn mark(&self) -> GateFuture<'_, GateMark> {
        Box::pin(ready(GateMark(self.missed.load(Ordering::Acquire))))
    }

    fn install(&self, group: GateKey, gates: Vec<GateCounts>, mark: GateMark) -> GateFuture<'_, bool> {
        let mut groups = self.groups.write();
        let stands = groups.contains_key(&group);
        let current = self.missed.load(Ordering::Acquire) == mark.0;
        if !stands && current {
            let load = GateLoad(self.loads.fetch_add(1, Ordering::AcqRel));
            let gates = gates.into_iter().map(|it| Gate::new(it.left, it.limit, it.users)).collect();
            groups.insert(group, Group { load, gates });
        }
        Box::pin(ready(stands || current))
    }

    fn take(&self, units: GateUnits) -> GateFuture<'_, Taking> {
        let groups = self.groups.read();
        let taking = match groups.get(&units.group).and_then(|group| Some((group.load, group.gate(units.gate)?))) {
            None => Taking::Absent,
            Some((load, gate)) => match gate.take(units.user, units.quantity) {
                Ok(()) => Taking::Taken(load),
                Err(refusal) => Taking::Refused(refusal),
            },
        };
        Box::pin(ready(taking))
    }

    fn keep(&self, units: GateUnits, from: Option<GateLoad>) -> GateFuture<'_, ()> {
        let stands =
            |groups: &HashMap<GateKey, Group>| from.is_some() && groups.get(&units.group).map(|it| it.load) == from;
        if !stands(&self.groups.read()) {
            let mut groups = self.groups.write();
            self.missed.fetch_add(1, Ordering::AcqRel);
            groups.remove(&units.group);
        }
        Box::pin(ready(()))
    }

    fn give_back(&self, units: GateUnits, from: GateLoad) -> GateFuture<'_, ()> {
        self.return_taken(units, from);
        Box::pin(ready(()))
    }

    fn abandon(&self, units: GateUnits, from: GateLoad) {
        self.return_taken(units, from);
    }

    fn doubt(&self) -> GateFuture<'_, DoubtId> {
        // Nothing outlives the node, so an open doubt needs no trace.
        Box::pin(ready(DoubtId(0)))
    }

    fn settle(&self, _: DoubtId, freed: Vec<GateUnits>) -> GateFuture<'_, ()> {
        if !freed.is_empty() {
            let groups = self.groups.read();
            self.missed.fetch_add(1, Ordering::AcqRel);
            for units in freed {
                if let Some(group) = groups.get(&units.group) {
                    group.give(units);
                }
            }
        }
        Box::pin(ready(()))
    }

    fn abandon_doubt(&self, _: DoubtId) {
        self.clear();
    }

    fn forget(&self, group: GateKey) -> GateFuture<'_, ()> {
        self.groups.write().remove(&group);
        Box::pin(ready(()))
    }
}
