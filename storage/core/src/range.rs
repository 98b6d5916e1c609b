//! Ranges of keys: as bytes for engines with sorted keys, and as column values for engines with typed columns.

use promox_kernel::value::Value;

use crate::{ColumnDef, Space, TableDef};

/// A range of keys in one space. Every bound consists of whole key parts, so that it can be decoded into column values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The space.
    pub space: Space,
    /// The encoded leading parts that all keys of the range share.
    pub prefix: Vec<u8>,
    /// The prefix of the text part that follows `prefix`. If it is empty, any text matches.
    pub text: Vec<u8>,
    /// The lower bound, without the parts in `prefix`.
    pub from: Option<Edge>,
    /// The exclusive upper bound, without the parts in `prefix`.
    pub until: Option<Vec<u8>>,
}

/// The lower end of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Encoded whole parts of a key.
    pub parts: Vec<u8>,
    /// Whether the bound is exclusive. If it is, `parts` is a complete key.
    pub after: bool,
}

impl KeyRange {
    /// Every key of a space.
    pub const fn all(space: Space) -> Self {
        Self::prefix(space, Vec::new())
    }

    /// Every key that begins with these parts.
    pub const fn prefix(space: Space, prefix: Vec<u8>) -> Self {
        Self { space, prefix, text: Vec::new(), from: None, until: None }
    }

    /// Returns the range as byte strings: the inclusive start, and the exclusive end if there is one.
    pub fn bytes(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        let mut start = Vec::with_capacity(self.prefix.len() + 24);
        start.extend_from_slice(&self.prefix);
        start.extend_from_slice(&self.text);
        let mut end = next_prefix(&start);
        if let Some(until) = &self.until {
            let until = [self.prefix.as_slice(), until].concat();
            end = Some(end.map_or_else(|| until.clone(), |end| end.min(until.clone())));
        }
        if let Some(from) = &self.from {
            let after: &[u8] = if from.after { &[0] } else { &[] };
            start = start.max([self.prefix.as_slice(), &from.parts, after].concat());
        }
        (start, end)
    }
}

/// Returns the first key after all keys that begin with `prefix`, or `None` if there is none.
fn next_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut next = prefix.to_vec();
    while let Some(last) = next.pop() {
        if last < u8::MAX {
            next.push(last + 1);
            return Some(next);
        }
    }
    None
}

/// A key range decoded into column values, for engines with typed columns.
#[derive(Clone, Debug)]
pub struct TypedRange {
    /// The columns of the key, in order.
    pub columns: Vec<&'static ColumnDef>,
    /// The values of the leading columns.
    pub prefix: Vec<Value>,
    /// The text that the column after the prefix must begin with.
    pub text: Option<String>,
    /// The lower bound of the columns after the prefix. It is exclusive if the flag is set.
    pub from: Option<(Vec<Value>, bool)>,
    /// The exclusive upper bound of the columns after the prefix.
    pub until: Option<Vec<Value>>,
}

impl TableDef {
    /// Returns the key columns of the table or of one of its indexes, in key order. Returns `None` if `space` belongs
    /// to another table.
    pub fn key_columns(&self, space: Space) -> Option<Vec<&'static ColumnDef>> {
        let names = if space == self.space {
            self.key.to_vec()
        } else {
            let index = self.indexes.iter().find(|index| index.space == space)?;
            let key = if index.unique { &[] } else { self.key };
            [index.columns, key].concat()
        };
        names.into_iter().map(|name| self.column(name)).collect()
    }

    /// Decodes a key, or its leading parts, into column values. Folded columns have their folded form. Returns `None`
    /// if the bytes do not decode.
    pub fn key_values(&self, space: Space, key: &[u8]) -> Option<Vec<Value>> {
        values_of(&self.key_columns(space)?, key)
    }

    /// Decodes a range of the table or of one of its indexes. Returns `None` if a bound does not decode.
    pub fn typed_range(&self, range: &KeyRange) -> Option<TypedRange> {
        let columns = self.key_columns(range.space)?;
        let prefix = values_of(&columns, &range.prefix)?;
        let rest = columns.get(prefix.len()..)?;
        let from = match &range.from {
            Some(edge) => Some((values_of(rest, &edge.parts)?, edge.after)),
            None => None,
        };
        let until = match &range.until {
            Some(parts) => Some(values_of(rest, parts)?),
            None => None,
        };
        let text = (!range.text.is_empty()).then(|| String::from_utf8(range.text.clone()));
        Some(TypedRange { text: text.transpose().ok()?, columns, prefix, from, until })
    }

    /// Decodes a row's columns. Returns `None` if the row lacks a column, because an older version wrote it.
    pub fn row_values(&self, mut columns: &[u8]) -> Option<Vec<Value>> {
        self.columns.iter().map(|column| Value::take(column.column_type, column.nullable, &mut columns)).collect()
    }

    /// Encodes a row's columns. Returns `None` if a value has another type than its column, or if their number differs.
    pub fn row_columns(&self, values: &[Value]) -> Option<Vec<u8>> {
        let mut row = Vec::with_capacity(128);
        for (column, value) in self.columns.iter().zip(values) {
            value.put(column.column_type, column.nullable, &mut row)?;
        }
        (self.columns.len() == values.len()).then_some(row)
    }
}

/// Decodes as many leading columns as `key` contains. Returns `None` if the bytes do not end with a column.
fn values_of(columns: &[&'static ColumnDef], mut key: &[u8]) -> Option<Vec<Value>> {
    let mut values = Vec::with_capacity(columns.len());
    for column in columns {
        if key.is_empty() {
            break;
        }
        values.push(Value::take_key(column.column_type, column.nullable, &mut key)?);
    }
    key.is_empty().then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_range_ends_at_the_next_prefix() {
        let end = |prefix: Vec<u8>| KeyRange::prefix(Space(1), prefix).bytes().1;
        assert_eq!(end(vec![1, 0xFF]), Some(vec![2]));
        assert_eq!(end(vec![0xFF, 0xFF]), None);
        assert_eq!(end(Vec::new()), None);
    }

    #[test]
    fn the_narrower_of_two_bounds_applies() {
        let range = KeyRange {
            text: vec![5],
            from: Some(Edge { parts: vec![4], after: false }),
            until: Some(vec![7]),
            ..KeyRange::prefix(Space(1), vec![1])
        };
        assert_eq!(range.bytes(), (vec![1, 5], Some(vec![1, 6])));
        let range = KeyRange { text: Vec::new(), from: Some(Edge { parts: vec![4], after: true }), ..range };
        assert_eq!(range.bytes(), (vec![1, 4, 0], Some(vec![1, 7])));
    }
}
