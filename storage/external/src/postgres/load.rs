//! Fills empty databases with the rows of a backup, by `COPY`. Each table is loaded in a transaction of its own, which
//! also notes that it is complete, so that an interrupted load can be repeated and goes on after the last whole table.

use std::collections::BTreeMap;

use promox_kernel::Timestamp;
use promox_kernel::encoding::ColumnType;
use promox_kernel::value::Value;
use promox_storage::{Database, Schema, Space, StoreError, TableDef, decode_row};

use super::connection::{Connection, Failure, Query};
use super::options::PostgresOptions;
use super::server::{self, PostgresError};
use super::values::{number, param, put_copied};

/// The bytes that are sent at once.
const CHUNK: usize = 256 << 10;
/// What a binary `COPY` begins with: its signature, no flags, and no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// The list of the tables that are complete. It exists only while a load is not finished.
const LOADED: &str = "create table if not exists promox.loaded (name text primary key, rows bigint not null)";

/// A load of both databases.
#[derive(Debug)]
pub struct Load {
    connections: [Connection; 2],
    schema: Schema,
    /// The number of rows of each table that is complete, by database.
    complete: [BTreeMap<String, i64>; 2],
    /// The table that is being loaded, in each database.
    open: [Option<Open>; 2],
    names: [String; 2],
}

/// A table that is being loaded.
#[derive(Debug)]
struct Open {
    table: &'static TableDef,
    rows: i64,
    /// Whether it was complete before, so that its rows are only counted.
    skipped: bool,
    buffer: Vec<u8>,
}

impl Load {
    /// Connects to databases that are empty, or that an unfinished load of the same backup has filled in part.
    pub fn begin(options: &PostgresOptions, schema: Schema) -> Result<Self, PostgresError> {
        let mut connections = Vec::new();
        let mut complete = Vec::new();
        for database in Database::ALL {
            let name = options.database(database);
            let mut connection = server::prepare_empty(options, database, &schema)?;
            let failed = |failure: Failure| server::schema_error(name, &failure);
            let loaded = server::loaded_tables(&mut connection).map_err(failed)?;
            if loaded.is_empty() {
                for table in schema.tables_of(database) {
                    let any = format!("select from \"{}\" limit 1", table.name);
                    if !connection.run_one(Query::plain(any)).map_err(failed)?.rows.is_empty() {
                        let why = format!("{} has rows; a store is restored into empty databases", table.name);
                        return Err(PostgresError::Schema { database: name.to_owned(), why });
                    }
                }
            }
            connection.script(LOADED).map_err(failed)?;
            complete.push(loaded);
            connections.push(connection);
        }
        let (Ok(connections), Ok(complete)) = (connections.try_into(), complete.try_into()) else {
            return Err(PostgresError::Schema { database: String::new(), why: "a database is missing".to_owned() });
        };
        let names = Database::ALL.map(|database| options.database(database).to_owned());
        Ok(Self { connections, schema, complete, open: [None, None], names })
    }

    /// Adds a row or an index entry. They come in the order of their spaces. Index entries follow from rows, and are
    /// left out.
    pub fn add(&mut self, space: Space, key: &[u8], value: &[u8]) -> Result<(), PostgresError> {
        let Some((database, table)) = self.place(space, key)? else { return Ok(()) };
        let current = self.open.get(database as usize).and_then(Option::as_ref);
        if current.is_none_or(|open| open.table.space != space) {
            self.finish_table(database)?;
            self.begin_table(database, table)?;
        }
        let columns = decode_row(space, key, value).map_err(|error| self.failure(database, &error))?;
        let columns = (table.complete)(columns);
        let values = columns.and_then(|columns| table.row_values(&columns));
        let undecodable = StoreError::Io(format!("a row of {} does not decode", table.full_name()));
        let values = values.ok_or_else(|| self.failure(database, &undecodable))?;
        let Some(open) = self.open.get_mut(database as usize).and_then(Option::as_mut) else { return Ok(()) };
        open.rows += 1;
        if !open.skipped {
            put_row(table, &values, &mut open.buffer);
            if open.buffer.len() >= CHUNK {
                let chunk = std::mem::take(&mut open.buffer);
                self.send(database, &chunk)?;
            }
        }
        Ok(())
    }

    /// Ends the load. `time` is that of the newest commit, and `events` are the positions of the newest events. From
    /// now on nodes can use the databases.
    pub fn finish(mut self, time: Timestamp, events: [i64; 2]) -> Result<(), PostgresError> {
        for (database, last_event) in Database::ALL.into_iter().zip(events) {
            self.finish_table(database)?;
            let head = Query {
                sql:
                    "insert into promox.commits (position, node, epoch, \"time\", last_event) values (1, 0, 0, $1, $2)"
                        .to_owned(),
                params: vec![param(ColumnType::Timestamptz, &Value::Time(time)), number(last_event)],
                results: Vec::new(),
            };
            self.run(database, &[head, Query::plain("drop table promox.loaded")])?;
            self.run(database, &[Query::plain("analyze")])?;
        }
        Ok(())
    }

    /// Returns the database and the table of a space, or `None` for an index.
    fn place(&self, space: Space, key: &[u8]) -> Result<Option<(Database, &'static TableDef)>, PostgresError> {
        let Some(table) = self.schema.table(space) else { return Ok(None) };
        let first = key.first_chunk().map(|first| u32::from_be_bytes(*first));
        let database = if !promox_storage::SYSTEM_TABLES.iter().any(|system| system.space == space) {
            Some(table.database)
        } else if table.space == promox_storage::SEQUENCES.space {
            // The key is the number of the table whose ids it counts.
            let counted =
                first.and_then(|space| u16::try_from(space).ok()).and_then(|space| self.schema.table(Space(space)));
            counted.map(|counted| counted.database)
        } else {
            Database::ALL.into_iter().find(|database| Some(database.number()) == first)
        };
        let unknown = || StoreError::Io(format!("a row of {} belongs to no database", table.full_name()));
        let database = database.ok_or_else(|| self.failure(table.database, &unknown()))?;
        Ok(Some((database, table)))
    }

    fn begin_table(&mut self, database: Database, table: &'static TableDef) -> Result<(), PostgresError> {
        let skipped = self.complete.get(database as usize).is_some_and(|complete| complete.contains_key(table.name));
        if !skipped {
            let columns: Vec<String> = table.sql_columns().iter().map(|(name, _)| format!("\"{name}\"")).collect();
            let copy = format!("copy \"{}\" ({}) from stdin binary", table.name, columns.join(", "));
            self.run(database, &[Query::plain("begin")])?;
            let failed = self.connection(database).begin_copy(&copy);
            failed.map_err(|failure| self.failure(database, &failure))?;
        }
        if let Some(open) = self.open.get_mut(database as usize) {
            *open = Some(Open { table, rows: 0, skipped, buffer: HEADER.to_vec() });
        }
        Ok(())
    }

    /// Commits the table that is being loaded, and checks the number of its rows.
    fn finish_table(&mut self, database: Database) -> Result<(), PostgresError> {
        let Some(mut open) = self.open.get_mut(database as usize).and_then(Option::take) else { return Ok(()) };
        let name = open.table.name;
        if open.skipped {
            let before = self.complete.get(database as usize).and_then(|complete| complete.get(name)).copied();
            if before != Some(open.rows) {
                let why = StoreError::Io(format!("{name} was loaded from another backup; empty the databases first"));
                return Err(self.failure(database, &why));
            }
            return Ok(());
        }
        open.buffer.extend_from_slice(&(-1_i16).to_be_bytes());
        self.send(database, &open.buffer)?;
        let copied = self.connection(database).finish_copy().map_err(|failure| self.failure(database, &failure))?;
        if i64::try_from(copied) != Ok(open.rows) {
            let why = StoreError::Io(format!("{name} has {copied} rows instead of {}", open.rows));
            return Err(self.failure(database, &why));
        }
        let note = Query {
            sql: "insert into promox.loaded (name, rows) values ($1, $2)".to_owned(),
            params: vec![param(ColumnType::Text, &Value::Text(name.to_owned())), number(open.rows)],
            results: Vec::new(),
        };
        self.run(database, &[note, Query::plain("commit")])
    }

    fn send(&mut self, database: Database, chunk: &[u8]) -> Result<(), PostgresError> {
        self.connection(database).send_copy(chunk).map_err(|failure| self.failure(database, &failure))
    }

    fn run(&mut self, database: Database, queries: &[Query]) -> Result<(), PostgresError> {
        self.connection(database).run(queries).map(drop).map_err(|failure| self.failure(database, &failure))
    }

    fn connection(&mut self, database: Database) -> &mut Connection {
        let [ecommerce, promox] = &mut self.connections;
        match database {
            Database::Ecommerce => ecommerce,
            Database::Promox => promox,
        }
    }

    fn failure(&self, database: Database, error: &dyn std::fmt::Display) -> PostgresError {
        let [ecommerce, promox] = &self.names;
        let name = if database == Database::Ecommerce { ecommerce } else { promox };
        server::schema_error(name, error)
    }
}

/// Appends a row in the format of a binary `COPY`.
fn put_row(table: &TableDef, values: &[Value], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0, 0]);
    let mut count = 0_i16;
    for (column, value) in table.columns.iter().zip(values) {
        put_copied(value, out);
        count += 1;
        if let Some(fold) = column.fold.filter(|_| table.is_key_column(column.name)) {
            match value {
                Value::Text(text) => put_copied(&Value::Text(fold(text)), out),
                _ => put_copied(&Value::Null, out),
            }
            count += 1;
        }
    }
    out.splice(start..start + 2, count.to_be_bytes());
}
