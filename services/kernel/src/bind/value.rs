//! Values as serde reads them.
//!
//! One deserializer reads every value, at any depth and from any source, so that each type is compiled once for all of
//! them. It notes where reading failed, and the members that nothing reads.
//!
//! A struct must be an object: serde would also accept an array with the members in order, which the API does not
//! document and which a new member would silently shift. Texts of requests are normalised to Unicode NFC with LF line
//! endings, the form in which they are stored and compared.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde_json::Error;
use serde_json::value::RawValue;

use super::source::{Content, Members, Source, invalid_number};
use crate::pointer::escaped;

/// What reading found out besides the value.
#[derive(Default)]
pub(crate) struct Notes {
    /// The pointer to the innermost value that could not be read.
    pub(super) failed_at: RefCell<Option<String>>,
    /// The members that no type has.
    pub(super) unknown: RefCell<Vec<Unknown>>,
    /// The pointers to members that their object has twice.
    pub(super) duplicates: RefCell<Vec<String>>,
}

/// A member that no type has.
#[derive(Debug)]
pub(super) struct Unknown {
    /// The pointer to it.
    pub(super) pointer: String,
    /// The members that its object can have, if a type says so.
    pub(super) known: &'static [&'static str],
}

impl Notes {
    fn fail(&self, path: Path<'_>) {
        self.failed_at.borrow_mut().get_or_insert_with(|| path.to_string());
    }
}

/// The way from the root to a value.
#[derive(Clone, Copy)]
pub(crate) enum Path<'p> {
    /// The whole.
    Root,
    /// A member of path or query.
    Text(&'p Path<'p>, &'p str),
    /// A member of an object.
    Member(&'p Path<'p>, &'p str),
    /// An item of a list.
    Item(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    /// `/items/0/sku` in the body, `?attr.color` in path and query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Text(Self::Root, name) => write!(f, "?{name}"),
            Self::Text(parent, name) => write!(f, "{parent}.{name}"),
            Self::Member(parent, name) => write!(f, "{parent}/{}", escaped(name)),
            Self::Item(parent, at) => write!(f, "{parent}/{at}"),
        }
    }
}

/// Where a value stands, and what is noted about it.
#[derive(Clone, Copy)]
pub(crate) struct Place<'p> {
    pub(crate) path: &'p Path<'p>,
    pub(crate) notes: &'p Notes,
    /// The members that the object with this value can have, if a type says so.
    pub(super) siblings: &'static [&'static str],
}

impl<'p> Place<'p> {
    /// The place of a whole.
    pub(super) fn root(notes: &'p Notes) -> Self {
        Self { path: &Path::Root, notes, siblings: &[] }
    }

    /// Reads members, of which `known` can be there, or any if it is empty.
    fn members<'a>(self, members: Members<'a>, known: &'static [&'static str]) -> MembersAccess<'a, 'p> {
        let (members, duplicates) = members.without_duplicates();
        let pointer = |name: &Cow<'_, str>| Path::Member(self.path, name).to_string();
        self.notes.duplicates.borrow_mut().extend(duplicates.iter().map(pointer));
        MembersAccess { members: members.0.into_iter(), value: None, known, place: self }
    }

    fn list<'a, V: Visitor<'a>>(self, items: Vec<Source<'a>>, visitor: V) -> Result<V::Value, Error> {
        let count = items.len();
        let mut access = ListAccess { items: items.into_iter(), at: 0, place: self };
        let value = visitor.visit_seq(&mut access)?;
        if access.at < count {
            return Err(de::Error::invalid_length(count, &"a shorter list"));
        }
        Ok(value)
    }
}

/// A value at its place.
pub(crate) struct Value<'a, 'p> {
    pub(crate) source: Source<'a>,
    pub(crate) place: Place<'p>,
}

/// Reads a part of a value, and notes where it is if that fails. It is not inlined, so that structs with members of the
/// same type share its code.
#[inline(never)]
fn read_part<'a, S: DeserializeSeed<'a>>(
    seed: S,
    source: Source<'a>,
    path: Path<'_>,
    (notes, siblings): (&Notes, &'static [&'static str]),
) -> Result<S::Value, Error> {
    seed.deserialize(Value { source, place: Place { path: &path, notes, siblings } }).inspect_err(|_| notes.fail(path))
}

/// Parses a text or the digits of a JSON number.
fn exact<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// The plain digits of a JSON number that is written with a fraction or an exponent, if it is whole and an integer may have as
/// many: JSON Schema takes `2.0` and `2e0` as integers too.
fn integer_digits(text: &str) -> Option<String> {
    const MAX_DIGITS: usize = 20;
    let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (sign, number) = number.strip_prefix('-').map_or(("", number), |number| ("-", number));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let exponent: i32 = exponent.parse().ok()?;
    let digits = format!("{whole}{fraction}");
    let trailing = digits.len() - digits.trim_end_matches('0').len();
    let digits = digits.trim_matches('0');
    if digits.is_empty() {
        return Some("0".to_owned());
    }
    let zeros = exponent.checked_sub(fraction.len().try_into().ok()?)?.checked_add(trailing.try_into().ok()?)?;
    let zeros = usize::try_from(zeros).ok().filter(|zeros| digits.len() + zeros <= MAX_DIGITS)?;
    Some(format!("{sign}{digits}{}", "0".repeat(zeros)))
}

/// Parses a number that a float can represent.
fn float(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

macro_rules! parsed {
    ($($method:ident $visit:ident $parse:expr),+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let is_text = matches!(self.source, Source::Texts(_) | Source::Text(_));
            match self.source.content()? {
                Content::Text(text) if is_text => match $parse(&text) {
                    Some(value) => visitor.$visit(value),
                    None => Err(Content::Text(text).invalid(&visitor)),
                },
                Content::Digits(json) => match $parse(json.get()).or_else(|| $parse(&integer_digits(json.get())?)) {
                    Some(value) => visitor.$visit(value),
                    None => Err(Content::Digits(json).invalid(&visitor)),
                },
                content => visit_scalar(content, visitor),
            }
        }
    )+};
}

/// Hands content to a visitor of numbers or booleans. Like the other visitors of one kind, it is not compiled for lists and
/// members, which it would only refuse.
fn visit_scalar<'de, V: Visitor<'de>>(content: Content<'de>, visitor: V) -> Result<V::Value, Error> {
    match content {
        Content::Bool(value) => visitor.visit_bool(value),
        Content::Signed(number) => visitor.visit_i64(number),
        Content::Unsigned(number) => visitor.visit_u64(number),
        Content::Float(number) => visitor.visit_f64(number),
        content => Err(content.invalid(&visitor)),
    }
}

/// Hands content to a visitor of any type as it is.
fn visit<'de, V: Visitor<'de>>(content: Content<'de>, place: Place<'_>, visitor: V) -> Result<V::Value, Error> {
    match content {
        Content::Null => visitor.visit_unit(),
        Content::Bool(value) => visitor.visit_bool(value),
        Content::Signed(number) => visitor.visit_i64(number),
        Content::Unsigned(number) => visitor.visit_u64(number),
        Content::Float(number) => visitor.visit_f64(number),
        Content::Digits(json) => visit_number(json, place, visitor),
        Content::Text(Cow::Borrowed(text)) => visitor.visit_borrowed_str(text),
        Content::Text(Cow::Owned(text)) => visitor.visit_string(text),
        Content::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
        Content::List(items) => place.list(items, visitor),
        Content::Members(members) => visitor.visit_map(place.members(members, &[])),
    }
}

/// Hands a number to a visitor of any type as serde_json does: what is no integer is a map with the digits, which an error must
/// not name. The map is one of ours, so that nothing is compiled for a second deserializer.
fn visit_number<'de, V: Visitor<'de>>(json: &'de RawValue, place: Place<'_>, visitor: V) -> Result<V::Value, Error> {
    let text = json.get();
    let read = if let Some(number) = exact(text) {
        visitor.visit_u64(number)
    } else if let Some(number) = exact(text).filter(|_| text != "-0") {
        visitor.visit_i64(number)
    } else {
        visitor.visit_map(place.members(Members::of_number(json), &[]))
    };
    read.map_err(|error| number_error(json, error))
}

/// The error of a visitor that does not accept the number.
fn number_error(json: &RawValue, error: Error) -> Error {
    let detail = error.to_string();
    let wanted = detail.strip_prefix("invalid type: map, expected ");
    let wanted = wanted.and_then(|wanted| wanted.split(" at line ").next());
    wanted.map_or(error, |wanted| invalid_number(json, &wanted))
}

impl<'de> Deserializer<'de> for Value<'de, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visit(self.source.content()?, self.place, visitor)
    }

    parsed!(deserialize_bool visit_bool exact, deserialize_i8 visit_i8 exact, deserialize_i16 visit_i16 exact,
        deserialize_i32 visit_i32 exact, deserialize_i64 visit_i64 exact, deserialize_u8 visit_u8 exact,
        deserialize_u16 visit_u16 exact, deserialize_u32 visit_u32 exact, deserialize_u64 visit_u64 exact,
        deserialize_f32 visit_f64 float, deserialize_f64 visit_f64 float);

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.source {
            Source::Patched(_) if self.source.is_null() => Err(de::Error::custom("must not be null")),
            _ if self.source.is_null() => visitor.visit_none(),
            Source::Patched(json) => visitor.visit_some(Self { source: Source::Json(json), ..self }),
            _ => visitor.visit_some(self),
        }
    }

    /// In a merge patch this is a [`Patch`](crate::Patch), which null clears.
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        match self.source {
            Source::Patched(json) => visitor.visit_newtype_struct(Self { source: Source::Json(json), ..self }),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let members = self.source.members(&"an object")?;
        visitor.visit_map(self.place.members(members, fields))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.source.content()? {
            Content::Text(name) => visitor.visit_enum(name.into_deserializer()),
            Content::Members(members) => match <[_; 1]>::try_from(members.0) {
                Ok([(name, source)]) => {
                    visitor.visit_enum(Variant { name, value: Value { source, place: self.place } })
                }
                Err(_) => Err(de::Error::custom("must be an object with a single member")),
            },
            content => Err(content.invalid(&visitor)),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.source {
            Source::Texts(texts) => {
                let items = texts.into_iter().flat_map(|text| text.split(','));
                self.place.list(items.map(|item| Source::Text(Cow::Borrowed(item))).collect(), visitor)
            }
            source => {
                let items = source.list(&visitor)?;
                self.place.list(items, visitor)
            }
        }
    }

    /// The name of a struct's member. Its visitor is compiled for texts only.
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let name = self.source.text(&visitor)?;
        visitor.visit_str(&name)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let unknown = Unknown { pointer: self.place.path.to_string(), known: self.place.siblings };
        self.place.notes.unknown.borrow_mut().push(unknown);
        visitor.visit_unit()
    }

    fn is_human_readable(&self) -> bool {
        !matches!(self.source, Source::Packed(_))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.source.text(&visitor)? {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    /// serde_json hands over the digits of a number as a map, which a type that reads maps would accept; this does not.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let members = self.source.members(&visitor)?;
        visitor.visit_map(self.place.members(members, &[]))
    }
    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        let items = self.source.list(&visitor)?;
        self.place.list(items, visitor)
    }
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.source.content()? {
            Content::Null => visitor.visit_unit(),
            content => Err(content.invalid(&visitor)),
        }
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit_struct tuple_struct
    }
}

/// The members of an object.
struct MembersAccess<'a, 'p> {
    members: std::vec::IntoIter<(Cow<'a, str>, Source<'a>)>,
    /// The member whose key was read last.
    value: Option<(Cow<'a, str>, Source<'a>)>,
    /// The members that can be there, if a type says so.
    known: &'static [&'static str],
    place: Place<'p>,
}

impl<'a> MembersAccess<'a, '_> {
    /// Goes to the next member and returns its key.
    fn advance(&mut self) -> Option<Source<'a>> {
        self.value = self.members.next();
        self.value.as_ref().map(|(name, _)| Source::Text(name.clone()))
    }
}

impl<'de> MapAccess<'de> for MembersAccess<'de, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(key) = self.advance() else { return Ok(None) };
        let name = self.value.as_ref().map_or("", |(name, _)| name);
        read_part(seed, key, Path::Member(self.place.path, name), (self.place.notes, &[])).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some((name, source)) = self.value.take() else { return Err(de::Error::custom("a value without a key")) };
        let path = match source {
            Source::Texts(_) | Source::Members(_) => Path::Text(self.place.path, &name),
            _ => Path::Member(self.place.path, &name),
        };
        read_part(seed, source, path, (self.place.notes, self.known))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.members.len())
    }
}

/// The items of a list.
struct ListAccess<'a, 'p> {
    items: std::vec::IntoIter<Source<'a>>,
    /// The index of the next item.
    at: usize,
    place: Place<'p>,
}

impl<'de> SeqAccess<'de> for ListAccess<'de, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let path = match item {
            // The items of a list in the query share its name.
            Source::Text(_) => *self.place.path,
            _ => Path::Item(self.place.path, self.at),
        };
        self.at += 1;
        read_part(seed, item, path, (self.place.notes, &[])).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

/// An enum's variant with content: an object with one member.
struct Variant<'a, 'p> {
    name: Cow<'a, str>,
    value: Value<'a, 'p>,
}

impl<'de, 'p> EnumAccess<'de> for Variant<'de, 'p> {
    type Error = Error;
    type Variant = Value<'de, 'p>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), Error> {
        Ok((seed.deserialize(self.name.into_deserializer())?, self.value))
    }
}

impl<'de> VariantAccess<'de> for Value<'de, '_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Deserialize::deserialize(self)
    }
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(self)
    }
    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }
    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        self.deserialize_struct("", fields, visitor)
    }
}
