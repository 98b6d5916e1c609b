//! Validated texts: single lines, multi-line texts and SKUs.

use std::borrow::Cow;
use std::str::FromStr;

use icu_normalizer::ComposingNormalizerBorrowed;

/// Validates a text of one line and returns it trimmed and in Unicode NFC. It must have `min` to `max` characters and
/// no control characters or line ends; the error is a message for humans.
pub fn bounded(text: &str, min: usize, max: usize) -> Result<String, String> {
    if text.trim().contains(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']) {
        return Err("must be a single line".to_owned());
    }
    multiline(text, min, max)
}

/// Validates a text of any number of lines and returns it trimmed, in Unicode NFC and with LF line ends. It must have
/// `min` to `max` characters and no control characters but line ends and tabs; the error is a message for humans.
pub fn multiline(text: &str, min: usize, max: usize) -> Result<String, String> {
    let text = stored_form(text.trim());
    let length = text.chars().count();
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err("must not contain control characters".to_owned());
    }
    if length < min || length > max {
        return Err(format!("must have {min} to {max} characters; got {length}"));
    }
    Ok(text.into_owned())
}

/// The stored form of a text: Unicode NFC with LF line endings.
pub(crate) fn stored_form(text: &str) -> Cow<'_, str> {
    let composed = nfc(text);
    if composed.contains("\r\n") { Cow::Owned(composed.replace("\r\n", "\n")) } else { composed }
}

/// A text in Unicode NFC, so that equivalent texts are equal.
pub fn nfc(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { Cow::Borrowed(text) } else { ComposingNormalizerBorrowed::new_nfc().normalize(text) }
}

/// A stock keeping unit (SKU): 1 to 64 printable characters, stored as entered and compared without case.
#[derive(Clone, Debug)]
pub struct Sku(String);

impl Sku {
    /// The SKU as it was entered.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in keys. Two SKUs are the same if their folded forms are equal.
    pub fn fold(&self) -> String {
        fold_sku(&self.0)
    }
}

/// The form of a SKU in keys.
pub(crate) fn fold_sku(text: &str) -> String {
    text.to_lowercase()
}

impl FromStr for Sku {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let text = nfc(text.trim());
        let length = text.chars().count();
        if length == 0 || length > 64 || text.chars().any(is_unprintable) {
            return Err("must be 1 to 64 printable characters".to_owned());
        }
        Ok(Self(text.into_owned()))
    }
}

/// Whether a character is a control character or invisible, such as a zero-width character or a change of the writing
/// direction. Texts that differ only in such characters would look the same.
pub(crate) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

impl PartialEq for Sku {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || self.fold() == other.fold()
    }
}
impl Eq for Sku {}
impl PartialOrd for Sku {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Sku {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.fold().cmp(&other.fold())
    }
}
impl std::hash::Hash for Sku {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.fold().hash(state);
    }
}

/// Implements `Display`, serde and the JSON schema for a newtype of `String` that has `FromStr`.
macro_rules! text_serde {
    ($name:ident, $schema:tt) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}
pub(crate) use text_serde;

text_serde!(Sku, {"type": "string", "minLength": 1, "maxLength": 64});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skus_compare_without_case_and_keep_their_spelling() {
        let (a, b): (Sku, Sku) = ("85123A".parse().unwrap(), "85123a".parse().unwrap());
        assert_eq!(a, b);
        assert_eq!(a.as_str(), "85123A");
        assert!("".parse::<Sku>().is_err() && "x".repeat(65).parse::<Sku>().is_err());
    }

    #[test]
    fn single_lines_refuse_line_ends_and_multi_line_texts_keep_them() {
        for (text, line, lines) in [
            (" a b ", Some("a b"), Some("a b")),
            ("a\r\nb", None, Some("a\nb")),
            ("a\nb", None, Some("a\nb")),
            ("a\rb", None, None),
            ("a\u{2028}b", None, Some("a\u{2028}b")),
            ("a\u{7}b", None, None),
            ("e\u{301}\n", Some("é"), Some("é")),
            ("\u{1112}\u{1161}\u{11ab}", Some("한"), Some("한")),
        ] {
            assert_eq!(bounded(text, 1, 9).ok().as_deref(), line, "{text:?}");
            assert_eq!(multiline(text, 1, 9).ok().as_deref(), lines, "{text:?}");
        }
        assert!(bounded("e\u{301}e\u{301}", 1, 2).is_ok(), "the characters of the stored form are counted");
        let (composed, decomposed): (Sku, Sku) = ("caf\u{e9}".parse().unwrap(), "cafe\u{301}".parse().unwrap());
        assert_eq!(composed.as_str(), decomposed.as_str());
    }
}
