//! The schema as SQL: what a relational engine makes of the tables, and what a review sees of a change to them.

use std::fmt::{self, Write as _};

use promox_kernel::encoding::ColumnType;

use crate::{ColumnDef, IndexDef, Schema, TableDef};

impl Schema {
    /// The statements that make all tables and indexes in a PostgreSQL database, each with its number as a comment.
    pub fn ddl(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.tables().iter().try_for_each(|table| table_ddl(table, &mut text));
        text
    }
}

fn table_ddl(table: &TableDef, text: &mut String) -> fmt::Result {
    let name = table.full_name();
    writeln!(text, "create table {name} ( -- {}", table.space.0)?;
    for column in table.columns {
        writeln!(text, "    {},", column_ddl(column))?;
    }
    writeln!(text, "    primary key ({})\n);", table.key.join(", "))?;
    table.indexes.iter().try_for_each(|index| index_ddl(&name, index, text))?;
    writeln!(text)
}

fn column_ddl(column: &ColumnDef) -> String {
    let null = if column.nullable { "" } else { " not null" };
    format!("{} {}{null}", column.name, type_name(column.column_type))
}

/// Nulls never collide in a unique index, which is what PostgreSQL does unless told otherwise.
fn index_ddl(table: &str, index: &IndexDef, text: &mut String) -> fmt::Result {
    let kind = if index.unique { "unique index" } else { "index" };
    let (name, columns) = (snake_case(index.name), index.columns.join(", "));
    writeln!(text, "create {kind} {name} on {table} ({columns}); -- {}", index.space.0)
}

/// Text sorts by its bytes, as keys do.
fn type_name(column: ColumnType) -> &'static str {
    match column {
        ColumnType::Boolean => "boolean",
        ColumnType::BigInt => "bigint",
        ColumnType::Text => "text collate \"C\"",
        ColumnType::Numeric => "numeric",
        ColumnType::Timestamptz => "timestamptz",
        ColumnType::Jsonb => "jsonb",
        ColumnType::Bytea => "bytea",
    }
}

/// `OrderByUser` as `order_by_user`.
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
