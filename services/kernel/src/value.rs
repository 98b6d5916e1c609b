//! Column values of relational types, decoded from rows and keys and encoded back: for engines with typed columns.

use rust_decimal::Decimal;

use crate::Timestamp;
use crate::encoding::{Column as _, ColumnType, put_bytes, take_bytes};

/// The value of a column.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    Text(String),
    Numeric(Decimal),
    Time(Timestamp),
    /// A JSON text.
    Json(String),
    Bytes(Vec<u8>),
}

/// A value that no engine can store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unstorable {
    /// A text or a document with the character U+0000.
    Nul,
    /// A time before [`Timestamp::EARLIEST`] or after [`Timestamp::LATEST`].
    Time,
}

impl Value {
    /// Decodes a column from the front of an encoded row; `None` if the bytes are invalid.
    pub fn take(column: ColumnType, nullable: bool, input: &mut &[u8]) -> Option<Self> {
        if nullable && !bool::take(input)? {
            return Some(Self::Null);
        }
        Some(match column {
            ColumnType::Boolean => Self::Boolean(bool::take(input)?),
            ColumnType::BigInt => Self::Integer(i64::take(input)?),
            ColumnType::Unsigned => Self::Integer(u32::take(input)?.into()),
            ColumnType::Text => Self::Text(String::take(input)?),
            ColumnType::Numeric => Self::Numeric(Decimal::take(input)?),
            ColumnType::Timestamptz => Self::Time(Timestamp::take(input)?),
            ColumnType::Json => Self::Json(String::take(input)?),
            ColumnType::Bytea => Self::Bytes(Vec::take(input)?),
        })
    }

    /// Appends the value as a column of a row; `None` if the column has another type.
    pub fn put(&self, column: ColumnType, nullable: bool, out: &mut Vec<u8>) -> Option<()> {
        if nullable {
            (*self != Self::Null).put(out);
        }
        match (self, column) {
            (Self::Null, _) if nullable => {}
            (Self::Boolean(value), ColumnType::Boolean) => value.put(out),
            (Self::Integer(value), ColumnType::BigInt) => value.put(out),
            (Self::Integer(value), ColumnType::Unsigned) => u32::try_from(*value).ok()?.put(out),
            (Self::Text(text), ColumnType::Text) | (Self::Json(text), ColumnType::Json) => text.put(out),
            (Self::Numeric(value), ColumnType::Numeric) => value.put(out),
            (Self::Time(value), ColumnType::Timestamptz) => value.put(out),
            (Self::Bytes(bytes), ColumnType::Bytea) => put_bytes(bytes, out),
            _ => return None,
        }
        Some(())
    }

    /// Decodes a part from the front of a key; `None` if the bytes are invalid. A folded column yields its folded form.
    pub fn take_key(column: ColumnType, nullable: bool, input: &mut &[u8]) -> Option<Self> {
        if nullable && !bool::take(input)? {
            return Some(Self::Null);
        }
        Some(match column {
            ColumnType::Boolean => Self::Boolean(bool::take(input)?),
            ColumnType::BigInt => Self::Integer(take_key_i64(input)?),
            ColumnType::Unsigned => Self::Integer(u32::from_be_bytes(take_array(input)?).into()),
            ColumnType::Text => Self::Text(String::from_utf8(take_key_bytes(input)?).ok()?),
            ColumnType::Timestamptz => Self::Time(Timestamp(take_key_i64(input)?)),
            ColumnType::Bytea => Self::Bytes(take_key_bytes(input)?),
            // Neither can be part of a key.
            ColumnType::Numeric | ColumnType::Json => return None,
        })
    }
}

/// Skips a column at the front of an encoded row; `None` if the bytes are invalid.
pub fn skip_column(column: ColumnType, nullable: bool, input: &mut &[u8]) -> Option<()> {
    if nullable && !bool::take(input)? {
        return Some(());
    }
    match column {
        ColumnType::Boolean => bool::take(input).map(drop),
        ColumnType::BigInt | ColumnType::Timestamptz => i64::take(input).map(drop),
        ColumnType::Unsigned => u32::take(input).map(drop),
        ColumnType::Numeric => Decimal::take(input).map(drop),
        ColumnType::Text | ColumnType::Json | ColumnType::Bytea => take_bytes(input).map(drop),
    }
}

/// Skips a column at the front of an encoded row and checks that an engine can store its value. `None` if the
/// bytes are invalid.
pub fn check_column(column: ColumnType, nullable: bool, input: &mut &[u8]) -> Option<Result<(), Unstorable>> {
    if nullable && !bool::take(input)? {
        return Some(Ok(()));
    }
    let fault = match column {
        ColumnType::Text => memchr::memchr(0, take_bytes(input)?).map(|_| Unstorable::Nul),
        ColumnType::Json => has_escaped_nul(take_bytes(input)?).then_some(Unstorable::Nul),
        ColumnType::Timestamptz => {
            let time = Timestamp::take(input)?;
            (time < Timestamp::EARLIEST || time > Timestamp::LATEST).then_some(Unstorable::Time)
        }
        _ => skip_column(column, false, input).map(|()| None)?,
    };
    Some(fault.map_or(Ok(()), Err))
}

/// Whether a JSON text contains the escape `\u0000`. A backslash that is itself escaped starts no escape.
fn has_escaped_nul(json: &[u8]) -> bool {
    // Few documents have any escape, and finding one byte costs less than preparing the search for six.
    let escapes = memchr::memchr(b'\\', json).and_then(|first| json.get(first..)).unwrap_or_default();
    !escapes.is_empty() && has_nul_among(escapes)
}

fn has_nul_among(json: &[u8]) -> bool {
    memchr::memmem::find_iter(json, b"\\u0000").any(|at| {
        let before = json.get(..at).unwrap_or_default();
        before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0
    })
}

fn take_array<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, rest) = input.split_first_chunk()?;
    *input = rest;
    Some(*bytes)
}

fn take_key_i64(input: &mut &[u8]) -> Option<i64> {
    Some((u64::from_be_bytes(take_array(input)?) ^ (1 << 63)).cast_signed())
}

/// Decodes text or bytes from the front of a key and unescapes their zero bytes.
fn take_key_bytes(input: &mut &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let zero = memchr::memchr(0, input)?;
        bytes.extend_from_slice(input.get(..zero)?);
        let escape = *input.get(zero + 1)?;
        *input = input.get(zero + 2..)?;
        match escape {
            0 => return Some(bytes),
            0xFF => bytes.push(0),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::{Column, KeyPart};
    use proptest::prelude::*;

    fn assert_row_round_trip<T: Column>(value: &T, typed: &Value) {
        let (mut row, mut reencoded) = (Vec::new(), Vec::new());
        value.put(&mut row);
        let mut input = row.as_slice();
        assert_eq!(Value::take(T::TYPE, T::NULLABLE, &mut input).as_ref(), Some(typed));
        assert!(input.is_empty());
        typed.put(T::TYPE, T::NULLABLE, &mut reencoded).unwrap();
        assert_eq!(reencoded, row);
        let mut input = row.as_slice();
        assert!(check_column(T::TYPE, T::NULLABLE, &mut input).is_some() && input.is_empty());
    }

    fn assert_row_and_key_round_trip<T: Column + KeyPart>(value: &T, typed: &Value) {
        assert_row_round_trip(value, typed);
        let mut key = Vec::new();
        value.put_key(&mut key);
        let mut input = key.as_slice();
        assert_eq!(Value::take_key(T::TYPE, T::NULLABLE, &mut input).as_ref(), Some(typed));
        assert!(input.is_empty());
    }

    proptest! {
        #[test]
        fn values_round_trip_through_rows_and_keys(number: i64, small: u32, flag: bool, text: String, bytes: Vec<u8>, scale in 0_u32..20) {
            assert_row_and_key_round_trip(&number, &Value::Integer(number));
            assert_row_and_key_round_trip(&small, &Value::Integer(small.into()));
            assert_row_and_key_round_trip(&Some(flag), &Value::Boolean(flag));
            assert_row_and_key_round_trip(&None::<bool>, &Value::Null);
            assert_row_and_key_round_trip(&Timestamp(number), &Value::Time(Timestamp(number)));
            assert_row_and_key_round_trip(&Some(text.clone()), &Value::Text(text));
            assert_row_and_key_round_trip(&bytes, &Value::Bytes(bytes.clone()));
            let decimal = Decimal::new(number, scale);
            assert_row_round_trip(&decimal, &Value::Numeric(decimal));
        }
    }

    fn check<T: Column>(value: &T) -> Result<(), Unstorable> {
        let mut row = Vec::new();
        value.put(&mut row);
        check_column(T::TYPE, T::NULLABLE, &mut row.as_slice()).unwrap()
    }

    #[test]
    fn unstorable_values_are_detected() {
        assert_eq!(check(&"plain".to_owned()), Ok(()));
        assert_eq!(check(&Some("a\0b".to_owned())), Err(Unstorable::Nul));
        assert_eq!(
            check(&crate::Json(vec!["a\0b"].into_iter().map(str::to_owned).collect::<Vec<_>>())),
            Err(Unstorable::Nul)
        );
        assert_eq!(check(&crate::Json(vec!["a\\u0000b".to_owned()])), Ok(()), "an escaped backslash");
        assert_eq!(check(&vec![0_u8]), Ok(()));
        for time in [Timestamp::EARLIEST, Timestamp::EPOCH, Timestamp::LATEST] {
            assert_eq!(check(&time), Ok(()));
        }
        for time in [i64::MIN, Timestamp::EARLIEST.0 - 1, Timestamp::LATEST.0 + 1, i64::MAX] {
            assert_eq!(check(&Timestamp(time)), Err(Unstorable::Time));
        }
        assert_eq!(Timestamp::EARLIEST.to_string(), "0001-01-01T00:00:00.000Z");
    }
}
