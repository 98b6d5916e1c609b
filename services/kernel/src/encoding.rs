//! Encodings of values: as columns of a row, and as parts of a key whose bytes sort as the values do.
//!
//! They are in the kernel and not beside the tables, so that the macros for ids and enums can implement them for every
//! type. Columns use postcard's wire format (varints, length-prefixed text),
//! <https://postcard.jamesmunns.com/wire-format>.

use rust_decimal::Decimal;

use crate::{Amount, Currency, Email, Locale, Sku, Timestamp};

/// The type of a column in a relational engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ColumnType {
    Boolean,
    BigInt,
    /// A `bigint` in SQL, encoded as an unsigned number in rows and keys.
    Unsigned,
    Text,
    Numeric,
    Timestamptz,
    /// A `json` in SQL, which keeps the text as it was given, unlike `jsonb`.
    Json,
    Bytea,
}

/// A value that can be a column.
pub trait Column: Sized {
    /// The relational type.
    const TYPE: ColumnType;
    /// Whether the column is nullable.
    const NULLABLE: bool = false;
    /// Maps a text to its form in keys, if that differs. The value cannot be decoded from the folded form.
    const FOLD: Option<fn(&str) -> String> = None;

    /// Appends the value.
    fn put(&self, out: &mut Vec<u8>);

    /// Decodes a value from the front of the bytes; `None` if they are invalid.
    fn take(input: &mut &[u8]) -> Option<Self>;

    /// The value in a row written before the column was added; `None` if such a row is invalid.
    fn absent() -> Option<Self> {
        None
    }
}

/// A value that can be part of a key. Its encoding sorts as the values do and is self-delimiting.
pub trait KeyPart {
    /// Appends the value.
    fn put_key(&self, out: &mut Vec<u8>);

    /// Whether the value is null. An index holds no entry whose first column is null, and nulls never collide.
    fn is_null(&self) -> bool {
        false
    }
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7F) as u8);
}

fn take_varint(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = input.split_first()?;
        *input = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Appends text or bytes as a column of a row: their length, then the bytes.
pub fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

pub(crate) fn take_bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_varint(input)?).ok()?;
    let (bytes, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(bytes)
}

fn take_text<'a>(input: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(take_bytes(input)?).ok()
}

/// Appends text or bytes to a key: zero bytes are escaped as `00 FF`, and `00 00` marks the end.
fn put_key_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        out.push(*byte);
        if *byte == 0 {
            out.push(0xFF);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

impl Column for i64 {
    const TYPE: ColumnType = ColumnType::BigInt;
    fn put(&self, out: &mut Vec<u8>) {
        put_varint(((self << 1) ^ (self >> 63)).cast_unsigned(), out);
    }
    fn take(input: &mut &[u8]) -> Option<Self> {
        let zigzag = take_varint(input)?;
        Some((zigzag >> 1).cast_signed() ^ -((zigzag & 1).cast_signed()))
    }
}
impl KeyPart for i64 {
    fn put_key(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.cast_unsigned() ^ (1 << 63)).to_be_bytes());
    }
}

impl Column for u32 {
    const TYPE: ColumnType = ColumnType::Unsigned;
    fn put(&self, out: &mut Vec<u8>) {
        put_varint(u64::from(*self), out);
    }
    fn take(input: &mut &[u8]) -> Option<Self> {
        u32::try_from(take_varint(input)?).ok()
    }
}
impl KeyPart for u32 {
    fn put_key(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }
}

impl Column for bool {
    const TYPE: ColumnType = ColumnType::Boolean;
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn take(input: &mut &[u8]) -> Option<Self> {
        let (byte, rest) = input.split_first()?;
        *input = rest;
        (*byte < 2).then_some(*byte == 1)
    }
}
impl KeyPart for bool {
    fn put_key(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

impl Column for String {
    const TYPE: ColumnType = ColumnType::Text;
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), out);
    }
    fn take(input: &mut &[u8]) -> Option<Self> {
        take_text(input).map(str::to_owned)
    }
}
impl KeyPart for String {
    fn put_key(&self, out: &mut Vec<u8>) {
        put_key_bytes(self.as_bytes(), out);
    }
}
impl KeyPart for &str {
    fn put_key(&self, out: &mut Vec<u8>) {
        put_key_bytes(self.as_bytes(), out);
    }
}

impl Column for Vec<u8> {
    const TYPE: ColumnType = ColumnType::Bytea;
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self, out);
    }
    fn take(input: &mut &[u8]) -> Option<Self> {
        take_bytes(input).map(<[u8]>::to_vec)
    }
}
impl KeyPart for Vec<u8> {
    fn put_key(&self, out: &mut Vec<u8>) {
        put_key_bytes(self, out);
    }
}

impl Column for Timestamp {
    const TYPE: ColumnType = ColumnType::Timestamptz;
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
    fn take(input: &mut &[u8]) -> Option<Self> {
        i64::take(input).map(Self)
    }
}
impl KeyPart for Timestamp {
    fn put_key(&self, out: &mut Vec<u8>) {
        self.0.put_key(out);
    }
}

impl Column for Decimal {
    const TYPE: ColumnType = ColumnType::Numeric;
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::try_from(self.scale()).unwrap_or(0));
        let mantissa = self.mantissa();
        if let Ok(short) = i64::try_from(mantissa) {
            out.push(0);
            short.put(out);
        } else {
            out.push(1);
            out.extend_from_slice(&mantissa.to_le_bytes());
        }
    }
    fn take(input: &mut &[u8]) -> Option<Self> {
        let ([scale, width], rest) = input.split_first_chunk()?;
        *input = rest;
        let mantissa = if *width == 0 {
            i128::from(i64::take(input)?)
        } else {
            let (bytes, rest) = input.split_first_chunk()?;
            *input = rest;
            i128::from_le_bytes(*bytes)
        };
        Decimal::try_from_i128_with_scale(mantissa, u32::from(*scale)).ok()
    }
}

impl Column for Amount {
    const TYPE: ColumnType = ColumnType::Numeric;
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
    fn take(input: &mut &[u8]) -> Option<Self> {
        Decimal::take(input).map(Self)
    }
}

/// Implements [`Column`] and [`KeyPart`] for text types.
macro_rules! text_column {
    ($($type:ty, $text:expr, $key:expr, $fold:expr);+ $(;)?) => {$(
        impl Column for $type {
            const TYPE: ColumnType = ColumnType::Text;
            const FOLD: Option<fn(&str) -> String> = $fold;
            fn put(&self, out: &mut Vec<u8>) {
                put_bytes($text(self).as_bytes(), out);
            }
            fn take(input: &mut &[u8]) -> Option<Self> {
                take_text(input)?.parse().ok()
            }
        }
        impl KeyPart for $type {
            fn put_key(&self, out: &mut Vec<u8>) {
                put_key_bytes($key(self).as_bytes(), out);
            }
        }
    )+};
}
text_column! {
    Sku, Sku::as_str, Sku::fold, Some(crate::text::fold_sku);
    Email, Email::as_str, Email::normal, Some(crate::email::normal_form);
    Locale, Locale::as_str, Locale::as_str, None;
    Currency, |currency: &Currency| currency.code(), |currency: &Currency| currency.code(), None;
}

impl<T: Column> Column for Option<T> {
    const TYPE: ColumnType = T::TYPE;
    const NULLABLE: bool = true;
    const FOLD: Option<fn(&str) -> String> = T::FOLD;
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }
    fn take(input: &mut &[u8]) -> Option<Self> {
        if bool::take(input)? { T::take(input).map(Some) } else { Some(None) }
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
}
impl<T: KeyPart> KeyPart for Option<T> {
    fn put_key(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_some()));
        if let Some(value) = self {
            value.put_key(out);
        }
    }
    fn is_null(&self) -> bool {
        self.is_none()
    }
}

/// A column that holds a document, encoded as JSON so that its fields may evolve by serde's rules.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Json<T>(pub T);

impl<T: serde::Serialize + serde::de::DeserializeOwned> Column for Json<T> {
    const TYPE: ColumnType = ColumnType::Json;
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(&json_text(&self.0).unwrap_or_default(), out);
    }
    fn take(input: &mut &[u8]) -> Option<Self> {
        serde_json::from_slice(take_bytes(input)?).ok().map(Self)
    }
}
impl<T> std::ops::Deref for Json<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}
impl<T> std::ops::DerefMut for Json<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

/// A column that holds a document which readers rarely need. It stays encoded as JSON until it is asked for, so that rows
/// are read and written without parsing it.
#[derive(Debug)]
pub struct EncodedJson<T> {
    text: std::sync::Arc<[u8]>,
    document: std::marker::PhantomData<fn() -> T>,
}

/// The JSON text of a document. It has room for one of usual length from the start, so that it rarely moves as it grows.
pub(crate) fn json_text(document: &impl serde::Serialize) -> serde_json::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(1_024);
    serde_json::to_writer(&mut text, document)?;
    Ok(text)
}

impl<T: serde::Serialize + serde::de::DeserializeOwned> EncodedJson<T> {
    /// Encodes a document. A value that JSON cannot represent is a bug, reported as an internal error.
    pub fn encode(document: &T) -> Result<Self, crate::Error> {
        let text = json_text(document).map_err(crate::Error::internal)?;
        Ok(Self { text: text.into(), document: std::marker::PhantomData })
    }

    /// Decodes the document.
    pub fn decode(&self) -> Result<T, crate::Error> {
        serde_json::from_slice(&self.text).map_err(crate::Error::internal)
    }
}

impl<T: serde::Serialize> EncodedJson<Vec<T>> {
    /// Appends an item to a list without decoding it.
    pub fn push(&mut self, item: &T) -> Result<(), crate::Error> {
        let item = json_text(item).map_err(crate::Error::internal)?;
        let items = self.text.strip_suffix(b"]").unwrap_or(b"[");
        let separator: &[u8] = if items.ends_with(b"[") { b"" } else { b"," };
        self.text = [items, separator, &item, b"]"].concat().into();
        Ok(())
    }

    /// Whether the list has no items.
    pub fn is_empty(&self) -> bool {
        self.text.len() <= 2
    }
}

impl<T> Default for EncodedJson<Vec<T>> {
    /// An empty list.
    fn default() -> Self {
        Self { text: (*b"[]").into(), document: std::marker::PhantomData }
    }
}

impl<T> Clone for EncodedJson<T> {
    fn clone(&self) -> Self {
        Self { text: self.text.clone(), document: std::marker::PhantomData }
    }
}

impl<T> PartialEq for EncodedJson<T> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<T> Column for EncodedJson<T> {
    const TYPE: ColumnType = ColumnType::Json;
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(&self.text, out);
    }
    fn take(input: &mut &[u8]) -> Option<Self> {
        Some(Self { text: take_bytes(input)?.into(), document: std::marker::PhantomData })
    }
}

impl<T: KeyPart + ?Sized> KeyPart for &T {
    fn put_key(&self, out: &mut Vec<u8>) {
        (**self).put_key(out);
    }
    fn is_null(&self) -> bool {
        (**self).is_null()
    }
}

impl KeyPart for () {
    fn put_key(&self, _: &mut Vec<u8>) {}
}

macro_rules! tuple_keys {
    ($($name:ident),+) => {
        impl<$($name: KeyPart),+> KeyPart for ($($name,)+) {
            #[allow(non_snake_case, reason = "the type parameters name the parts")]
            fn put_key(&self, out: &mut Vec<u8>) {
                let ($($name,)+) = self;
                $($name.put_key(out);)+
            }
        }
    };
}
tuple_keys!(A);
tuple_keys!(A, B);
tuple_keys!(A, B, C);
tuple_keys!(A, B, C, D);
tuple_keys!(A, B, C, D, E);

#[doc(hidden)]
pub fn put_text(text: &str, out: &mut Vec<u8>) {
    put_bytes(text.as_bytes(), out);
}

#[doc(hidden)]
pub fn take_parsed<T: std::str::FromStr>(input: &mut &[u8]) -> Option<T> {
    take_text(input)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(part: impl KeyPart) -> Vec<u8> {
        let mut out = Vec::new();
        part.put_key(&mut out);
        out
    }

    fn round_trip<T: Column + PartialEq + std::fmt::Debug>(value: T) {
        let mut out = Vec::new();
        value.put(&mut out);
        let mut input = out.as_slice();
        assert_eq!(T::take(&mut input), Some(value));
        assert!(input.is_empty());
    }

    proptest! {
        #[test]
        fn keys_sort_as_their_values(a: i64, b: i64, s in "\\PC{0,6}\0?\\PC{0,3}", t in "\\PC{0,6}\0?\\PC{0,3}") {
            prop_assert_eq!(a.cmp(&b), key(a).cmp(&key(b)));
            prop_assert_eq!((s.as_bytes(), a).cmp(&(t.as_bytes(), b)), key((s.as_str(), a)).cmp(&key((t.as_str(), b))));
            prop_assert!(key(Some(a)) > key(None::<i64>));
        }

        #[test]
        fn columns_round_trip(number: i64, text: String, mantissa: i64, scale in 0_u32..20, flag: bool) {
            round_trip(number);
            round_trip(text.clone());
            round_trip(Some(flag));
            round_trip(None::<i64>);
            round_trip(text.into_bytes());
            round_trip(Decimal::new(mantissa, scale));
            round_trip(Decimal::new(mantissa, 0) * Decimal::from(1_000_003));
        }

        #[test]
        fn columns_are_postcard(number: i64, count: u32, text: String, flag: Option<bool>, bytes: Vec<u8>) {
            let mut row = Vec::new();
            number.put(&mut row);
            count.put(&mut row);
            text.put(&mut row);
            flag.put(&mut row);
            bytes.put(&mut row);
            prop_assert_eq!(postcard::from_bytes(&row), Ok((number, count, text, flag, bytes)));
        }

        #[test]
        fn invalid_columns_are_rejected_without_a_panic(bytes: Vec<u8>) {
            let _ = (i64::take(&mut bytes.as_slice()), String::take(&mut bytes.as_slice()));
            let _ = (Decimal::take(&mut bytes.as_slice()), <Option<Timestamp> as Column>::take(&mut bytes.as_slice()));
        }
    }
}
