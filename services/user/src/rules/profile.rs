//! Validation of profiles.

use std::collections::BTreeMap;

use promox_kernel::{Timestamp, bounded, multiline};

/// Maximum attributes of an account.
const MAX_ATTRIBUTES: usize = 50;

/// Validates a name.
pub(crate) fn name(text: &str) -> Result<String, String> {
    bounded(text, 1, 200)
}

/// Validates a phone number.
pub(crate) fn phone(text: &str) -> Result<String, String> {
    let text = bounded(text, 1, 32)?;
    let is_allowed = |c: char| c.is_ascii_digit() || "+-()./ ".contains(c);
    if text.chars().all(is_allowed) && text.chars().filter(char::is_ascii_digit).count() >= 4 {
        Ok(text)
    } else {
        Err("must be digits, spaces and + - ( ) . /, with at least four digits".to_owned())
    }
}

/// Validates a date of birth: since 1900 and not in the future, with a day of tolerance for time zones ahead of UTC.
pub(crate) fn birth_date(text: &str, now: Timestamp) -> Result<String, String> {
    let fault = || "must be a date such as 1990-12-31, not before 1900 and not in the future".to_owned();
    let date: jiff::civil::Date = text.parse().map_err(|_| fault())?;
    let today = now.to_jiff().to_zoned(jiff::tz::TimeZone::UTC).date();
    let latest = today.tomorrow().unwrap_or(today);
    if date.to_string() == text && date.year() >= 1900 && date <= latest { Ok(text.to_owned()) } else { Err(fault()) }
}

/// Validates the name of a time zone.
pub(crate) fn timezone(text: &str) -> Result<String, String> {
    let known = jiff::tz::TimeZone::get(text);
    let known = known.ok().and_then(|zone| zone.iana_name().map(str::to_owned));
    known.ok_or_else(|| format!("must be an IANA time zone such as Europe/London; got \"{text}\""))
}

/// Validates a referral code and converts it to upper case.
pub(crate) fn referral_code(text: &str) -> Result<String, String> {
    bounded(text, 1, 64).map(|code| code.to_uppercase())
}

/// Applies a merge patch to attributes. Null removes an attribute.
pub(crate) fn merge_attributes(
    attributes: &mut BTreeMap<String, String>,
    changes: BTreeMap<String, Option<String>>,
) -> Result<(), String> {
    for (name, value) in changes {
        let name = bounded(&name, 1, 64).map_err(|fault| format!("the name {name:?}: {fault}"))?;
        match value {
            Some(value) => {
                let value = multiline(&value, 0, 500).map_err(|fault| format!("{name}: {fault}"))?;
                attributes.insert(name, value);
            }
            None => {
                attributes.remove(&name);
            }
        }
    }
    if attributes.len() > MAX_ATTRIBUTES {
        return Err(format!("must have at most {MAX_ATTRIBUTES} attributes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_birth_are_valid_and_in_the_past() {
        let now: Timestamp = "2026-11-23T05:33:00Z".parse().unwrap();
        for (text, good) in [
            ("1990-12-31", true),
            ("2026-11-24", true),
            ("2026-11-25", false),
            ("1899-12-31", false),
            ("1990-02-30", false),
            ("1990-12-31T00:00:00", false),
            ("31.12.1990", false),
        ] {
            assert_eq!(birth_date(text, now).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn phone_numbers_are_digits_and_separators() {
        for (text, good) in [("+44 20 7946 0958", true), ("(030) 123-456", true), ("call me", false), ("123", false)] {
            assert_eq!(phone(text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn attributes_are_merged_and_null_removes_one() {
        let mut attributes = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
        let changes = BTreeMap::from([("a".to_owned(), None), ("c".to_owned(), Some("3".to_owned()))]);
        merge_attributes(&mut attributes, changes).unwrap();
        assert_eq!(attributes.into_iter().map(|(k, v)| k + &v).collect::<Vec<_>>(), ["b2", "c3"]);
        let many = (0..51).map(|n| (n.to_string(), Some(String::new()))).collect();
        assert!(merge_attributes(&mut BTreeMap::new(), many).is_err());
    }
}
