//! Nulls in a merge patch: a clearable member is a [`Patch`](crate::Patch) and accepts null. Any other member refuses
//! it, because ignoring it would look like success.

use serde::de::{self, Deserializer, Visitor};
use serde_json::value::RawValue;

/// The type name by which a member announces that it accepts null.
pub(crate) const CLEARABLE: &str = "$promox::Patch";

/// A member's value in a merge patch.
pub(crate) struct Value<'a>(pub(crate) &'a RawValue);

macro_rules! forward {
    ($($method:ident($($name:ident: $type:ty),*)),+ $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, Self::Error> {
            serde_json::Deserializer::from_str(self.0.get()).$method($($name,)* visitor)
        }
    )+};
}

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = serde_json::Error;

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.0.get() == "null" {
            return Err(de::Error::custom("must not be null"));
        }
        visitor.visit_some(&mut serde_json::Deserializer::from_str(self.0.get()))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        let mut json = serde_json::Deserializer::from_str(self.0.get());
        if name == CLEARABLE {
            return visitor.visit_newtype_struct(&mut json);
        }
        json.deserialize_newtype_struct(name, visitor)
    }

    forward! {
        deserialize_any(), deserialize_bool(), deserialize_char(), deserialize_str(), deserialize_string(),
        deserialize_i8(), deserialize_i16(), deserialize_i32(), deserialize_i64(), deserialize_i128(),
        deserialize_u8(), deserialize_u16(), deserialize_u32(), deserialize_u64(), deserialize_u128(),
        deserialize_f32(), deserialize_f64(), deserialize_bytes(), deserialize_byte_buf(), deserialize_unit(),
        deserialize_seq(), deserialize_map(), deserialize_identifier(), deserialize_ignored_any(),
        deserialize_unit_struct(name: &'static str),
        deserialize_tuple(length: usize),
        deserialize_tuple_struct(name: &'static str, length: usize),
        deserialize_struct(name: &'static str, fields: &'static [&'static str]),
        deserialize_enum(name: &'static str, variants: &'static [&'static str]),
    }
}
