//! Texts with rules of their own: SKUs and e-mail addresses.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

/// A text of `least..=most` characters without control characters, trimmed; the error is for people.
pub fn bounded(text: &str, least: usize, most: usize) -> Result<String, String> {
    let text = text.trim();
    let length = text.chars().count();
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err("control characters are not taken".to_owned());
    }
    if length < least || length > most {
        return Err(format!("{least} to {most} characters are taken, these are {length}"));
    }
    Ok(text.to_owned())
}

/// A stock keeping unit: 1–64 printable characters, kept as written and compared without case.
#[derive(Clone, Debug)]
pub struct Sku(String);

impl Sku {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form that keys use: two SKUs are one when their folds are equal.
    pub fn fold(&self) -> String {
        self.0.to_lowercase()
    }
}

impl FromStr for Sku {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let length = trimmed.chars().count();
        if length == 0 || length > 64 || trimmed.chars().any(is_unprintable) {
            return Err("a sku is 1 to 64 printable characters".to_owned());
        }
        Ok(Self(trimmed.to_owned()))
    }
}

/// Control characters, and those that are not seen: zero-width ones and what turns the direction of writing. Two SKUs that
/// differ in them alone would look the same.
fn is_unprintable(c: char) -> bool {
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

/// An e-mail address as it was written; [`Email::normal`] is what uniqueness and limits go by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Lower case, for comparing: one mailbox, one form. Dots and plus tags are kept, they mean different boxes at most hosts.
    pub fn normal(&self) -> String {
        self.0.to_lowercase()
    }
}

impl FromStr for Email {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let fault = || "not an e-mail address such as ada@example.com".to_owned();
        let (local, domain) = text.rsplit_once('@').ok_or_else(fault)?;
        let odd = |c: char| c.is_control() || c.is_whitespace() || "<>()[],;:\"\\".contains(c);
        let bad_domain = domain.is_empty()
            || domain.starts_with(['.', '-'])
            || domain.ends_with(['.', '-'])
            || domain.contains("..")
            || domain.contains('@');
        if local.is_empty()
            || local.len() > 64
            || text.len() > 254
            || text.chars().any(odd)
            || local.contains('@')
            || bad_domain
        {
            return Err(fault());
        }
        Ok(Self(text.to_owned()))
    }
}

/// Serde and schema for a text type that has `FromStr` and `as_str`.
macro_rules! text_serde {
    ($name:ident, $schema:tt) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                text.parse().map_err(de::Error::custom)
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

text_serde!(Sku, {"type": "string", "minLength": 1, "maxLength": 64});
text_serde!(Email, {"type": "string", "format": "email", "maxLength": 254});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skus_compare_without_case_and_keep_their_writing() {
        let (a, b): (Sku, Sku) = ("85123A".parse().unwrap(), "85123a".parse().unwrap());
        assert_eq!(a, b);
        assert_eq!(a.as_str(), "85123A");
        assert!("".parse::<Sku>().is_err() && "x".repeat(65).parse::<Sku>().is_err());
    }

    #[test]
    fn addresses_that_cannot_be_mailed_are_refused() {
        for good in ["ada@example.com", "a.b+c@sub.example.org", "ADA@Example.com"] {
            assert!(good.parse::<Email>().is_ok(), "{good}");
        }
        for bad in
            ["", "ada", "@example.com", "ada@", "a b@example.com", "ada@example..com", "a@b@c.d", "x@.com", "a\n@b.c"]
        {
            assert!(bad.parse::<Email>().is_err(), "{bad}");
        }
    }
}
