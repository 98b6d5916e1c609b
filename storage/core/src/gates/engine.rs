//! What keeps the counters of gates: the memory of one node, or a store that nodes share.
//!
//! Each method is one step, as a script on a shared store is. Counters follow the rows and decide nothing, so whatever an
//! engine has lost, or cannot reach, counts as absent: the rows then decide alone, and counters are loaded from them again.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use promox_kernel::UserId;

use super::GateRefusal;

/// A group of gates that are loaded together: those of one flash sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GateKey {
    /// What the group is of, `"flash sale"`.
    pub kind: &'static str,
    /// The id of what it is of.
    pub id: i64,
}

/// The counters of a gate as the rows have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateCounts {
    /// The remaining units.
    pub left: i64,
    /// The units that a user may have, if there is a limit.
    pub limit: Option<u32>,
    /// What users have, where there is a limit.
    pub users: Vec<(UserId, i64)>,
}

/// Units of a gate for a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateUnits {
    /// The group.
    pub group: GateKey,
    /// The gate in the group, from 0.
    pub gate: u32,
    /// The user.
    pub user: UserId,
    /// The number of units.
    pub quantity: u32,
}

/// Tells a load of a group's counters from every other load, also from those before a shared store lost its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateLoad(pub u64);

/// Tells whether anything that a load may have missed has happened since the mark was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateMark(pub u64);

/// A transaction that may return units has begun and is not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoubtId(pub u64);

/// What became of an attempt to take units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    /// They are taken, from this load's counters.
    Taken(GateLoad),
    /// They are not there.
    Refused(GateRefusal),
    /// The group's counters have to be loaded.
    Absent,
}

/// What an engine is asked for; it may be on the network.
pub type GateFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Keeps the counters of gates.
///
/// A node can end between any two calls. An engine that outlives it drops the counters whose units or doubts nobody has
/// settled in time, so that they are loaded again.
pub trait GateEngine: fmt::Debug + Send + Sync + 'static {
    /// The mark to read before the rows of a load.
    fn mark(&self) -> GateFuture<'_, GateMark>;

    /// Installs counters that were read after `mark`, unless they may have missed something since. Whether the group has
    /// counters now; those that were there stay, since others have taken from them.
    fn install(&self, group: GateKey, gates: Vec<GateCounts>, mark: GateMark) -> GateFuture<'_, bool>;

    /// Takes units.
    fn take(&self, units: GateUnits) -> GateFuture<'_, Taking>;

    /// Units are held by a durable row; `from` are the counters that they were taken from, if there were any. If others have
    /// been loaded or are being loaded, these may have missed the row, so the group is dropped.
    fn keep(&self, units: GateUnits, from: Option<GateLoad>) -> GateFuture<'_, ()>;

    /// Returns units that were taken and not used, if the counters are still those that they were taken from.
    fn give_back(&self, units: GateUnits, from: GateLoad) -> GateFuture<'_, ()>;

    /// Does in the background what [`give_back`](Self::give_back) does: the caller was cancelled.
    fn abandon(&self, units: GateUnits, from: GateLoad);

    /// Notes that a transaction begins that may return units.
    fn doubt(&self) -> GateFuture<'_, DoubtId>;

    /// Returns the units that the transaction has returned in the rows, and ends the doubt.
    fn settle(&self, doubt: DoubtId, freed: Vec<GateUnits>) -> GateFuture<'_, ()>;

    /// Drops all counters, in the background: it is not known which units the transaction has returned.
    fn abandon_doubt(&self, doubt: DoubtId);

    /// Drops a group's counters.
    fn forget(&self, group: GateKey) -> GateFuture<'_, ()>;
}
