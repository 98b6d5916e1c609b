//! Ids: a newtype of `i64` for each table, so that an order's id cannot be passed for a user's. They count from 1.

/// Declares an id newtype: `id! { /// An order. OrderId }`.
///
/// It is parsed from JSON numbers and from digits in a path or query; zero and negative numbers are refused.
#[macro_export]
macro_rules! id {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}", self.0)
            }
        }
        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
        impl From<i64> for $name {
            fn from(id: i64) -> Self {
                Self(id)
            }
        }
        impl From<$name> for i64 {
            fn from(id: $name) -> i64 {
                id.0
            }
        }
        impl $crate::macros::serde::Serialize for $name {
            fn serialize<S: $crate::macros::serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_i64(self.0)
            }
        }
        impl<'de> $crate::macros::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::macros::serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                // Between nodes, a draft without an id is passed as 0; a client can only name existing resources.
                let by_client = d.is_human_readable();
                let id = <i64 as $crate::macros::serde::Deserialize>::deserialize(d)?;
                if by_client && id < 1 {
                    return Err($crate::macros::serde::de::Error::custom("must be a positive integer"));
                }
                Ok(Self(id))
            }
        }
        impl $crate::encoding::Column for $name {
            const TYPE: $crate::encoding::ColumnType = $crate::encoding::ColumnType::BigInt;
            fn put(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }
            fn take(input: &mut &[u8]) -> Option<Self> {
                <i64 as $crate::encoding::Column>::take(input).map(Self)
            }
        }
        impl $crate::encoding::KeyPart for $name {
            fn put_key(&self, out: &mut Vec<u8>) {
                self.0.put_key(out);
            }
        }
        impl $crate::macros::schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut $crate::macros::schemars::SchemaGenerator) -> $crate::macros::schemars::Schema {
                $crate::macros::schemars::json_schema!({"type": "integer", "format": "int64", "minimum": 1})
            }
        }
    )+};
}
