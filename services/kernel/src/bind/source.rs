//! Where values are read from: path and query, a JSON body, or a call of another node.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use rmpv::{Utf8StringRef, ValueRef};
use serde::de::{self, Deserializer, Expected, MapAccess, Unexpected, Visitor};
use serde_json::Error;
use serde_json::value::RawValue;

use crate::text::stored_form;

/// What stands at one place, unread.
pub(crate) enum Source<'a> {
    /// The values of one name in path or query.
    Texts(Vec<&'a str>),
    /// One of them, or the name of a member.
    Text(Cow<'a, str>),
    /// The members of a request, or those behind a dotted name in the query.
    Members(Members<'a>),
    /// A value of a JSON body.
    Json(&'a RawValue),
    /// The value of a member in a JSON merge patch. Null clears a [`Patch`](crate::Patch); any other member refuses it,
    /// because ignoring it would look like success.
    Patched(&'a RawValue),
    /// A value of another node's call, in MessagePack.
    Packed(ValueRef<'a>),
}

/// What stands at one place, read as far as its kind.
pub(super) enum Content<'a> {
    Null,
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    /// A JSON number, of which serde_json hands over the digits.
    Digits(&'a RawValue),
    Text(Cow<'a, str>),
    Bytes(&'a [u8]),
    List(Vec<Source<'a>>),
    Members(Members<'a>),
}

impl<'a> Source<'a> {
    /// Whether this is the JSON value null.
    pub(super) fn is_null(&self) -> bool {
        match self {
            Self::Json(json) | Self::Patched(json) => json.get() == "null",
            Self::Packed(value) => matches!(value, ValueRef::Nil),
            Self::Texts(_) | Self::Text(_) | Self::Members(_) => false,
        }
    }

    /// The value, which must be a text.
    pub(super) fn text(self, expected: &dyn Expected) -> Result<Cow<'a, str>, Error> {
        match self.content()? {
            Content::Text(text) => Ok(text),
            content => Err(content.invalid(expected)),
        }
    }

    /// The members of the value, which must be an object.
    pub(super) fn members(self, expected: &dyn Expected) -> Result<Members<'a>, Error> {
        match self.content()? {
            Content::Members(members) => Ok(members),
            content => Err(content.invalid(expected)),
        }
    }

    /// The items of the value, which must be a list.
    pub(super) fn list(self, expected: &dyn Expected) -> Result<Vec<Self>, Error> {
        match self.content()? {
            Content::List(items) => Ok(items),
            content => Err(content.invalid(expected)),
        }
    }

    /// Reads as far as the kind of the value. Fails for two texts of one name.
    pub(super) fn content(self) -> Result<Content<'a>, Error> {
        Ok(match self {
            Self::Texts(texts) => match texts.as_slice() {
                [text] => Content::Text(Cow::Borrowed(text)),
                _ => return Err(de::Error::custom("given more than once")),
            },
            Self::Text(text) => Content::Text(text),
            Self::Members(members) => Content::Members(members),
            Self::Json(json) | Self::Patched(json) => of_json(json)?,
            Self::Packed(value) => of_packed(value)?,
        })
    }
}

fn of_json(json: &RawValue) -> Result<Content<'_>, Error> {
    let text = json.get();
    Ok(match text.as_bytes().first() {
        Some(b'n') => Content::Null,
        Some(b't' | b'f') => Content::Bool(text == "true"),
        Some(b'"') => Content::Text(serde_json::from_str::<Text<'_>>(text)?.0),
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            Content::List(items.into_iter().map(Source::Json).collect())
        }
        Some(b'{') => Content::Members(Members::of_json(text.as_bytes())?),
        _ => Content::Digits(json),
    })
}

fn of_packed(value: ValueRef<'_>) -> Result<Content<'_>, Error> {
    Ok(match value {
        ValueRef::Nil => Content::Null,
        ValueRef::Boolean(value) => Content::Bool(value),
        ValueRef::Integer(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Content::Signed(number),
            (None, number) => Content::Unsigned(number.unwrap_or(u64::MAX)),
        },
        ValueRef::F32(number) => Content::Float(number.into()),
        ValueRef::F64(number) => Content::Float(number),
        ValueRef::String(text) => Content::Text(utf8(text)?),
        ValueRef::Binary(bytes) => Content::Bytes(bytes),
        ValueRef::Array(items) => Content::List(items.into_iter().map(Source::Packed).collect()),
        ValueRef::Map(entries) => {
            let entry = |(key, value)| Ok((name(key)?, Source::Packed(value)));
            Content::Members(Members(entries.into_iter().map(entry).collect::<Result<_, Error>>()?))
        }
        ValueRef::Ext(..) => return Err(de::Error::custom("an extension type of MessagePack")),
    })
}

fn utf8(text: Utf8StringRef<'_>) -> Result<Cow<'_, str>, Error> {
    text.into_str().map(Cow::Borrowed).ok_or_else(|| de::Error::custom("a text that is not UTF-8"))
}

/// The key of a map as a text, from which numbers are parsed again.
fn name(key: ValueRef<'_>) -> Result<Cow<'_, str>, Error> {
    match key {
        ValueRef::String(text) => utf8(text),
        ValueRef::Integer(number) => Ok(Cow::Owned(number.to_string())),
        other => Err(de::Error::custom(format_args!("a map with the key {other}"))),
    }
}

impl Content<'_> {
    /// The error of a value of another kind than expected.
    pub(super) fn invalid(&self, expected: &dyn Expected) -> Error {
        let unexpected = match self {
            Self::Null => Unexpected::Unit,
            Self::Bool(value) => Unexpected::Bool(*value),
            Self::Signed(number) => Unexpected::Signed(*number),
            Self::Unsigned(number) => Unexpected::Unsigned(*number),
            Self::Float(number) => Unexpected::Float(*number),
            Self::Digits(json) => return invalid_number(json, expected),
            Self::Text(text) => Unexpected::Str(text),
            Self::Bytes(bytes) => Unexpected::Bytes(bytes),
            Self::List(_) => Unexpected::Seq,
            Self::Members(_) => Unexpected::Map,
        };
        de::Error::invalid_type(unexpected, expected)
    }
}

/// The longest number that an error repeats.
const MAX_SHOWN: usize = 40;

/// The error of a number where something else is expected, or another number.
pub(super) fn invalid_number(json: &RawValue, expected: &dyn Expected) -> Error {
    let shown = json.get().get(..MAX_SHOWN).unwrap_or(json.get());
    de::Error::invalid_type(Unexpected::Other(shown), expected)
}

/// The beginning of the names by which serde_json hands over the digits of numbers.
const PRIVATE: &str = "$serde_json::private";

/// The name by which serde_json's `Value` and `Number` read the digits of a number.
const NUMBER: &str = "$serde_json::private::Number";

/// Members by name.
#[derive(Default)]
pub(crate) struct Members<'a>(pub(super) Vec<(Cow<'a, str>, Source<'a>)>);

impl<'a> Members<'a> {
    /// Reads the members of a JSON object, but not their values.
    pub(super) fn of_json(json: &'a [u8]) -> Result<Self, Error> {
        serde_json::from_slice(json)
    }

    /// A number in the form in which serde_json hands it to types that read any value.
    pub(super) fn of_number(json: &'a RawValue) -> Self {
        Self(vec![(Cow::Borrowed(NUMBER), Source::Text(Cow::Borrowed(json.get())))])
    }

    /// The members without those of a JSON object whose name an earlier one has, and the names of these. A name that path
    /// or query have twice is left to the type that reads it.
    pub(super) fn without_duplicates(self) -> (Self, Vec<Cow<'a, str>>) {
        let is_later = |seen: &mut HashSet<Cow<'a, str>>, (name, source): &(Cow<'a, str>, Source<'a>)| {
            matches!(source, Source::Json(_) | Source::Patched(_)) && !seen.insert(name.clone())
        };
        let mut seen = HashSet::with_capacity(self.0.len());
        if self.0.len() < 2 || !self.0.iter().any(|member| is_later(&mut seen, member)) {
            return (self, Vec::new());
        }
        seen.clear();
        let (later, first): (Vec<_>, Vec<_>) = self.0.into_iter().partition(|member| is_later(&mut seen, member));
        (Self(first), later.into_iter().map(|(name, _)| name).collect())
    }

    /// Adds a text of path or query. `attr.color` is the member `color` of `attr`; further texts of one name are further
    /// items of a list. A name that is used both ways stays twice, which no type accepts.
    pub(super) fn add_text(&mut self, name: &'a str, text: &'a str) {
        match name.split_once('.') {
            None => self.add(name, text),
            Some((name, inner)) => {
                let known = self.0.iter_mut().find_map(|(known, source)| match source {
                    Source::Members(members) if known == name => Some(members),
                    _ => None,
                });
                if let Some(members) = known {
                    return members.add(inner, text);
                }
                let mut members = Self::default();
                members.add(inner, text);
                self.0.push((Cow::Borrowed(name), Source::Members(members)));
            }
        }
    }

    fn add(&mut self, name: &'a str, text: &'a str) {
        let known = self.0.iter_mut().find_map(|(known, source)| match source {
            Source::Texts(texts) if known == name => Some(texts),
            _ => None,
        });
        match known {
            Some(texts) => texts.push(text),
            None => self.0.push((Cow::Borrowed(name), Source::Texts(vec![text]))),
        }
    }
}

impl<'de: 'a, 'a> de::Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(Text(name)) = map.next_key()? {
                    if name.starts_with(PRIVATE) {
                        return Err(de::Error::custom("a member with a reserved name"));
                    }
                    let value = map.next_value()?;
                    members.push((name, Source::Json(value)));
                }
                Ok(Members(members))
            }
        }
        d.deserialize_map(MembersVisitor)
    }
}

/// A JSON text, borrowed from the body unless it has escapes or is not normalised.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> de::Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(stored_form(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(stored_form(text).into_owned())))
            }
        }
        d.deserialize_str(TextVisitor)
    }
}
