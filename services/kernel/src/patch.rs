//! Members of a JSON Merge Patch (RFC 7396): absent, null, or a value.

use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};

use crate::Faults;

/// Marks the schema of a [`Patch`], whose null clears the member. In a merge patch any other null is refused, so that the
/// description of one says which members take it.
pub const CLEARS: &str = "x-clears";

/// The patch of one member; one that null does not clear states `#[schemars(with = "T")]`. Mark the member `#[serde(default)]`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// Absent: the member keeps its value.
    #[default]
    Keep,
    /// `null`: the member is cleared.
    Clear,
    /// The member is set to this value.
    Set(T),
}

impl<T> Patch<T> {
    /// Applies the patch to an optional member.
    pub fn apply(self, member: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *member = None,
            Self::Set(value) => *member = Some(value),
        }
    }

    /// Applies the patch to a required member; a null is reported as a fault at `pointer`.
    pub fn replace(self, member: &mut T, pointer: &str, faults: &mut Faults) {
        match self {
            Self::Keep => {}
            Self::Clear => faults.note(pointer, "must not be null"),
            Self::Set(value) => *member = value,
        }
    }

    /// Converts the value of the patch, if it sets one.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Patch<U> {
        match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(convert(value)),
        }
    }
}

impl<T: Default> Patch<T> {
    /// The new value of a member for which cleared means the default value; `None` keeps the current one.
    pub fn or_default(self) -> Option<T> {
        match self {
            Self::Keep => None,
            Self::Clear => Some(T::default()),
            Self::Set(value) => Some(value),
        }
    }
}

/// Deserialises a nullable member that must be present. For serde's `deserialize_with`; its schema is [`OrNull`].
pub fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

/// The schema of a nullable member that must be present, for `#[schemars(with = "OrNull<T>")]`.
#[derive(Debug)]
pub struct OrNull<T>(PhantomData<T>);

impl<T: JsonSchema> JsonSchema for OrNull<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        <Option<T>>::json_schema(generator)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Clearable<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Clearable<T> {
            type Value = Patch<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value or null")
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, d: D) -> Result<Patch<T>, D::Error> {
                Ok(Option::deserialize(d)?.map_or(Patch::Clear, Patch::Set))
            }
        }
        d.deserialize_newtype_struct("Patch", Clearable(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Patch<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = <Option<T>>::json_schema(generator);
        schema.insert(CLEARS.to_owned(), true.into());
        schema
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_keeps_clears_and_sets() {
        for (patch, optional, plain) in [
            (Patch::Keep, Some("old".to_owned()), None),
            (Patch::Clear, None, Some(String::new())),
            (Patch::Set("new"), Some("NEW".to_owned()), Some("NEW".to_owned())),
        ] {
            let patch = patch.map(str::to_uppercase);
            let (mut member, mut required, mut faults) = (Some("old".to_owned()), "old".to_owned(), Faults::default());
            patch.clone().replace(&mut required, "/member", &mut faults);
            assert_eq!(
                (required == "NEW", faults.into_list().len()),
                (patch == Patch::Set("NEW".to_owned()), usize::from(patch == Patch::Clear))
            );
            patch.clone().apply(&mut member);
            assert_eq!((member, patch.or_default()), (optional, plain));
        }
    }
}
