//! The interface of engines that keep the counters of gates, in the memory of one node or in a store that nodes share.
//!
//! Each method is one atomic step, such as a script on a shared store. The counters only follow the rows and decide
//! nothing. If an engine has lost them, they are loaded from the rows again. While it cannot reach them, the rows decide
//! alone.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use promox_kernel::UserId;

use super::GateRefusal;

/// Identifies a group of gates that are loaded together, such as those of one flash sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GateKey {
    /// The kind of object that the group belongs to, such as `"flash sale"`.
    pub kind: &'static str,
    /// The id of that object.
    pub id: i64,
}

/// The counters of a gate, computed from the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateCounts {
    /// The remaining units.
    pub left: i64,
    /// The maximum units of one user, if there is a limit.
    pub limit: Option<u32>,
    /// The units of each user. Empty if there is no limit.
    pub users: Vec<(UserId, i64)>,
}

/// Units of a gate that belong to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateUnits {
    /// The group.
    pub group: GateKey,
    /// The number of the gate in the group, counted from 0.
    pub gate: u32,
    /// The user.
    pub user: UserId,
    /// The number of units.
    pub quantity: u32,
}

/// Identifies one load of a group's counters. It is never reused, even if a shared store loses its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateLoad(pub u64);

/// Marks the start of a load. The engine compares it to find out whether the load may have missed a change since then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateMark(pub u64);

/// Identifies an in-doubt transaction: one that may return units, and whose result is not known to the engine yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoubtId(pub u64);

/// The result of an attempt to take units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeResult {
    /// The units were taken from the counters of this load.
    Taken(GateLoad),
    /// The gate refuses.
    Refused(GateRefusal),
    /// The group has no counters; they have to be loaded first.
    Absent,
    /// The engine cannot reach the counters, so a load would be in vain. The rows decide alone.
    Unreachable,
}

/// The reply of a gate engine, which may be on the network.
pub type GateFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Keeps the counters of gates.
///
/// A node can end between any two calls. An engine that outlives it drops the counters of groups with units or in-doubt
/// transactions that were not settled in time, so that they are loaded again.
pub trait GateEngine: fmt::Debug + Send + Sync + 'static {
    /// Returns the mark for a load. It must be read before the rows.
    fn mark(&self) -> GateFuture<'_, GateMark>;

    /// Installs counters that were read after `mark`, unless they may have missed something since then. Existing
    /// counters of the group are kept, since units may have been taken from them. Returns whether the load is finished:
    /// the group has counters now, or they cannot be reached. Otherwise it has to be repeated.
    fn install(&self, group: GateKey, gates: Vec<GateCounts>, mark: GateMark) -> GateFuture<'_, bool>;

    /// Tries to take units.
    fn take(&self, units: GateUnits) -> GateFuture<'_, TakeResult>;

    /// Notes that a durable row holds the units. `from` identifies the counters that they were taken from, if any. If
    /// other counters have been loaded or are being loaded, they may have missed the row, so the group's counters are
    /// dropped.
    fn keep(&self, units: GateUnits, from: Option<GateLoad>) -> GateFuture<'_, ()>;

    /// Releases units that were taken and not used, if the counters are still those that they were taken from.
    fn release(&self, units: GateUnits, from: GateLoad) -> GateFuture<'_, ()>;

    /// Releases units like [`release`](Self::release), but in the background, because the caller was cancelled.
    fn abandon(&self, units: GateUnits, from: GateLoad);

    /// Notes that a transaction begins that may return units, and is in doubt until it is settled.
    fn doubt(&self) -> GateFuture<'_, DoubtId>;

    /// Returns the units that the in-doubt transaction has returned in the rows. It is no longer in doubt.
    fn settle(&self, doubt: DoubtId, freed: Vec<GateUnits>) -> GateFuture<'_, ()>;

    /// Drops all counters in the background, because it is unknown which units the transaction has returned.
    fn abandon_doubt(&self, doubt: DoubtId);

    /// Drops the counters of a group.
    fn forget(&self, group: GateKey) -> GateFuture<'_, ()>;
}
