//! The schema as SQL, for relational engines and to make schema changes visible in reviews.
//!
//! Tables and indexes order and compare rows as encoded keys do: text by its bytes, nulls first, and no index entry if
//! the first column is null. Identifiers are quoted, because some columns have the name of a keyword.

use std::fmt::{self, Write as _};

use promox_kernel::encoding::ColumnType;

use crate::{ColumnDef, Database, IndexDef, Schema, TableDef};

impl Schema {
    /// Returns the statements that create the tables and indexes of one database in PostgreSQL 15. Each has its number
    /// as a comment.
    pub fn ddl(&self, database: Database) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.tables_of(database).try_for_each(|table| table_ddl(table, &mut text));
        text
    }

    /// Returns a `psql` script that creates both databases with their tables.
    pub fn sql_script(&self) -> String {
        let mut text = String::from("\\set ON_ERROR_STOP on\n");
        for database in Database::ALL {
            let name = database.sql_name();
            let _ = write!(text, "\ncreate database {name} template template0 encoding 'UTF8';\n\\connect {name}\n\n");
            text.push_str(self.ddl(database).trim_end());
            text.push('\n');
        }
        text
    }
}

impl ColumnDef {
    /// The name of the column that keys and indexes use. A folded column has an additional column for its folded form.
    pub fn key_name(&self) -> String {
        if self.fold.is_some() { format!("{}_folded", self.name) } else { self.name.to_owned() }
    }
}

impl TableDef {
    /// Returns the statements that create the table and its indexes.
    pub fn sql(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = table_ddl(self, &mut text);
        text
    }

    /// Returns the columns in SQL, each with its name and its definition. A folded column that keys use is followed by
    /// the one with its folded form.
    pub fn sql_columns(&self) -> Vec<(String, String)> {
        let mut columns = Vec::with_capacity(self.columns.len() + 1);
        for column in self.columns {
            columns.push((column.name.to_owned(), column_ddl(column.name, column)));
            if column.fold.is_some() && self.is_key_column(column.name) {
                columns.push((column.key_name(), column_ddl(&column.key_name(), column)));
            }
        }
        columns
    }
}

fn table_ddl(table: &TableDef, text: &mut String) -> fmt::Result {
    writeln!(text, "create table {} ( -- {}", quoted(table.name), table.space.0)?;
    for (_, column) in table.sql_columns() {
        writeln!(text, "    {column},")?;
    }
    writeln!(text, "    primary key ({})\n);", key_list(table, table.key).join(", "))?;
    table.indexes.iter().try_for_each(|index| index_ddl(table, index, text))?;
    writeln!(text)
}

fn column_ddl(name: &str, column: &ColumnDef) -> String {
    let null = if column.nullable { "" } else { " not null" };
    format!("{} {}{null}", quoted(name), type_name(column.column_type))
}

/// Writes the statement of an index. A non-unique index ends with the row's key, so that its order is total.
fn index_ddl(table: &TableDef, index: &IndexDef, text: &mut String) -> fmt::Result {
    let kind = if index.unique { "unique index" } else { "index" };
    let (name, on) = (quoted(&index.sql_name(table)), quoted(table.name));
    let mut columns = index.columns.to_vec();
    if !index.unique {
        columns.extend(table.key.iter().filter(|key| !index.columns.contains(key)));
    }
    write!(text, "create {kind} {name} on {on} ({})", key_list(table, &columns).join(", "))?;
    let nullable = |name: &&str| table.column(name).is_some_and(|column| column.nullable);
    if index.unique && index.columns.iter().skip(1).any(nullable) {
        write!(text, " nulls not distinct")?;
    }
    if let Some(first) = index.columns.first().and_then(|name| table.column(name)).filter(|first| first.nullable) {
        write!(text, " where {} is not null", quoted(&first.key_name()))?;
    }
    writeln!(text, "; -- {}", index.space.0)
}

/// Returns the column list of a key, with the order of nulls.
fn key_list(table: &TableDef, names: &[&str]) -> Vec<String> {
    let columns = names.iter().filter_map(|name| table.column(name)).enumerate();
    let nulls = |at: usize, column: &ColumnDef| if column.nullable && at > 0 { " nulls first" } else { "" };
    columns.map(|(at, column)| format!("{}{}", quoted(&column.key_name()), nulls(at, column))).collect()
}

fn quoted(identifier: &str) -> String {
    format!("\"{identifier}\"")
}

fn type_name(column: ColumnType) -> &'static str {
    match column {
        ColumnType::Boolean => "boolean",
        ColumnType::BigInt | ColumnType::Unsigned => "bigint",
        ColumnType::Text => "text collate \"C\"",
        ColumnType::Numeric => "numeric",
        ColumnType::Timestamptz => "timestamptz",
        ColumnType::Json => "json",
        ColumnType::Bytea => "bytea",
    }
}

impl IndexDef {
    /// Returns the statement that creates the index.
    pub fn sql(&self, table: &TableDef) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = index_ddl(table, self, &mut text);
        text
    }

    /// Returns the name of the index in a relational engine, which is unique in its database: `orders_by_user` for the
    /// index `OrderByUser` of `orders`.
    pub fn sql_name(&self, table: &TableDef) -> String {
        let name = snake_case(self.name);
        let columns = name.split_once("_by_").map_or(name.as_str(), |(_, columns)| columns);
        format!("{}_by_{columns}", table.name)
    }
}

/// Converts `OrderByUser` to `order_by_user`.
fn snake_case(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for (i, letter) in name.char_indices() {
        if letter.is_uppercase() && i > 0 {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}
