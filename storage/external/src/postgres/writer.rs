//! The writer of a database. It runs the queued transactions as a group, writes and commits their changes together,
//! publishes the new state, and then sends the results.
//!
//! Who commits holds the head, a row that all nodes lock first. While no other node has committed since the state that
//! a group ran on, the group is right as it is: locking the head, checking that, writing and committing take one round
//! trip. If another node has committed, the writer locks the head first, learns which keys were changed, and runs the
//! group again if it has to, so that it always commits on the newest state.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use flume::{Receiver, RecvTimeoutError};
use promox_kernel::Timestamp;
use promox_kernel::encoding::ColumnType;
use promox_kernel::value::Value;
use promox_storage::{IdBlocks, StoreError, Wants, WorkOrder};

use super::connection::{Connection, Failure, Query, ServerError};
use super::fetch::{FetchError, Plan, Reach, commits_after, listed_commits, put_keys};
use super::group::{Group, Ran, answer, fail};
use super::reader::remaining;
use super::server::{self, BEHIND, FENCED};
use super::shared::{Shared, count, store_error};
use super::state::{Changed, Commit, State};
use super::values::{number, param};

/// Maximum transactions per group.
const MAX_GROUP: usize = 1_024;
/// Maximum transactions of the bulk lane per group.
const MAX_BULK: usize = MAX_GROUP / 4;
/// The maximum time that a transaction waits. After it the transaction is refused, since its client has probably gone.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// The maximum time that a transaction of the bulk lane waits.
const MAX_BULK_WAIT: Duration = Duration::from_secs(20);
/// How long the thread waits for work before it checks whether the engine is closed.
const PATIENCE: Duration = Duration::from_millis(250);
/// Maximum attempts to commit a group.
const MAX_ATTEMPTS: u32 = 16;
/// Maximum fetches of a group before its transactions are refused.
const MAX_FETCHES: u32 = 400;
/// How many groups lock the head first after another node has committed.
const CONTENDED_GROUPS: u32 = 64;
/// How long the results of a group wait for the server to return before they are answered as unknown.
const MAX_DOUBT: Duration = Duration::from_secs(5);
/// The pause between attempts to connect.
const PAUSE: Duration = Duration::from_millis(100);
/// The minimum number of ids that are reserved at once.
const MIN_IDS: i64 = 64;

/// A queued transaction, with its arrival time.
pub(super) struct Queued {
    pub(super) order: WorkOrder,
    pub(super) since: Timestamp,
}

/// The queues of the two lanes. The normal lane carries `None` to wake the writer for work in the other one.
pub(super) struct Lanes {
    pub(super) normal: Receiver<Option<Queued>>,
    pub(super) bulk: Receiver<Queued>,
}

/// Commits groups.
pub(super) struct Writer {
    shared: Arc<Shared>,
    lanes: Lanes,
    connection: Option<Connection>,
    ids: IdBlocks,
    /// The number of further groups that lock the head first.
    contended: u32,
}

/// Why a group was not committed.
enum Setback {
    /// It can be tried again at once.
    Again,
    /// It can be tried again with the head locked first.
    Behind,
    /// Its transactions fail with this error.
    Error(StoreError),
    /// The server refuses one of its transactions.
    Poisoned(StoreError),
    /// The connection is lost, and nothing was committed.
    Lost,
    /// The connection was lost during the commit.
    InDoubt(Box<Group>),
}

impl From<Failure> for Setback {
    fn from(failure: Failure) -> Self {
        match &failure {
            Failure::Lost(_) => Self::Lost,
            Failure::Refused(ServerError { code, .. }) => match code.as_str() {
                BEHIND => Self::Behind,
                "40001" | "40P01" | "55P03" => Self::Again,
                "53100" => Self::Error(StoreError::Full),
                _ => Self::Poisoned(store_error(&failure)),
            },
        }
    }
}

impl From<FetchError> for Setback {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Server(failure) => failure.into(),
            FetchError::Store(error) => Self::Poisoned(error),
        }
    }
}

impl From<StoreError> for Setback {
    fn from(error: StoreError) -> Self {
        Self::Error(error)
    }
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, lanes: Lanes) -> Self {
        Self { shared, lanes, connection: None, ids: IdBlocks::default(), contended: 0 }
    }

    /// Commits groups until the engine is closed and nothing is queued.
    pub(super) fn run(mut self) {
        loop {
            match self.lanes.normal.recv_timeout(PATIENCE) {
                Ok(first) => {
                    let orders = self.collect(first);
                    if !orders.is_empty() {
                        self.complete(orders);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Takes the transactions that are queued now. Later ones go into the next group.
    fn collect(&self, first: Option<Queued>) -> Vec<WorkOrder> {
        let mut orders = Vec::new();
        let waiting = self.lanes.normal.len();
        let others = (0..waiting.min(MAX_GROUP)).map_while(|_| self.lanes.normal.try_recv().ok()).flatten();
        for queued in first.into_iter().chain(others) {
            self.take(queued, MAX_WAIT, &mut orders);
        }
        for _ in 0..MAX_BULK.min(MAX_GROUP.saturating_sub(orders.len())) {
            let Ok(queued) = self.lanes.bulk.try_recv() else { break };
            self.take(queued, MAX_BULK_WAIT, &mut orders);
        }
        orders
    }

    fn take(&self, mut queued: Queued, max_wait: Duration, orders: &mut Vec<WorkOrder>) {
        if self.shared.options.clock.now().since(queued.since) > max_wait {
            count(&self.shared.counters.refused_busy, 1);
            queued.order.work.fail(StoreError::Busy);
            queued.order.work.answer();
        } else {
            orders.push(queued.order);
        }
    }

    /// Commits a group and sends its results. A group that the server refuses is divided until the transaction that it
    /// refuses is alone.
    fn complete(&mut self, mut orders: Vec<WorkOrder>) {
        for attempt in 0..MAX_ATTEMPTS {
            if attempt > 0 {
                count(&self.shared.counters.reruns, orders.len() as u64);
            }
            let Err(setback) = self.commit(&mut orders) else { return self.answer(orders) };
            // Ids that were reserved in a transaction that was rolled back may be reserved again.
            self.ids.clear();
            if !matches!(setback, Setback::Lost | Setback::InDoubt(_)) {
                self.roll_back();
            }
            match setback {
                Setback::Again => {}
                Setback::Behind => self.contended = CONTENDED_GROUPS,
                Setback::Error(error) => return fail(orders, &error),
                Setback::Poisoned(error) if orders.len() == 1 => return fail(orders, &error),
                Setback::Poisoned(_) => {
                    let rest = orders.split_off(orders.len() / 2);
                    self.complete(orders);
                    return self.complete(rest);
                }
                Setback::Lost => {
                    if !self.reconnect(Instant::now() + MAX_DOUBT) {
                        return fail(orders, &StoreError::Busy);
                    }
                }
                Setback::InDoubt(group) => match self.resolve(*group, orders) {
                    None => return,
                    Some(unfinished) => orders = unfinished,
                },
            }
        }
        fail(orders, &StoreError::Conflict);
    }

    /// Ends the transaction of a group that was not committed, so that others need not wait for the head.
    fn roll_back(&mut self) {
        if self.connection.as_mut().is_some_and(|connection| connection.roll_back().is_err()) {
            self.connection = None;
        }
    }

    fn answer(&self, orders: Vec<WorkOrder>) {
        count(&self.shared.counters.transactions, orders.len() as u64);
        answer(orders);
    }

    fn connection(&mut self) -> Result<&mut Connection, Setback> {
        match &mut self.connection {
            Some(connection) => Ok(connection),
            none => Ok(none.insert(self.shared.connect()?)),
        }
    }

    /// Runs the transactions and commits their changes.
    fn commit(&mut self, orders: &mut [WorkOrder]) -> Result<(), Setback> {
        if self.shared.is_stopped() {
            return Err(Setback::Error(StoreError::Stopped));
        }
        if self.contended > 0 {
            self.contended -= 1;
            return self.commit_with_head_first(orders);
        }
        let group = self.run_ahead(orders)?;
        if group.is_empty() {
            return self.confirm(&group);
        }
        let position = group.after.position;
        let mut queries = vec![server::lock_current(self.shared.node, self.epoch(), position)];
        queries.extend(group.statements(&self.shared)?);
        let (commit, listing) = self.listing(&group);
        queries.push(listing);
        self.write(group, commit, &queries)
    }

    /// Locks the head, follows the commits of other nodes, runs the transactions on the newest state, and commits.
    fn commit_with_head_first(&mut self, orders: &mut [WorkOrder]) -> Result<(), Setback> {
        // What the transactions read is fetched before, so that others wait less for the head.
        match self.run_ahead(orders) {
            Ok(_) | Err(Setback::Again) => {}
            Err(setback) => return Err(setback),
        }
        let (node, epoch, known) = (self.shared.node, self.epoch(), self.shared.state().position);
        let answers =
            self.connection()?.run(&[Query::plain("begin"), server::lock(node, epoch), commits_after(known)])?;
        let listed = answers.get(2).map(listed_commits).transpose()?.unwrap_or_default();
        if listed.is_empty() {
            // Fewer groups have to lock the head first when no other node commits.
            self.contended = self.contended.saturating_sub(1);
        } else {
            self.contended = CONTENDED_GROUPS;
            count(&self.shared.counters.reruns, orders.len() as u64);
        }
        let (state, _) = self.shared.add(listed, &mut State::at(known, 0))?;
        let mut group = Group::new(state);
        self.run_transactions(orders, &mut group, true)?;
        if group.is_empty() {
            self.connection()?.run(&[Query::plain("rollback")])?;
            self.ids.clear();
            return Ok(());
        }
        let mut queries = group.statements(&self.shared)?;
        let (commit, listing) = self.listing(&group);
        queries.extend([listing, Query::plain("commit")]);
        self.write(group, commit, &queries)
    }

    /// Runs the transactions on the newest state that the node knows.
    fn run_ahead(&mut self, orders: &mut [WorkOrder]) -> Result<Group, Setback> {
        let mut group = Group::new(self.shared.state());
        self.run_transactions(orders, &mut group, false)?;
        Ok(group)
    }

    /// Runs each transaction until it has all data that it needs.
    fn run_transactions(
        &mut self,
        orders: &mut [WorkOrder],
        group: &mut Group,
        in_transaction: bool,
    ) -> Result<(), Setback> {
        let mut waiting: Vec<&mut WorkOrder> = orders.iter_mut().collect();
        for fetches in 0..MAX_FETCHES {
            let (mut still, mut all, mut given) = (Vec::new(), Wants::default(), 0);
            for order in waiting {
                self.ids.give(group.assigned_ids().get(given..).unwrap_or_default());
                given = group.assigned_ids().len();
                if let Ran::Wants(wants) = group.run(&self.shared, order, &self.ids) {
                    all.keys.extend(wants.keys);
                    all.ranges.extend(wants.ranges);
                    all.ids.extend(wants.ids);
                    still.push(order);
                }
            }
            self.ids.give(group.assigned_ids().get(given..).unwrap_or_default());
            group.forget_assigned_ids();
            if still.is_empty() {
                return Ok(());
            }
            waiting = still;
            self.fetch(group, all, fetches, in_transaction)?;
        }
        for order in waiting {
            order.work.fail(StoreError::TooLarge { limit: "400 fetches from the database" });
        }
        Ok(())
    }

    /// Fetches what transactions lacked.
    fn fetch(&mut self, group: &mut Group, wants: Wants, fetches: u32, in_transaction: bool) -> Result<(), Setback> {
        self.reserve_ids(&wants.ids)?;
        let shared = self.shared.clone();
        let mut plan = Plan::default();
        plan.add(&shared, remaining(&group.after, wants), Reach::of_fetch(fetches))?;
        if plan.is_empty() {
            return Ok(());
        }
        let position = group.after.position;
        let mut found = if in_transaction {
            plan.run_in_transaction(self.connection()?, &shared)?
        } else {
            let (listed, mut found) = plan.run(self.connection()?, &shared, position)?;
            if !listed.is_empty() {
                found.position = listed.last().map_or(position, |listed| listed.commit.position);
                shared.add(listed, &mut found)?;
                return Err(Setback::Again);
            }
            found
        };
        found.position = position;
        group.add_read(&found);
        shared.add(Vec::new(), &mut found)?;
        Ok(())
    }

    fn reserve_ids(&mut self, wanted: &[(promox_storage::Space, i64)]) -> Result<(), Setback> {
        for (space, assigned) in wanted {
            let length = (*assigned).max(MIN_IDS);
            let answer = self.connection()?.run_one(server::reserve_ids(*space, length))?;
            let end = server::first_number(&answer)?;
            self.ids.add(*space, end - length..end);
        }
        Ok(())
    }

    /// Checks that a group without changes ran on the newest state, since its refusals depend on it.
    fn confirm(&mut self, group: &Group) -> Result<(), Setback> {
        let (shared, position) = (self.shared.clone(), group.after.position);
        let (listed, mut none) = Plan::default().run(self.connection()?, &shared, position)?;
        if listed.is_empty() {
            return Ok(());
        }
        none.position = listed.last().map_or(position, |listed| listed.commit.position);
        shared.add(listed, &mut none)?;
        Err(Setback::Again)
    }

    /// Returns the commit of a group, and the statement that lists it.
    fn listing(&self, group: &Group) -> (Commit, Query) {
        let commit =
            Commit { position: group.after.position + 1, last_event: group.after.last_event, changed: group.changed() };
        let keys = match &commit.changed {
            Changed::Keys(keys) if self.shared.others.load(Ordering::Relaxed) => {
                Value::Bytes(put_keys(keys.iter().map(|(space, key)| (*space, key.as_slice()))))
            }
            _ => Value::Null,
        };
        let time = self.shared.last_commit.load(Ordering::Relaxed).max(group.time);
        let params = vec![
            number(commit.position),
            number(self.shared.node),
            number(self.epoch()),
            param(ColumnType::Timestamptz, &Value::Time(Timestamp(time))),
            number(commit.last_event),
            param(ColumnType::Bytea, &keys),
        ];
        let sql = "insert into promox.commits (position, node, epoch, \"time\", last_event, changed) \
                   values ($1, $2, $3, $4, $5, $6)";
        (commit, Query { sql: sql.to_owned(), params, results: Vec::new() })
    }

    /// Sends the statements of a commit, and publishes the group.
    fn write(&mut self, group: Group, commit: Commit, queries: &[Query]) -> Result<(), Setback> {
        count(&self.shared.counters.round_trips, 1);
        match self.connection()?.run(queries) {
            Ok(_) => {
                self.publish(group, commit);
                Ok(())
            }
            Err(Failure::Lost(_)) => Err(Setback::InDoubt(Box::new(group))),
            Err(Failure::Refused(error)) if error.code == "23505" => self.find_duplicates(&group),
            Err(Failure::Refused(error)) if error.code == FENCED => {
                let shared = self.shared.clone();
                if shared.options.exclusive {
                    shared.stop_for_other();
                    return Err(Setback::Error(StoreError::Stopped));
                }
                server::register_again(&shared, self.connection()?)?;
                Err(Setback::Again)
            }
            Err(failure) => Err(failure.into()),
        }
    }

    fn publish(&mut self, group: Group, commit: Commit) {
        let (emitted, time) = (group.emitted, group.time);
        self.shared.last_commit.fetch_max(time, Ordering::Relaxed);
        count(&self.shared.counters.groups, 1);
        self.shared.publish(group.into_written(), commit);
        if emitted {
            self.shared.notify();
        }
    }

    /// Reads the keys that the group's transactions need to be free, so that those that need a taken one are refused
    /// when the group runs again.
    fn find_duplicates(&mut self, group: &Group) -> Result<(), Setback> {
        let keys = group.claims.iter().map(|claim| (claim.space, claim.key.clone())).collect();
        let (shared, position) = (self.shared.clone(), group.after.position);
        let mut plan = Plan::default();
        plan.add(&shared, Wants { keys, ..Wants::default() }, Reach::of_fetch(0))?;
        let (listed, mut found) = plan.run(self.connection()?, &shared, position)?;
        found.position = listed.last().map_or(position, |listed| listed.commit.position);
        let behind = !listed.is_empty();
        let taken = group.claims.iter().any(|claim| matches!(found.get(claim.space, &claim.key), Ok(Some(_))));
        shared.add(listed, &mut found)?;
        if behind || taken {
            return Err(Setback::Again);
        }
        Err(Setback::Poisoned(StoreError::Io("the server reports a duplicate that no transaction has made".to_owned())))
    }

    /// Connects again. Returns whether it succeeded in time. Meanwhile, transactions that waited too long are refused.
    fn reconnect(&mut self, until: Instant) -> bool {
        self.connection = None;
        loop {
            count(&self.shared.counters.reconnects, 1);
            match self.shared.connect() {
                Ok(connection) => {
                    self.connection = Some(connection);
                    return true;
                }
                Err(error) if Instant::now() > until || self.shared.is_stopped() => {
                    tracing::warn!(%error, "PostgreSQL cannot be reached");
                    return false;
                }
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Finds out whether a group was committed whose connection was lost. The node's epoch is raised first, so that it
    /// cannot be committed later. Returns the transactions if they have to run again; otherwise they are answered.
    fn resolve(&mut self, group: Group, orders: Vec<WorkOrder>) -> Option<Vec<WorkOrder>> {
        let lost_process = self.connection.take().map(|connection| connection.process);
        let (shared, position) = (self.shared.clone(), group.after.position + 1);
        let mut orders = Some(orders);
        let until = Instant::now() + MAX_DOUBT;
        let committed = loop {
            if self.reconnect(until)
                && let Ok(connection) = self.connection()
                && let Ok(committed) = server::fence(&shared, connection, lost_process, position)
            {
                break committed;
            }
            if Instant::now() > until || self.shared.is_stopped() {
                if let Some(orders) = orders.take() {
                    fail(orders, &StoreError::Unknown);
                }
                if self.shared.is_stopped() {
                    return None;
                }
                self.refuse_waiting();
            }
            std::thread::sleep(PAUSE);
        };
        if committed {
            let (commit, _) = self.listing(&group);
            self.publish(group, commit);
            if let Some(orders) = orders {
                self.answer(orders);
            }
            return None;
        }
        orders
    }

    /// Refuses the transactions that have waited too long, while the server cannot be reached.
    fn refuse_waiting(&self) {
        let mut orders = self.collect(None);
        for order in &mut orders {
            order.work.fail(StoreError::Busy);
        }
        answer(orders);
    }

    fn epoch(&self) -> i64 {
        self.shared.epoch.load(Ordering::Relaxed)
    }
}
