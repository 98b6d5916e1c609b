//! Gates that nodes share.
//!
//! Each method is one script, which is atomic. All keys have one hash tag, because a transaction in doubt concerns the
//! groups of every gate: a script that marks it, settles it or drops all counters has to reach them together. A script
//! takes a server about 15 µs, and the gates of one flash sale could not be divided among servers anyway.
//!
//! - **Loads.** A load is identified by a random number, as is the mark that a returned unit changes, so neither occurs
//!   again after the server has lost its data.
//! - **What is not settled** has a deadline by the server's clock. Every script first looks for missed deadlines. Open
//!   units then drop the counters of their group, and a transaction in doubt drops all counters. A deadline that was too
//!   short costs a load; it cannot cause a wrong decision.
//! - **Another server.** A server that was restarted or promoted may have counters of the past. It has no scripts
//!   either, so they are dropped in the same transaction that loads the scripts.
//! - **Lifetime.** Counters are loaded again after an hour. It bounds the effect of double faults: a node that ends while
//!   it cannot reach the server, or a failover to a server that was a primary before and lacks the last writes.
//!
//! Calls that failed are not repeated, as they may still be carried out later. Instead, this node's next call drops the
//! counters that they could have left wrong, and if the node has ended, the deadlines do.

mod scripts;

use std::fmt;
use std::time::Duration;

use ::redis::aio::ConnectionManager;
use ::redis::{Cmd, FromRedisValue, Pipeline, RedisResult, cmd, pipe};
use parking_lot::Mutex;
use promox_kernel::Entropy;
use promox_storage::{
    DoubtId, GateCounts, GateEngine, GateFuture, GateKey, GateLoad, GateMark, GateRefusal, GateUnits, TakeResult,
};

use self::scripts::Scripts;
use super::connection::Redis;
use super::script::{Script, invoke};

/// The default time in which units and transactions have to be settled.
const SETTLE_WITHIN: Duration = Duration::from_secs(30);
/// The default lifetime of loaded counters.
const LIFETIME: Duration = Duration::from_hours(1);
/// Maximum fields of a group sent in one command, so that no command blocks the server for long.
const MAX_FIELDS: usize = 5_000;
/// The lifetime of fields that were sent for a load that has not been installed yet.
const SENT_LIFETIME: Duration = Duration::from_mins(1);
/// Maximum cancelled calls of each kind whose effect is remembered. Deadlines take care of more.
const MAX_OWED: usize = 1_024;

/// Gates in a Redis server. See [`GateEngine`]. They use `EVAL`, `EVALSHA`, `SCRIPT LOAD`, `MULTI`, `EXEC` and `INFO`,
/// and commands on hashes and sorted sets.
pub struct RedisGates {
    redis: Redis,
    entropy: Entropy,
    scripts: Scripts,
    /// The key of the state of all gates.
    state: String,
    /// The key of the deadlines of what is not settled.
    open: String,
    settle_within: Duration,
    lifetime: Duration,
    owed: Mutex<Owed>,
}

/// What this node has to do before its next call.
#[derive(Debug, Default)]
struct Owed {
    /// Units to release.
    units: Vec<(GateUnits, GateLoad)>,
    /// Transactions with an unknown result. If there are any, all counters are dropped.
    doubts: Vec<DoubtId>,
}

impl fmt::Debug for RedisGates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gates in {:?}", self.redis)
    }
}

impl RedisGates {
    /// Creates gates in a server. The entropy must differ between nodes, as that of the operating system does.
    pub fn new(redis: Redis, entropy: Entropy) -> Self {
        let key = |name: &str| group_key(redis.prefix(), name);
        let (state, open) = (key("state"), key("open"));
        Self {
            redis,
            entropy,
            scripts: Scripts::new(),
            state,
            open,
            settle_within: SETTLE_WITHIN,
            lifetime: LIFETIME,
            owed: Mutex::default(),
        }
    }

    /// Sets the time in which units and transactions have to be settled, 30 seconds by default. After it, their node is
    /// assumed to have ended.
    #[must_use]
    pub fn settle_within(self, settle_within: Duration) -> Self {
        Self { settle_within, ..self }
    }

    /// Sets the lifetime of loaded counters, an hour by default.
    #[must_use]
    pub fn reload_after(self, lifetime: Duration) -> Self {
        Self { lifetime, ..self }
    }

    /// A number that was never used before.
    fn random(&self) -> u64 {
        u64::from_le_bytes(self.entropy.bytes())
    }

    fn key(&self, group: GateKey) -> String {
        group_key(self.redis.prefix(), &format!("{}:{}", group.kind, group.id))
    }

    /// Begins a call of a script with the keys of groups.
    fn call(&self, script: &Script, groups: &[String], random: u64) -> Cmd {
        let own = [self.state.as_str(), self.open.as_str()];
        let keys: Vec<&str> = own.into_iter().chain(groups.iter().map(String::as_str)).collect();
        let mut call = script.call(&keys);
        call.arg(random);
        call
    }

    /// The commands for a server without the scripts, whose counters may be of the past.
    fn prepare(&self) -> Pipeline {
        let mut start = self.scripts.start.call_once(&[&self.state, &self.open]);
        start.arg(self.random());
        let mut commands = pipe();
        commands.atomic().add_command(start);
        for script in self.scripts.loaded() {
            commands.add_command(script.load());
        }
        commands
    }

    /// Runs a script after what this node owes. Returns `None` if it failed.
    async fn run<T: FromRedisValue>(&self, call: Cmd) -> Option<T> {
        let mut connection = self.redis.manager();
        let work = async move {
            self.pay(&mut connection).await?;
            invoke(&mut connection, &call, || self.prepare()).await
        };
        self.redis.within(work).await
    }

    /// Does what this node owes.
    async fn pay(&self, connection: &mut ConnectionManager) -> RedisResult<()> {
        let (units, doubts) = {
            let mut owed = self.owed.lock();
            (std::mem::take(&mut owed.units), owed.doubts.clone())
        };
        if !doubts.is_empty() {
            let mut clear = self.call(&self.scripts.clear, &[], self.random());
            for doubt in &doubts {
                clear.arg(doubt.0);
            }
            invoke::<()>(connection, &clear, || self.prepare()).await?;
            self.owed.lock().doubts.retain(|doubt| !doubts.contains(doubt));
        }
        for (units, from) in units {
            // If this fails, the units have a deadline.
            let _: RedisResult<()> = self.release_call(units, from).query_async(connection).await;
        }
        Ok(())
    }

    /// Drops all counters before the next call.
    fn owe_clear(&self, doubt: DoubtId) {
        let mut owed = self.owed.lock();
        if owed.doubts.len() < MAX_OWED {
            owed.doubts.push(doubt);
        }
    }

    fn release_call(&self, units: GateUnits, from: GateLoad) -> Cmd {
        let mut call = self.call(&self.scripts.release, &[self.key(units.group)], self.random());
        call.arg(units.gate).arg(units.user.0).arg(units.quantity).arg(from.0);
        call
    }

    /// Sends the fields of a large group before it is installed. Returns whether that succeeded.
    async fn send(&self, key: &str, fields: &[(String, i64)]) -> bool {
        let mut connection = self.redis.manager();
        let mut commands = pipe();
        commands.add_command(hset(key, fields)).ignore();
        commands.cmd("PEXPIRE").arg(key).arg(millis(SENT_LIFETIME)).ignore();
        let sent = async move { commands.exec_async(&mut connection).await };
        self.redis.within(sent).await.is_some()
    }
}

/// A key of the gates.
fn group_key(prefix: &str, name: &str) -> String {
    format!("{prefix}:gate:{{{prefix}}}:{name}")
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn hset(key: &str, fields: &[(String, i64)]) -> Cmd {
    let mut command = cmd("HSET");
    command.arg(key);
    for (name, value) in fields {
        command.arg(name).arg(*value);
    }
    command
}

/// The fields of a group's counters.
fn fields(gates: &[GateCounts]) -> Vec<(String, i64)> {
    let mut fields = Vec::new();
    for (number, gate) in gates.iter().enumerate() {
        fields.push((format!("left {number}"), gate.left));
        if let Some(limit) = gate.limit {
            fields.push((format!("limit {number}"), limit.into()));
            fields.extend(gate.users.iter().map(|(user, taken)| (format!("user {number} {}", user.0), *taken)));
        }
    }
    fields
}

/// Reads the reply of the script that takes units.
fn take_result(kind: &str, number: &str) -> Option<TakeResult> {
    Some(match kind {
        "taken" => TakeResult::Taken(GateLoad(number.parse().ok()?)),
        "limit" => TakeResult::Refused(GateRefusal::LimitReached { limit: number.parse().ok()? }),
        "sold out" => TakeResult::Refused(GateRefusal::SoldOut { left: number.parse().ok()? }),
        _ => TakeResult::Absent,
    })
}

impl GateEngine for RedisGates {
    fn mark(&self) -> GateFuture<'_, GateMark> {
        let call = self.call(&self.scripts.mark, &[], self.random());
        Box::pin(async move { GateMark(self.run(call).await.unwrap_or(0)) })
    }

    fn install(&self, group: GateKey, gates: Vec<GateCounts>, mark: GateMark) -> GateFuture<'_, bool> {
        let load = self.random();
        let sent_key = group_key(self.redis.prefix(), &format!("load {load}"));
        let fields = fields(&gates);
        Box::pin(async move {
            let mut chunks = fields.chunks(MAX_FIELDS);
            let last = chunks.next_back().unwrap_or_default();
            for chunk in chunks {
                if !self.send(&sent_key, chunk).await {
                    return true;
                }
            }
            let sent = fields.len() - last.len();
            let mut call = self.call(&self.scripts.install, &[self.key(group), sent_key], load);
            call.arg(mark.0).arg(millis(self.lifetime)).arg(sent);
            for (name, value) in last {
                call.arg(name).arg(*value);
            }
            self.run(call).await.unwrap_or(true)
        })
    }

    fn take(&self, units: GateUnits) -> GateFuture<'_, TakeResult> {
        let mut call = self.call(&self.scripts.take, &[self.key(units.group)], self.random());
        call.arg(units.gate).arg(units.user.0).arg(units.quantity).arg(millis(self.settle_within));
        Box::pin(async move {
            let reply: Option<(String, String)> = self.run(call).await;
            reply.and_then(|(kind, number)| take_result(&kind, &number)).unwrap_or(TakeResult::Unreachable)
        })
    }

    fn keep(&self, units: GateUnits, from: Option<GateLoad>) -> GateFuture<'_, ()> {
        let mut call = self.call(&self.scripts.keep, &[self.key(units.group)], self.random());
        call.arg(units.gate).arg(units.user.0).arg(from.map(|load| load.0.to_string()).unwrap_or_default());
        Box::pin(async move {
            // If it fails, the counters may admit too much, and the rows refuse.
            let _: Option<()> = self.run(call).await;
        })
    }

    fn release(&self, units: GateUnits, from: GateLoad) -> GateFuture<'_, ()> {
        let call = self.release_call(units, from);
        Box::pin(async move {
            // If it fails, the units have a deadline.
            let _: Option<()> = self.run(call).await;
        })
    }

    fn abandon(&self, units: GateUnits, from: GateLoad) {
        let mut owed = self.owed.lock();
        if owed.units.len() < MAX_OWED {
            owed.units.push((units, from));
        }
    }

    fn doubt(&self) -> GateFuture<'_, DoubtId> {
        let doubt = DoubtId(self.random());
        let mut call = self.call(&self.scripts.doubt, &[], self.random());
        call.arg(doubt.0).arg(millis(self.settle_within));
        Box::pin(async move {
            // If it fails, settling it shows whether the counters can be reached again.
            let _: Option<()> = self.run(call).await;
            doubt
        })
    }

    fn settle(&self, doubt: DoubtId, freed: Vec<GateUnits>) -> GateFuture<'_, ()> {
        let groups: Vec<String> = freed.iter().map(|units| self.key(units.group)).collect();
        let mut call = self.call(&self.scripts.settle, &groups, self.random());
        call.arg(doubt.0);
        for units in &freed {
            call.arg(units.gate).arg(units.user.0).arg(units.quantity);
        }
        Box::pin(async move {
            if self.run::<()>(call).await.is_none() {
                self.owe_clear(doubt);
            }
        })
    }

    fn abandon_doubt(&self, doubt: DoubtId) {
        self.owe_clear(doubt);
    }

    fn forget(&self, group: GateKey) -> GateFuture<'_, ()> {
        let call = self.call(&self.scripts.forget, &[self.key(group)], self.random());
        Box::pin(async move {
            if self.run::<()>(call).await.is_none() {
                self.owe_clear(DoubtId(self.random()));
            }
        })
    }
}
