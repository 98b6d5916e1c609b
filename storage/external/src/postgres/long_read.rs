//! Reads that last minutes, for verification, exports and backups: one state of both databases, read in portions by two
//! connections in open transactions. No commit lies between the beginnings of the two transactions.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::iter::Peekable;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use promox_storage::{Direction, Item, KeyRange, Reader, Space, StoreError};

use super::connection::{Connection, Failure, Query};
use super::fetch::Row;
use super::shared::{Place, Shared, store_error};
use super::sql;
use super::state::after_key;

/// The time limit of a long read. While it runs, the server keeps old versions of rows.
const LIMIT: Duration = Duration::from_mins(30);
/// Rows per portion.
const PORTION: usize = 2_000;

/// A state of both databases.
pub(super) struct LongRead {
    databases: Vec<Open>,
    /// Counts the long reads.
    _permit: Arc<()>,
}

/// One database in an open transaction.
struct Open {
    shared: Arc<Shared>,
    connection: Mutex<Connection>,
}

impl LongRead {
    /// Begins a long read. Commits wait until both transactions have their snapshot.
    pub(super) fn begin(databases: &[Arc<Shared>], permit: Arc<()>) -> Result<Self, StoreError> {
        let failed = |failure: Failure| store_error(&failure);
        let (mut heads, mut open) = (Vec::new(), Vec::new());
        for shared in databases {
            let mut head = shared.connect().map_err(failed)?;
            head.script("begin; select from promox.head for no key update").map_err(failed)?;
            heads.push(head);
        }
        for shared in databases {
            let options = &shared.options;
            let settings = [("jit", "off"), ("idle_in_transaction_session_timeout", "0")];
            let database = options.database(shared.database);
            let mut connection = Connection::open(options, database, &settings, LIMIT).map_err(failed)?;
            let begin = Query::plain("begin isolation level repeatable read read only");
            connection.run(&[begin, Query::plain("select from promox.head")]).map_err(failed)?;
            open.push(Open { shared: shared.clone(), connection: Mutex::new(connection) });
        }
        for mut head in heads {
            head.script("rollback").map_err(failed)?;
        }
        Ok(Self { databases: open, _permit: permit })
    }

    /// Returns the databases that have a space: both for a system table, else one.
    fn with_space(&self, space: Space) -> impl Iterator<Item = (&Open, Place)> {
        self.databases.iter().filter_map(move |open| Some((open, open.shared.place(space).ok()?)))
    }
}

impl Open {
    /// Reads a portion of a range. Each item has its key in the scanned table or index, and the row's key or the row.
    fn portion(&self, place: Place, range: &KeyRange, direction: Direction) -> Result<Vec<Item>, StoreError> {
        let undecodable = || StoreError::Io(format!("a key of {} does not decode", place.table.full_name()));
        let typed = place.table.typed_range(range).ok_or_else(undecodable)?;
        let query = sql::rows_in_range(place.table, place.index, &typed, direction, PORTION);
        let answer = self.connection.lock().run_one(query).map_err(|failure| store_error(&failure))?;
        let item = |row| {
            let row = Row::read(place.table, row)?;
            let key = row.key_in(place)?;
            let value = if place.index.is_some() { Bytes::copy_from_slice(&row.key) } else { row.encode() };
            Ok((key, value))
        };
        answer.rows.iter().map(item).collect()
    }
}

impl Reader for LongRead {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let range = KeyRange::prefix(space, key.to_vec());
        for (open, place) in self.with_space(space) {
            if let Some((_, value)) = open.portion(place, &range, Direction::Forward)?.into_iter().next() {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    fn scan<'a>(
        &'a self,
        range: &KeyRange,
        direction: Direction,
    ) -> Box<dyn Iterator<Item = Result<Item, StoreError>> + 'a> {
        let scans = self.with_space(range.space).map(|(open, place)| {
            Portions { open, place, rest: Some(range.clone()), direction, read: VecDeque::new() }.peekable()
        });
        Box::new(Merged { scans: scans.collect(), direction })
    }
}

/// The items of one database, which are read in portions.
struct Portions<'a> {
    open: &'a Open,
    place: Place,
    /// What is not read yet.
    rest: Option<KeyRange>,
    direction: Direction,
    read: VecDeque<Item>,
}

impl Iterator for Portions<'_> {
    type Item = Result<Item, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(item) = self.read.pop_front() {
            return Some(Ok(item));
        }
        let range = self.rest.take()?;
        match self.open.portion(self.place, &range, self.direction) {
            Ok(items) => {
                if let Some((last, _)) = items.last().filter(|_| items.len() == PORTION) {
                    self.rest = Some(after_key(&range, self.direction, last));
                }
                self.read = items.into();
                self.read.pop_front().map(Ok)
            }
            Err(error) => Some(Err(error)),
        }
    }
}

/// The items of several databases in the order of their keys.
struct Merged<'a> {
    scans: Vec<Peekable<Portions<'a>>>,
    direction: Direction,
}

impl Iterator for Merged<'_> {
    type Item = Result<Item, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let direction = self.direction;
        let heads = self.scans.iter_mut().enumerate().filter_map(|(at, scan)| Some((at, scan.peek()?)));
        let (first, _) = heads.min_by(|(_, one), (_, other)| match (one, other) {
            (Ok((one, _)), Ok((other, _))) if direction == Direction::Forward => one.cmp(other),
            (Ok((one, _)), Ok((other, _))) => other.cmp(one),
            (Err(_), _) => Ordering::Less,
            (_, Err(_)) => Ordering::Greater,
        })?;
        self.scans.get_mut(first)?.next()
    }
}
