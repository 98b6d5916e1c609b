//! The gate engine that keeps counters in the memory of one node.

use std::collections::HashMap;
use std::fmt;
use std::future::ready;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use promox_kernel::UserId;

use super::engine::{DoubtId, GateCounts, GateEngine, GateFuture, GateKey, GateLoad, GateMark, GateUnits, TakeResult};
use super::gate::Gate;

/// Gates in memory. Every call has taken effect when it returns, before its future is polled.
#[derive(Default)]
pub struct MemoryGates {
    groups: RwLock<HashMap<GateKey, Group>>,
    /// Counts events that a load in progress may have missed: returned units, and units confirmed without current
    /// counters.
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

    fn release(&self, units: GateUnits) {
        if let Some(gate) = self.gate(units.gate) {
            gate.release(units.user, units.quantity);
        }
    }
}

impl fmt::Debug for MemoryGates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} groups of gates", self.groups.read().len())
    }
}

impl MemoryGates {
    /// Returns the remaining units of each gate of a group, and the units of each user in the order of their ids.
    /// `None` if the group has no counters.
    pub fn state(&self, group: GateKey) -> Option<Vec<(i64, Vec<(UserId, i64)>)>> {
        Some(self.groups.read().get(&group)?.gates.iter().map(Gate::state).collect())
    }

    /// Drops all counters.
    pub fn clear(&self) {
        let mut groups = self.groups.write();
        self.missed.fetch_add(1, Ordering::AcqRel);
        groups.clear();
    }

    fn release_taken(&self, units: GateUnits, from: GateLoad) {
        if let Some(group) = self.groups.read().get(&units.group).filter(|group| group.load == from) {
            group.release(units);
        }
    }
}

impl GateEngine for MemoryGates {
    fn mark(&self) -> GateFuture<'_, GateMark> {
        Box::pin(ready(GateMark(self.missed.load(Ordering::Acquire))))
    }

    fn install(&self, group: GateKey, gates: Vec<GateCounts>, mark: GateMark) -> GateFuture<'_, bool> {
        let mut groups = self.groups.write();
        let exists = groups.contains_key(&group);
        let current = self.missed.load(Ordering::Acquire) == mark.0;
        if !exists && current {
            let load = GateLoad(self.loads.fetch_add(1, Ordering::AcqRel));
            let gates = gates.into_iter().map(|gate| Gate::new(gate.left, gate.limit, gate.users)).collect();
            groups.insert(group, Group { load, gates });
        }
        Box::pin(ready(exists || current))
    }

    fn take(&self, units: GateUnits) -> GateFuture<'_, TakeResult> {
        let groups = self.groups.read();
        let result = match groups.get(&units.group).and_then(|group| Some((group.load, group.gate(units.gate)?))) {
            None => TakeResult::Absent,
            Some((load, gate)) => match gate.take(units.user, units.quantity) {
                Ok(()) => TakeResult::Taken(load),
                Err(refusal) => TakeResult::Refused(refusal),
            },
        };
        Box::pin(ready(result))
    }

    fn keep(&self, units: GateUnits, from: Option<GateLoad>) -> GateFuture<'_, ()> {
        let is_current = |groups: &HashMap<GateKey, Group>| {
            from.is_some() && groups.get(&units.group).map(|group| group.load) == from
        };
        if !is_current(&self.groups.read()) {
            let mut groups = self.groups.write();
            self.missed.fetch_add(1, Ordering::AcqRel);
            groups.remove(&units.group);
        }
        Box::pin(ready(()))
    }

    fn release(&self, units: GateUnits, from: GateLoad) -> GateFuture<'_, ()> {
        self.release_taken(units, from);
        Box::pin(ready(()))
    }

    fn abandon(&self, units: GateUnits, from: GateLoad) {
        self.release_taken(units, from);
    }

    fn doubt(&self) -> GateFuture<'_, DoubtId> {
        // The counters do not outlive the node, so in-doubt transactions need not be recorded.
        Box::pin(ready(DoubtId(0)))
    }

    fn settle(&self, _: DoubtId, freed: Vec<GateUnits>) -> GateFuture<'_, ()> {
        if !freed.is_empty() {
            let groups = self.groups.read();
            self.missed.fetch_add(1, Ordering::AcqRel);
            for units in freed {
                if let Some(group) = groups.get(&units.group) {
                    group.release(units);
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
