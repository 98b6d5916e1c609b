//! The text of statements, from the definitions of tables. Statements of the same shape have the same text, so each is
//! prepared once per connection.

use std::fmt::Write as _;

use promox_kernel::value::Value;
use promox_storage::{ColumnDef, Direction, IndexDef, TableDef, TypedRange};

use super::connection::{Param, Query};
use super::values::{Array, array_name, format, number, param};

/// A column as it is stored: a folded column has its folded form in another one.
struct Stored {
    name: String,
    column: &'static ColumnDef,
    /// Whether it has the folded form.
    folded: bool,
}

/// Returns the columns of a table on the server, in order.
fn stored_columns(table: &TableDef) -> Vec<Stored> {
    let mut columns = Vec::with_capacity(table.columns.len() + 1);
    for column in table.columns {
        columns.push(Stored { name: column.name.to_owned(), column, folded: false });
        if column.fold.is_some() && table.is_key_column(column.name) {
            columns.push(Stored { name: column.key_name(), column, folded: true });
        }
    }
    columns
}

/// Returns the columns of a row in the order of the table's definition, for a `select`.
fn selected(table: &TableDef) -> String {
    let names: Vec<String> = table.columns.iter().map(|column| format!("t.\"{}\"", column.name)).collect();
    names.join(", ")
}

/// Returns the formats of [`selected`].
fn selected_formats(table: &TableDef) -> impl Iterator<Item = i16> {
    table.columns.iter().map(|column| format(column.column_type))
}

/// Returns `unnest($1::bigint[], …) as u("id", …)` for these columns, starting with parameter `first`.
fn unnested(columns: &[(String, &'static ColumnDef)], prefix: &str, first: usize, ordinality: bool) -> String {
    let (mut arrays, mut names) = (String::new(), String::new());
    for (at, (name, column)) in columns.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        let _ = write!(arrays, "{comma}${}::{}", first + at, array_name(column.column_type));
        let _ = write!(names, "{comma}\"{prefix}{name}\"");
    }
    if ordinality {
        format!("unnest({arrays}) with ordinality as u({names}, \"ordinality\")")
    } else {
        format!("unnest({arrays}) as u({names})")
    }
}

/// Returns the name and definition of each column of a table's key.
fn key_columns(table: &'static TableDef) -> Vec<(String, &'static ColumnDef)> {
    table.key.iter().filter_map(|name| table.column(name)).map(|column| (column.key_name(), column)).collect()
}

/// Returns arrays of values, one for each column of `rows`.
fn arrays<'v>(columns: &[(String, &'static ColumnDef)], rows: impl Iterator<Item = &'v [Value]>) -> Vec<Param> {
    let mut arrays: Vec<Array> = columns.iter().map(|(_, column)| Array::new(column.column_type)).collect();
    for row in rows {
        for (array, value) in arrays.iter_mut().zip(row) {
            array.push(value);
        }
    }
    arrays.into_iter().map(Array::into_param).collect()
}

/// Whether rows can be looked up by their whole key with arrays of its columns.
pub(super) fn has_plain_key(table: &'static TableDef) -> bool {
    key_columns(table).iter().all(|(_, column)| !column.nullable)
}

/// Reads rows by their keys. Each result begins with the number of its key, counted from 1.
pub(super) fn rows_by_keys(table: &'static TableDef, keys: &[Vec<Value>]) -> Query {
    let columns = key_columns(table);
    let join: Vec<String> = columns.iter().map(|(name, _)| format!("t.\"{name}\" = u.\"{name}\"")).collect();
    let sql = format!(
        "select u.\"ordinality\", {} from {} join \"{}\" t on {}",
        selected(table),
        unnested(&columns, "", 1, true),
        table.name,
        join.join(" and ")
    );
    let params = arrays(&columns, keys.iter().map(Vec::as_slice));
    Query { sql, params, results: std::iter::once(1).chain(selected_formats(table)).collect() }
}

/// Reads the rows of a range of a table or an index, in its order, at most `limit`.
pub(super) fn rows_in_range(
    table: &'static TableDef,
    index: Option<&IndexDef>,
    range: &TypedRange,
    direction: Direction,
    limit: usize,
) -> Query {
    let mut conditions = Conditions::default();
    conditions.add_range(range, index.is_some());
    let order = order(range, index.is_some(), direction);
    let limit = conditions.bind(number(i64::try_from(limit).unwrap_or(i64::MAX)));
    let mut sql = format!("select {} from \"{}\" t", selected(table), table.name);
    if !conditions.all.is_empty() {
        let _ = write!(sql, " where {}", conditions.all.join(" and "));
    }
    let _ = write!(sql, " order by {order} limit {limit}");
    Query { sql, params: conditions.params, results: selected_formats(table).collect() }
}

/// Returns the order of a range. It is that of the index, so that the server need not sort.
fn order(range: &TypedRange, indexed: bool, direction: Direction) -> String {
    let mut names: Vec<String> = Vec::new();
    for (at, column) in range.columns.iter().enumerate() {
        let name = format!("t.\"{}\"", column.key_name());
        if names.iter().any(|other| other.split(' ').next() == Some(name.as_str())) {
            continue;
        }
        // The first column of an index is never null in it.
        let nulls = match (column.nullable && !(indexed && at == 0), direction) {
            (false, _) => "",
            (true, Direction::Forward) => " nulls first",
            (true, Direction::Backward) => " nulls last",
        };
        let order = if direction == Direction::Backward { " desc" } else { "" };
        names.push(format!("{name}{order}{nulls}"));
    }
    names.join(", ")
}

/// The conditions of a `where`, with their parameters.
#[derive(Default)]
struct Conditions {
    all: Vec<String>,
    params: Vec<Param>,
}

impl Conditions {
    fn bind(&mut self, param: Param) -> String {
        self.params.push(param);
        format!("${}", self.params.len())
    }

    fn value(&mut self, column: &ColumnDef, value: &Value) -> String {
        self.bind(param(column.column_type, value))
    }

    fn add_range(&mut self, range: &TypedRange, indexed: bool) {
        let first_is_free = range.prefix.is_empty() && indexed;
        if let Some(first) = range.columns.first().filter(|first| first.nullable && first_is_free) {
            self.all.push(format!("t.\"{}\" is not null", first.key_name()));
        }
        for (column, value) in range.columns.iter().zip(&range.prefix) {
            let condition = self.equals(column, value);
            self.all.push(condition);
        }
        let rest = range.columns.get(range.prefix.len()..).unwrap_or_default();
        if let (Some(text), Some(column)) = (&range.text, rest.first()) {
            self.add_text(column, text);
        }
        if let Some((values, after)) = &range.from {
            // No text has a NUL, so what follows "a\0" is what follows "a".
            let (values, cut) = until_nul(values);
            let condition = self.follows(rest, &values, *after || cut);
            self.all.push(condition);
        }
        if let Some(values) = &range.until {
            let (values, cut) = until_nul(values);
            let condition = self.precedes(rest, &values, cut);
            self.all.push(condition);
        }
        if range.prefix.iter().any(has_nul) || range.text.as_ref().is_some_and(|text| text.contains('\0')) {
            *self = Self { all: vec!["false".to_owned()], params: Vec::new() };
        }
    }

    fn equals(&mut self, column: &ColumnDef, value: &Value) -> String {
        let name = column.key_name();
        if *value == Value::Null {
            format!("t.\"{name}\" is null")
        } else {
            format!("t.\"{name}\" = {}", self.value(column, value))
        }
    }

    /// Restricts a text column to texts with a prefix, as a range, which an index can serve.
    fn add_text(&mut self, column: &ColumnDef, text: &str) {
        let name = column.key_name();
        let from = self.value(column, &Value::Text(text.to_owned()));
        self.all.push(format!("t.\"{name}\" >= {from}"));
        if let Some(end) = text_after(text) {
            let end = self.value(column, &Value::Text(end));
            self.all.push(format!("t.\"{name}\" < {end}"));
        }
    }

    /// Returns the condition that the columns are at or after these values, or only after them. Null comes first.
    fn follows(&mut self, columns: &[&'static ColumnDef], values: &[Value], after: bool) -> String {
        let columns = columns.get(..values.len()).unwrap_or(columns);
        if columns.iter().all(|column| !column.nullable) {
            return self.compare_all(columns, values, if after { ">" } else { ">=" });
        }
        let mut alternatives = Vec::new();
        for last in 0..columns.len() {
            let (Some(column), Some(value)) = (columns.get(last), values.get(last)) else { break };
            let name = column.key_name();
            let strict = after || last + 1 < columns.len();
            let compare = match (value, strict) {
                (Value::Null, true) => format!("t.\"{name}\" is not null"),
                (Value::Null, false) => "true".to_owned(),
                (value, true) => format!("t.\"{name}\" > {}", self.value(column, value)),
                (value, false) => format!("t.\"{name}\" >= {}", self.value(column, value)),
            };
            alternatives.push(self.after_equal(columns, values, last, compare));
        }
        format!("({})", alternatives.join(" or "))
    }

    /// Returns the condition that the columns are before these values, or equal them if `inclusive`. Null comes first.
    fn precedes(&mut self, columns: &[&'static ColumnDef], values: &[Value], inclusive: bool) -> String {
        let columns = columns.get(..values.len()).unwrap_or(columns);
        if columns.iter().all(|column| !column.nullable) {
            return self.compare_all(columns, values, if inclusive { "<=" } else { "<" });
        }
        let mut alternatives = Vec::new();
        for last in 0..columns.len() {
            let (Some(column), Some(value)) = (columns.get(last), values.get(last)) else { break };
            let name = column.key_name();
            let operator = if inclusive && last + 1 == columns.len() { "<=" } else { "<" };
            let compare = match (value, column.nullable) {
                (Value::Null, _) => "false".to_owned(),
                (value, true) => {
                    let bound = self.value(column, value);
                    format!("(t.\"{name}\" is null or t.\"{name}\" {operator} {bound})")
                }
                (value, false) => format!("t.\"{name}\" {operator} {}", self.value(column, value)),
            };
            alternatives.push(self.after_equal(columns, values, last, compare));
        }
        format!("({})", alternatives.join(" or "))
    }

    /// Returns the condition that the columns before number `last` are equal, and that `compare` holds.
    fn after_equal(
        &mut self,
        columns: &[&'static ColumnDef],
        values: &[Value],
        last: usize,
        compare: String,
    ) -> String {
        let mut all: Vec<String> = Vec::with_capacity(last + 1);
        for (column, value) in columns.iter().zip(values).take(last) {
            let condition = self.equals(column, value);
            all.push(condition);
        }
        all.push(compare);
        format!("({})", all.join(" and "))
    }

    fn compare_all(&mut self, columns: &[&'static ColumnDef], values: &[Value], operator: &str) -> String {
        let names: Vec<String> = columns.iter().map(|column| format!("t.\"{}\"", column.key_name())).collect();
        let bound: Vec<String> = columns.iter().zip(values).map(|(column, value)| self.value(column, value)).collect();
        format!("({}) {operator} ({})", names.join(", "), bound.join(", "))
    }
}

/// Whether a value cannot be stored, because it is a text with a NUL.
pub(super) fn has_nul(value: &Value) -> bool {
    matches!(value, Value::Text(text) if text.contains('\0'))
}

/// Returns the values of a bound up to the first NUL in a text, and whether there is one.
fn until_nul(values: &[Value]) -> (Vec<Value>, bool) {
    let mut cut = Vec::with_capacity(values.len());
    for value in values {
        if let Value::Text(text) = value
            && let Some((before, _)) = text.split_once('\0')
        {
            cut.push(Value::Text(before.to_owned()));
            return (cut, true);
        }
        cut.push(value.clone());
    }
    (cut, false)
}

/// Returns the first text after all texts that begin with `prefix`, or `None` if there is none.
fn text_after(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        // The character U+D7FF is followed by U+E000, because surrogates are no characters.
        let next = match last {
            '\u{D7FF}' => Some('\u{E000}'),
            _ => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            text.push(next);
            return Some(text);
        }
    }
    None
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    /// The key has no row.
    Insert,
    /// The key has a row.
    Update,
    /// The key may have a row.
    Upsert,
}

/// Writes rows, each with the values of its columns in the order of the table's definition.
pub(super) fn write_rows(table: &'static TableDef, change: Change, rows: &[Vec<Value>]) -> Query {
    let stored = stored_columns(table);
    let columns: Vec<(String, &'static ColumnDef)> =
        stored.iter().map(|stored| (stored.name.clone(), stored.column)).collect();
    let rows: Vec<Vec<Value>> = rows.iter().map(|row| with_folded(table, &stored, row)).collect();
    let params = arrays(&columns, rows.iter().map(Vec::as_slice));
    let (from, key) = (unnested(&columns, "", 1, false), key_columns(table));
    let is_key = |name: &str| key.iter().any(|(key, _)| key == name);
    let names: Vec<String> = columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let set = |source: &str| -> String {
        let others = columns.iter().filter(|(name, _)| !is_key(name));
        others.map(|(name, _)| format!("\"{name}\" = {source}.\"{name}\"")).collect::<Vec<_>>().join(", ")
    };
    let insert = format!("insert into \"{}\" ({}) select * from {from}", table.name, names.join(", "));
    let sql = match change {
        Change::Insert => insert,
        Change::Update => {
            let on: Vec<String> = key.iter().map(|(name, _)| format!("t.\"{name}\" = u.\"{name}\"")).collect();
            let set = if key.len() == columns.len() { key_as_set(&key) } else { set("u") };
            format!("update \"{}\" t set {set} from {from} where {}", table.name, on.join(" and "))
        }
        Change::Upsert => {
            let on: Vec<String> = key.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            let action = if key.len() == columns.len() {
                "do nothing".to_owned()
            } else {
                format!("do update set {}", set("excluded"))
            };
            format!("{insert} on conflict ({}) {action}", on.join(", "))
        }
    };
    Query { sql, params, results: Vec::new() }
}

/// The assignment of an update of a table that has only a key: an update needs one.
fn key_as_set(key: &[(String, &'static ColumnDef)]) -> String {
    key.iter().map(|(name, _)| format!("\"{name}\" = u.\"{name}\"")).collect::<Vec<_>>().join(", ")
}

/// Adds the folded forms of a row's values.
fn with_folded(table: &TableDef, stored: &[Stored], row: &[Value]) -> Vec<Value> {
    let mut values = row.iter();
    let mut last = &Value::Null;
    let mut all = Vec::with_capacity(stored.len());
    for stored in stored {
        if !stored.folded {
            last = values.next().unwrap_or(&Value::Null);
            // The key of a folded column has the folded form only.
            all.push(last.clone());
        } else if let (Value::Text(text), Some(fold)) = (last, stored.column.fold) {
            all.push(Value::Text(fold(text)));
        } else {
            all.push(Value::Null);
        }
    }
    debug_assert_eq!(row.len(), table.columns.len(), "a row has a value for each column");
    all
}

/// Removes rows by their keys.
pub(super) fn delete_rows(table: &'static TableDef, keys: &[Vec<Value>]) -> Query {
    let columns = key_columns(table);
    let on: Vec<String> = columns.iter().map(|(name, _)| format!("t.\"{name}\" = u.\"{name}\"")).collect();
    let sql = format!(
        "delete from \"{}\" t using {} where {}",
        table.name,
        unnested(&columns, "", 1, false),
        on.join(" and ")
    );
    Query { sql, params: arrays(&columns, keys.iter().map(Vec::as_slice)), results: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_with_a_prefix_end_before_the_next_text() {
        for (prefix, after) in [("a", Some("b")), ("ab\u{10FFFF}", Some("ac")), ("\u{10FFFF}", None), ("", None)] {
            assert_eq!(text_after(prefix).as_deref(), after);
        }
        assert_eq!(text_after("\u{D7FF}").as_deref(), Some("\u{E000}"));
    }
}
