//! Column values as PostgreSQL sends and receives them. Everything is binary except `numeric`, whose text form keeps
//! the scale.

use std::str::FromStr as _;

use postgres_protocol::Oid;
use promox_kernel::Timestamp;
use promox_kernel::encoding::{Column as _, ColumnType};
use promox_kernel::value::Value;
use promox_storage::ColumnDef;
use rust_decimal::Decimal;

use super::connection::Param;

/// Microseconds between the epochs of Unix and PostgreSQL, which is the year 2000.
const EPOCH: i64 = 946_684_800_000_000;

/// The numbers of a type and of arrays of it (`pg_type.dat`).
const fn oids(column: ColumnType) -> (Oid, Oid) {
    match column {
        ColumnType::Boolean => (16, 1000),
        ColumnType::BigInt | ColumnType::Unsigned => (20, 1016),
        ColumnType::Text => (25, 1009),
        ColumnType::Numeric => (1700, 1231),
        ColumnType::Timestamptz => (1184, 1185),
        ColumnType::Json => (114, 199),
        ColumnType::Bytea => (17, 1001),
    }
}

/// The name of the array type, as in a cast.
pub(super) const fn array_name(column: ColumnType) -> &'static str {
    match column {
        ColumnType::Boolean => "boolean[]",
        ColumnType::BigInt | ColumnType::Unsigned => "bigint[]",
        ColumnType::Text => "text[]",
        ColumnType::Numeric => "numeric[]",
        ColumnType::Timestamptz => "timestamptz[]",
        ColumnType::Json => "json[]",
        ColumnType::Bytea => "bytea[]",
    }
}

/// The format in which a column is sent and received.
pub(super) fn format(column: ColumnType) -> i16 {
    i16::from(column != ColumnType::Numeric)
}

/// Returns a value as a parameter.
pub(super) fn param(column: ColumnType, value: &Value) -> Param {
    let mut bytes = Vec::new();
    let value = put(value, &mut bytes).then_some(bytes);
    Param { oid: oids(column).0, format: format(column), value }
}

/// Returns a number as a parameter.
pub(super) fn number(value: i64) -> Param {
    param(ColumnType::BigInt, &Value::Integer(value))
}

/// Appends a value. Returns whether it is not null.
fn put(value: &Value, out: &mut Vec<u8>) -> bool {
    match value {
        Value::Null => return false,
        Value::Boolean(value) => out.push(u8::from(*value)),
        Value::Integer(value) => out.extend_from_slice(&value.to_be_bytes()),
        Value::Text(text) | Value::Json(text) => out.extend_from_slice(text.as_bytes()),
        Value::Numeric(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Time(time) => {
            // Only times of the years 1 to 9999 are stored; a bound beyond them orders the same next to them.
            let time = time.0.clamp(Timestamp::EARLIEST.0 - 1, Timestamp::LATEST.0 + 1);
            out.extend_from_slice(&(time - EPOCH).to_be_bytes());
        }
        Value::Bytes(bytes) => out.extend_from_slice(bytes),
    }
    true
}

/// Appends a value in the format of a binary `COPY`: its length and its bytes, or -1 for null.
pub(super) fn put_copied(value: &Value, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&(-1_i32).to_be_bytes());
    let present = match value {
        Value::Numeric(number) => {
            put_numeric(*number, out);
            true
        }
        other => put(other, out),
    };
    if present {
        let length = i32::try_from(out.len() - start - 4).unwrap_or(i32::MAX);
        out.splice(start..start + 4, length.to_be_bytes());
    }
}

/// Appends a number in the binary format of `numeric`: groups of four decimal digits (`numeric_send` in PostgreSQL's
/// `numeric.c`).
fn put_numeric(number: Decimal, out: &mut Vec<u8>) {
    let digits = number.abs().to_string();
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let whole = format!("{:0>1$}", whole, whole.len().div_ceil(4) * 4);
    let fraction = format!("{:0<1$}", fraction, fraction.len().div_ceil(4) * 4);
    let group = |four: &[u8]| four.iter().fold(0_i16, |sum, digit| sum * 10 + i16::from(digit - b'0'));
    let mut weight = i16::try_from(whole.len() / 4).unwrap_or(i16::MAX) - 1;
    let all = [whole.as_bytes(), fraction.as_bytes()].concat();
    let mut groups: Vec<i16> = all.chunks(4).map(group).collect();
    let zeros = groups.iter().take_while(|group| **group == 0).count();
    groups.drain(..zeros);
    weight -= i16::try_from(zeros).unwrap_or(i16::MAX);
    while groups.last() == Some(&0) {
        groups.pop();
    }
    if groups.is_empty() {
        weight = 0;
    }
    let negative = number.is_sign_negative() && !number.is_zero();
    let sign = if negative { 0x4000 } else { 0 };
    let scale = i16::try_from(number.scale()).unwrap_or(i16::MAX);
    for word in [i16::try_from(groups.len()).unwrap_or(i16::MAX), weight, sign, scale].iter().chain(&groups) {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

/// An array parameter that is built value by value.
pub(super) struct Array {
    column: ColumnType,
    length: i32,
    bytes: Vec<u8>,
}

impl Array {
    pub(super) fn new(column: ColumnType) -> Self {
        let mut bytes = Vec::with_capacity(64);
        if column == ColumnType::Numeric {
            bytes.push(b'{');
        } else {
            // One dimension, nulls are possible, the element's type, the length, and the number of the first element.
            for word in [1, 1, oids(column).0.cast_signed(), 0, 1] {
                bytes.extend_from_slice(&word.to_be_bytes());
            }
        }
        Self { column, length: 0, bytes }
    }

    pub(super) fn push(&mut self, value: &Value) {
        if self.column == ColumnType::Numeric {
            if self.length > 0 {
                self.bytes.push(b',');
            }
            if !put(value, &mut self.bytes) {
                self.bytes.extend_from_slice(b"NULL");
            }
        } else {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(&(-1_i32).to_be_bytes());
            if put(value, &mut self.bytes) {
                let length = i32::try_from(self.bytes.len() - start - 4).unwrap_or(i32::MAX);
                self.bytes.splice(start..start + 4, length.to_be_bytes());
            }
        }
        self.length += 1;
    }

    pub(super) fn into_param(mut self) -> Param {
        if self.column == ColumnType::Numeric {
            self.bytes.push(b'}');
        } else {
            self.bytes.splice(12..16, self.length.to_be_bytes());
        }
        Param { oid: oids(self.column).1, format: format(self.column), value: Some(self.bytes) }
    }
}

/// Appends a column that was received to an encoded row. Returns `None` if it does not have the column's type.
pub(super) fn put_column(column: &ColumnDef, received: Option<&[u8]>, row: &mut Vec<u8>) -> Option<()> {
    if column.nullable {
        received.is_some().put(row);
    }
    let Some(received) = received else { return column.nullable.then_some(()) };
    match column.column_type {
        ColumnType::Boolean => (received != [0]).put(row),
        ColumnType::BigInt => integer(received)?.put(row),
        ColumnType::Unsigned => u32::try_from(integer(received)?).ok()?.put(row),
        ColumnType::Timestamptz => Timestamp(integer(received)? + EPOCH).put(row),
        ColumnType::Numeric => Decimal::from_str(std::str::from_utf8(received).ok()?).ok()?.put(row),
        ColumnType::Text | ColumnType::Json | ColumnType::Bytea => {
            promox_kernel::encoding::put_bytes(received, row);
        }
    }
    Some(())
}

/// Reads a number that was received.
pub(super) fn integer(received: &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(received.try_into().ok()?))
}
