//! The definitions of tables for engines: names, numbers, columns and indexes.

use promox_kernel::encoding::{Column, ColumnType};
use promox_kernel::value::{Unstorable, check_column, skip_column};

use crate::{Space, StoreError};

/// One of the two databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Database {
    /// `ecommerce_db`: the shop.
    Ecommerce,
    /// `promox_db`: the promotion engine.
    Promox,
}

impl Database {
    /// Both databases, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Ecommerce, Self::Promox];

    /// The prefix of the full names of its tables, such as `"ecommerce"`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ecommerce => "ecommerce",
            Self::Promox => "promox",
        }
    }

    /// Its name on a database server, such as `"ecommerce_db"`.
    pub const fn sql_name(self) -> &'static str {
        match self {
            Self::Ecommerce => "ecommerce_db",
            Self::Promox => "promox_db",
        }
    }

    /// Its number in the keys of system tables: 0 or 1.
    pub const fn number(self) -> u32 {
        self as u32
    }
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct ColumnDef {
    /// The name, in `snake_case`.
    pub name: &'static str,
    /// The SQL type.
    pub column_type: ColumnType,
    /// Whether it may be null.
    pub nullable: bool,
    /// Converts its text to the form that keys and indexes use, if that differs, such as lower case.
    pub fold: Option<fn(&str) -> String>,
}

/// An index. The key of an entry consists of the index's columns, followed by the row's key unless the index is unique.
/// The value of an entry is the row's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexDef {
    /// The name, such as `"OrderByUser"`.
    pub name: &'static str,
    /// The number. It is stored and never changes.
    pub space: Space,
    /// Whether the index refuses two rows with the same values. Rows whose first column is null are not in the index.
    pub unique: bool,
    /// The names of its columns.
    pub columns: &'static [&'static str],
}

/// A table.
#[derive(Clone, Copy, Debug)]
pub struct TableDef {
    /// The database it is in.
    pub database: Database,
    /// The name, such as `"orders"`.
    pub name: &'static str,
    /// The number. It is stored and never changes.
    pub space: Space,
    /// The names of the key's columns.
    pub key: &'static [&'static str],
    /// All columns, the key's first.
    pub columns: &'static [ColumnDef],
    /// Its indexes.
    pub indexes: &'static [IndexDef],
    /// Returns the key of an encoded row and the row's index entries, as spaces and entry keys, for engines that build
    /// or check an index. `None` if the row does not decode.
    pub entries: fn(&[u8]) -> Option<(Vec<u8>, Vec<(Space, Vec<u8>)>)>,
    /// Returns an encoded row with the columns that it lacks, because an older version wrote it, set to null or their
    /// default. `None` if the row does not decode.
    pub complete: fn(&[u8]) -> Option<Vec<u8>>,
}

impl TableDef {
    /// Returns the name with its database, such as `"ecommerce.orders"`.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.database.name(), self.name)
    }

    /// Returns the column with this name.
    pub fn column(&self, name: &str) -> Option<&'static ColumnDef> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Returns the value of a row's `version` column, which every change increments. `None` if the table has no such
    /// column.
    pub(crate) fn row_version(&self, mut columns: &[u8]) -> Option<i64> {
        for column in self.columns {
            if column.name == "version" && column.column_type == ColumnType::BigInt && !column.nullable {
                return <i64 as Column>::take(&mut columns);
            }
            skip_column(column.column_type, column.nullable, &mut columns)?;
        }
        None
    }

    /// Refuses values that not every engine can store.
    pub(crate) fn check_values(&self, mut columns: &[u8]) -> Result<(), StoreError> {
        for column in self.columns {
            let Some(checked) = check_column(column.column_type, column.nullable, &mut columns) else { break };
            if let Err(fault) = checked {
                let what = match fault {
                    Unstorable::Nul => "the character U+0000",
                    Unstorable::Time => "a time outside the years 1 to 9999",
                };
                return Err(StoreError::Unstorable { column: format!("{}.{}", self.full_name(), column.name), what });
            }
        }
        Ok(())
    }

    /// Whether a column is part of the key or of an index.
    pub fn is_key_column(&self, name: &str) -> bool {
        self.key.contains(&name) || self.indexes.iter().any(|index| index.columns.contains(&name))
    }
}

/// All tables of a store, including the system tables.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    tables: Vec<&'static TableDef>,
}

impl Schema {
    /// Builds the schema from the tables of all services. Fails if a number, or a name within a database, is used
    /// twice.
    pub fn new(services: impl IntoIterator<Item = &'static [&'static TableDef]>) -> Result<Self, String> {
        let mut tables: Vec<&'static TableDef> = crate::SYSTEM_TABLES.to_vec();
        tables.extend(services.into_iter().flatten());
        let mut spaces = std::collections::BTreeMap::new();
        for table in &tables {
            let indexes = table.indexes.iter().map(|index| (index.space, index.name.to_owned()));
            for (space, name) in std::iter::once((table.space, table.full_name())).chain(indexes) {
                if let Some(other) = spaces.insert(space, name.clone()) {
                    return Err(format!("{other} and {name} both have the number {}", space.0));
                }
            }
        }
        let schema = Self { tables };
        Database::ALL.into_iter().try_for_each(|database| schema.check_names(database))?;
        Ok(schema)
    }

    /// Checks the names in a relational engine, where the tables and indexes of a database share one namespace, and
    /// names have at most 63 bytes.
    fn check_names(&self, database: Database) -> Result<(), String> {
        let mut names = std::collections::BTreeSet::new();
        for table in self.tables_of(database) {
            let indexes = table.indexes.iter().map(|index| index.sql_name(table));
            for name in std::iter::once(table.name.to_owned()).chain(indexes) {
                if name.len() > 63 {
                    return Err(format!("the name {name} is longer than 63 bytes"));
                }
                if let Some(name) = names.replace(name) {
                    return Err(format!("the name {name} is used twice in {}", database.sql_name()));
                }
            }
        }
        Ok(())
    }

    /// Returns the tables of one database: its own and the system tables.
    pub fn tables_of(&self, database: Database) -> impl Iterator<Item = &'static TableDef> + '_ {
        let system = |table: &TableDef| crate::SYSTEM_TABLES.iter().any(|system| system.space == table.space);
        self.tables.iter().copied().filter(move |table| system(table) || table.database == database)
    }

    /// Returns all tables, the system tables first.
    pub fn tables(&self) -> &[&'static TableDef] {
        &self.tables
    }

    /// Returns the names of all spaces as files use them, such as `ecommerce.orders` for a table and
    /// `ecommerce.orders/OrderByUser` for an index.
    pub fn space_names(&self) -> Vec<(Space, String)> {
        let mut names = Vec::new();
        for table in &self.tables {
            names.push((table.space, table.full_name()));
            names.extend(
                table.indexes.iter().map(|index| (index.space, format!("{}/{}", table.full_name(), index.name))),
            );
        }
        names
    }

    /// Returns the table whose rows are in `space`.
    pub fn table(&self, space: Space) -> Option<&'static TableDef> {
        self.tables.iter().copied().find(|table| table.space == space)
    }
}

/// Checks that every row decodes and is stored under its own key, and that the indexes have exactly the entries of the
/// rows.
pub(crate) fn check_table(
    report: &mut crate::Report,
    reader: &dyn crate::Reader,
    table: &TableDef,
) -> Result<(), crate::StoreError> {
    const INVARIANT: &str = "every index equals a scan of its table";
    let mut expected = std::collections::BTreeMap::<Space, u64>::new();
    for item in reader.scan(&crate::KeyRange::all(table.space), crate::Direction::Forward) {
        let (key, row) = match item {
            Ok(item) => item,
            Err(error @ crate::StoreError::DamagedRow { .. }) => {
                report.readable(Err(error))?;
                continue;
            }
            Err(error) => return Err(error),
        };
        let columns = crate::decode_row(table.space, &key, &row)?;
        let Some((own, entries)) = (table.entries)(columns) else {
            report.check("every row decodes", false, || format!("{} {key:02x?}", table.full_name()));
            continue;
        };
        report
            .check("every row is stored under its own key", own == key, || format!("{} {key:02x?}", table.full_name()));
        for (space, entry) in entries {
            let points_here = match reader.get(space, &entry) {
                Err(crate::StoreError::DamagedRow { .. }) => false,
                found => found?.is_some_and(|found| found == key),
            };
            report.check(INVARIANT, points_here, || {
                format!("{} {key:02x?} is missing in index {}", table.full_name(), space.0)
            });
            *expected.entry(space).or_default() += 1;
        }
    }
    for index in table.indexes {
        let mut found = 0;
        for item in reader.scan(&crate::KeyRange::all(index.space), crate::Direction::Forward) {
            match item {
                Ok(_) => found += 1,
                Err(error) => report.readable(Err(error))?,
            }
        }
        let expected = expected.get(&index.space).copied().unwrap_or(0);
        report.check(INVARIANT, found == expected, || {
            format!("{} has {found} entries instead of {expected}", index.name)
        });
    }
    Ok(())
}
