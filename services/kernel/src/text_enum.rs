//! Enums with a text form, `UPPER_SNAKE`, in JSON and in tables.

/// Declares an enum whose variants are written as the given text in JSON, tables and paths.
///
/// ```
/// promox_kernel::text_enum! { /// A light.
///     Light { Red = "RED", Green = "GREEN" } }
/// assert_eq!(Light::Red.as_str(), "RED");
/// ```
#[macro_export]
macro_rules! text_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $(#[doc = concat!("`", $text, "`.")] $(#[$vmeta])* $variant),+ }

        impl $name {
            /// Every variant, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The text of this variant.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(format!("must be one of {}; got \"{text}\"", [$($text),+].join(", "))),
                }
            }
        }
        impl $crate::macros::serde::Serialize for $name {
            fn serialize<S: $crate::macros::serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(self.as_str())
            }
        }
        impl<'de> $crate::macros::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::macros::serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as $crate::macros::serde::Deserialize>::deserialize(d)?;
                text.parse().map_err($crate::macros::serde::de::Error::custom)
            }
        }
        impl $crate::encoding::Column for $name {
            const TYPE: $crate::encoding::ColumnType = $crate::encoding::ColumnType::Text;
            fn put(&self, out: &mut Vec<u8>) {
                $crate::encoding::put_text(self.as_str(), out);
            }
            fn take(input: &mut &[u8]) -> Option<Self> {
                $crate::encoding::take_parsed(input)
            }
        }
        impl $crate::encoding::KeyPart for $name {
            fn put_key(&self, out: &mut Vec<u8>) {
                self.as_str().put_key(out);
            }
        }
        impl $crate::macros::schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn schema_id() -> std::borrow::Cow<'static, str> {
                concat!(module_path!(), "::", stringify!($name)).into()
            }
            fn json_schema(_: &mut $crate::macros::schemars::SchemaGenerator) -> $crate::macros::schemars::Schema {
                $crate::macros::schemars::json_schema!({"type": "string", "enum": [$($text),+]})
            }
        }
    };
}
