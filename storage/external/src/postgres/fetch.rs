//! Reads what transactions lacked, in one round trip and from one state of the database.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use postgres_protocol::message::backend::DataRowBody;
use promox_kernel::value::Value;
use promox_storage::{Direction, Edge, KeyRange, Space, StoreError, TableDef, Wants, encode_row};

use super::connection::{Answer, Connection, Failure, Query};
use super::shared::{Listed, Place, Shared, count, store_error};
use super::sql;
use super::state::{Changed, Commit, State};
use super::values::{integer, number, put_column};

/// Why a read failed.
pub(super) enum FetchError {
    /// The connection or the server.
    Server(Failure),
    /// What was asked for, or what was received.
    Store(StoreError),
}

impl From<Failure> for FetchError {
    fn from(failure: Failure) -> Self {
        Self::Server(failure)
    }
}

impl From<StoreError> for FetchError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl FetchError {
    pub(super) fn into_store_error(self) -> StoreError {
        match self {
            Self::Server(failure) => store_error(&failure),
            Self::Store(error) => error,
        }
    }
}

/// How much is read at once. A transaction that reads thousands of rows would otherwise run thousands of times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    /// Maximum rows of a range.
    rows: usize,
    /// Whether what follows a key or a range is read with it.
    ahead: bool,
}

/// Rows of a range that are read at first. Each further fetch of a transaction reads four times as many.
const FIRST_ROWS: usize = 64;
/// Maximum rows of a range that are read at once.
const MAX_ROWS: usize = 4_096;
/// The number of fetches after which what follows a key or a range is read with it, since a transaction that reads one
/// after the other usually reads them in order.
const SINGLE_FETCHES: u32 = 5;

impl Reach {
    /// How much is read in a transaction's n-th fetch, counted from 0.
    pub(super) fn of_fetch(fetches: u32) -> Self {
        let ahead = fetches >= SINGLE_FETCHES;
        let doublings = if ahead { fetches - SINGLE_FETCHES + 2 } else { 2 * fetches };
        let rows = FIRST_ROWS.saturating_mul(2_usize.saturating_pow(doublings)).min(MAX_ROWS);
        Self { rows, ahead }
    }
}

/// Returns a range from the beginning of another one to the end of the table or index.
fn range_ahead(range: KeyRange) -> KeyRange {
    let KeyRange { space, mut prefix, from, .. } = range;
    let after = from.as_ref().is_some_and(|from| from.after);
    prefix.extend(from.map(|from| from.parts).unwrap_or_default());
    KeyRange { from: Some(Edge { parts: prefix, after }), ..KeyRange::all(space) }
}

/// A part of a fetch: a statement and what its rows mean.
enum Part {
    /// Rows by their keys.
    Keys { table: &'static TableDef, keys: Vec<Vec<u8>> },
    /// Rows in the order of a table or an index.
    Range { place: Place, range: KeyRange, direction: Direction, limit: usize },
}

/// The statements that read what was wanted.
#[derive(Default)]
pub(super) struct Plan {
    parts: Vec<Part>,
    queries: Vec<Query>,
}

impl Plan {
    /// Adds what a transaction lacked.
    pub(super) fn add(&mut self, shared: &Shared, wants: Wants, reach: Reach) -> Result<(), StoreError> {
        let mut tables = BTreeMap::<Space, Vec<Vec<u8>>>::new();
        for (space, key) in wants.keys {
            let place = shared.place(space)?;
            if reach.ahead {
                let from = Some(Edge { parts: key, after: false });
                let range = KeyRange { from, ..KeyRange::all(space) };
                self.add_range(place, range, Direction::Forward, reach.rows)?;
            } else if place.index.is_none() && sql::has_plain_key(place.table) {
                tables.entry(space).or_default().push(key);
            } else {
                self.add_range(place, KeyRange::prefix(space, key), Direction::Forward, 2)?;
            }
        }
        for (space, mut keys) in tables {
            keys.sort();
            keys.dedup();
            let table = shared.place(space)?.table;
            let mut values = Vec::with_capacity(keys.len());
            for key in &keys {
                values.push(table.key_values(space, key).ok_or_else(|| undecodable(table))?);
            }
            // No stored key has a NUL, and the server does not accept one.
            for key in &mut values {
                if key.iter().any(sql::has_nul) {
                    key.iter_mut().for_each(|value| *value = Value::Null);
                }
            }
            self.queries.push(sql::rows_by_keys(table, &values));
            self.parts.push(Part::Keys { table, keys });
        }
        for (range, direction) in wants.ranges {
            let place = shared.place(range.space)?;
            if reach.ahead && direction == Direction::Forward && range.text.is_empty() {
                self.add_range(place, range_ahead(range), direction, reach.rows)?;
            } else {
                self.add_range(place, range, direction, reach.rows)?;
            }
        }
        Ok(())
    }

    fn add_range(
        &mut self,
        place: Place,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<(), StoreError> {
        let typed = place.table.typed_range(&range).ok_or_else(|| undecodable(place.table))?;
        self.queries.push(sql::rows_in_range(place.table, place.index, &typed, direction, limit));
        self.parts.push(Part::Range { place, range, direction, limit });
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Runs the statements in one state of the database, and returns what they found with the commits after `since`.
    pub(super) fn run(
        self,
        connection: &mut Connection,
        shared: &Shared,
        since: i64,
    ) -> Result<(Vec<Listed>, State), FetchError> {
        count(&shared.counters.round_trips, 1);
        let Self { parts, mut queries } = self;
        if queries.is_empty() {
            let listed = listed_commits(&connection.run_one(commits_after(since))?)?;
            return Ok((listed, State::default()));
        }
        queries.insert(0, Query::plain("begin isolation level repeatable read read only"));
        queries.insert(1, commits_after(since));
        queries.push(Query::plain("commit"));
        let answers = connection.run(&queries)?;
        let listed = match answers.get(1) {
            Some(answer) => listed_commits(answer)?,
            None => Vec::new(),
        };
        Ok((listed, found(parts, answers.into_iter().skip(2))?))
    }

    /// Runs the statements in the open transaction of a connection that holds the head.
    pub(super) fn run_in_transaction(self, connection: &mut Connection, shared: &Shared) -> Result<State, FetchError> {
        count(&shared.counters.round_trips, 1);
        let answers = connection.run(&self.queries)?;
        Ok(found(self.parts, answers.into_iter())?)
    }
}

/// Lists the commits after a position.
pub(super) fn commits_after(position: i64) -> Query {
    Query {
        sql: "select position, node, last_event, changed from promox.commits where position > $1 order by position"
            .to_owned(),
        params: vec![number(position)],
        results: vec![1; 4],
    }
}

/// Returns the commits of a result with their position, node, last event and changed keys.
pub(super) fn listed_commits(answer: &Answer) -> Result<Vec<Listed>, StoreError> {
    let commit = |row: &DataRowBody| {
        let fields = fields(row)?;
        let number = |at: usize| fields.get(at).copied().flatten().and_then(integer);
        let changed = match fields.get(3).copied().flatten() {
            Some(bytes) => Changed::Keys(Arc::new(take_keys(bytes)?)),
            None => Changed::Anything,
        };
        let commit = Commit { position: number(0)?, last_event: number(2)?, changed };
        Some(Listed { node: number(1)?, commit })
    };
    let commits: Option<Vec<_>> = answer.rows.iter().map(commit).collect();
    commits.ok_or_else(|| StoreError::Io("promox.commits has a row that does not decode".to_owned()))
}

/// Encodes changed keys for the list of commits.
pub(super) fn put_keys<'k>(keys: impl Iterator<Item = (Space, &'k [u8])>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (space, key) in keys {
        bytes.extend_from_slice(&space.0.to_be_bytes());
        promox_kernel::encoding::put_bytes(key, &mut bytes);
    }
    bytes
}

fn take_keys(mut bytes: &[u8]) -> Option<Vec<(Space, Vec<u8>)>> {
    let mut keys = Vec::new();
    while !bytes.is_empty() {
        let (space, rest) = bytes.split_first_chunk()?;
        bytes = rest;
        let key = <Vec<u8> as promox_kernel::encoding::Column>::take(&mut bytes)?;
        keys.push((Space(u16::from_be_bytes(*space)), key));
    }
    Some(keys)
}

/// Returns the fields of a row.
pub(super) fn fields(row: &DataRowBody) -> Option<Vec<Option<&[u8]>>> {
    use fallible_iterator::FallibleIterator as _;
    let (mut ranges, mut fields) = (row.ranges(), Vec::new());
    while let Some(range) = ranges.next().ok()? {
        fields.push(match range {
            Some(range) => Some(row.buffer().get(range)?),
            None => None,
        });
    }
    Some(fields)
}

/// Returns what the statements found.
fn found(parts: Vec<Part>, answers: impl Iterator<Item = Answer>) -> Result<State, StoreError> {
    let mut state = State::default();
    for (part, answer) in parts.into_iter().zip(answers) {
        match part {
            Part::Keys { table, keys } => add_rows(&mut state, table, keys, &answer)?,
            Part::Range { place, range, direction, limit } => {
                add_range(&mut state, place, &range, direction, limit, &answer)?;
            }
        }
    }
    Ok(state)
}

fn add_rows(
    state: &mut State,
    table: &'static TableDef,
    keys: Vec<Vec<u8>>,
    answer: &Answer,
) -> Result<(), StoreError> {
    let mut rows: Vec<Option<Bytes>> = vec![None; keys.len()];
    for row in &answer.rows {
        let fields = fields(row).ok_or_else(|| unreadable(table))?;
        let (number, columns) = fields.split_first().ok_or_else(|| unreadable(table))?;
        let number = number.and_then(integer).and_then(|number| usize::try_from(number - 1).ok());
        let at = number.ok_or_else(|| unreadable(table))?;
        let key = keys.get(at).ok_or_else(|| unreadable(table))?;
        let columns = encode_columns(table, columns).ok_or_else(|| unreadable(table))?;
        if let Some(row) = rows.get_mut(at) {
            *row = Some(Bytes::from(encode_row(table.space, key, |out| out.extend_from_slice(&columns))));
        }
    }
    for (key, row) in keys.into_iter().zip(rows) {
        state.put(table.space, key, row);
    }
    Ok(())
}

fn add_range(
    state: &mut State,
    place: Place,
    range: &KeyRange,
    direction: Direction,
    limit: usize,
    answer: &Answer,
) -> Result<(), StoreError> {
    let mut last = None;
    for row in &answer.rows {
        let found = Row::read(place.table, row)?;
        let entry = found.key_in(place)?;
        found.add_to(state, place, &entry);
        last = Some(entry);
    }
    let (mut start, mut end) = range.bytes();
    if answer.rows.len() >= limit
        && let Some(last) = last
    {
        match direction {
            Direction::Forward => end = Some([last.as_slice(), &[0]].concat()),
            Direction::Backward => start = last,
        }
    }
    state.add_range(range.space, start, end);
    Ok(())
}

/// A row that was read.
pub(super) struct Row {
    table: &'static TableDef,
    /// Its key.
    pub(super) key: Vec<u8>,
    /// Its columns, encoded.
    columns: Vec<u8>,
    /// Its index entries.
    entries: Vec<(Space, Vec<u8>)>,
}

impl Row {
    /// Reads a row whose fields are the columns of its table.
    pub(super) fn read(table: &'static TableDef, row: &DataRowBody) -> Result<Self, StoreError> {
        let columns = fields(row).and_then(|fields| encode_columns(table, &fields)).ok_or_else(|| unreadable(table))?;
        let (key, entries) = (table.entries)(&columns).ok_or_else(|| unreadable(table))?;
        Ok(Self { table, key, columns, entries })
    }

    /// Returns the row as it is stored.
    pub(super) fn encode(&self) -> Bytes {
        Bytes::from(encode_row(self.table.space, &self.key, |out| out.extend_from_slice(&self.columns)))
    }

    /// Returns the row's key in a table or an index.
    pub(super) fn key_in(&self, place: Place) -> Result<Vec<u8>, StoreError> {
        let Some(index) = place.index else { return Ok(self.key.clone()) };
        let entry = self.entries.iter().find(|(space, _)| *space == index.space);
        entry.map(|(_, entry)| entry.clone()).ok_or_else(|| unreadable(self.table))
    }

    fn add_to(self, state: &mut State, place: Place, entry: &[u8]) {
        if let Some(index) = place.index {
            state.put(index.space, entry.to_vec(), Some(Bytes::copy_from_slice(&self.key)));
        }
        let row = self.encode();
        state.put(self.table.space, self.key, Some(row));
    }
}

/// Encodes the columns of a row from their fields.
fn encode_columns(table: &TableDef, fields: &[Option<&[u8]>]) -> Option<Vec<u8>> {
    let mut row = Vec::with_capacity(128);
    if fields.len() != table.columns.len() {
        return None;
    }
    for (column, field) in table.columns.iter().zip(fields) {
        put_column(column, *field, &mut row)?;
    }
    Some(row)
}

fn undecodable(table: &TableDef) -> StoreError {
    StoreError::Io(format!("a key of {} does not decode", table.full_name()))
}

fn unreadable(table: &TableDef) -> StoreError {
    let table = table.full_name();
    StoreError::DamagedRow { place: format!("a row of {table} does not have the types of its columns"), table }
}
