//! Locales: their names, the languages that a client accepts, and how amounts, numbers and dates are written in them.
//!
//! The few rules that messages need are stated here; locale data for all languages would be larger than the program.

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Amount, Currency, Timestamp};

/// Maximum languages that are kept of a client's list.
const MAX_ACCEPTED: usize = 5;
/// A space at which a line does not break.
const NBSP: &str = "\u{a0}";
const ENGLISH_MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const GERMAN_MONTHS: [&str; 12] = [
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
];

/// A language in which promox itself writes to people: in messages, invoices and the pages behind links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// English, which stands in for every language that is not here.
    English,
    /// German.
    German,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 2] = [Self::English, Self::German];

    /// The language of a locale, if promox writes in it.
    pub fn of(locale: &Locale) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.code() == locale.language())
    }

    /// The language as a locale.
    pub fn locale(self) -> Locale {
        Locale(self.code().to_owned())
    }

    /// The code of the language.
    fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }
}

/// A language with an optional region, such as `en` or `de-CH`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locale(String);

impl Locale {
    /// English.
    pub fn english() -> Self {
        Self("en".to_owned())
    }

    /// The locale as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The language, such as `de`.
    pub fn language(&self) -> &str {
        self.0.split('-').next().unwrap_or_default()
    }

    /// The region, such as `CH`.
    pub fn region(&self) -> Option<&str> {
        self.0.split('-').nth(1)
    }

    /// This locale without its region.
    #[must_use]
    pub fn without_region(&self) -> Self {
        Self(self.language().to_owned())
    }

    /// Writes an amount with its currency: `£1,234.50`, `1.234,50 €`.
    pub fn amount(&self, amount: Amount, currency: Currency) -> String {
        let style = Style::of(self);
        let digits = amount.0.abs().to_string();
        let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
        let mut number = grouped(whole, style.group);
        if !fraction.is_empty() {
            number.push_str(style.decimal);
            number.push_str(fraction);
        }
        let symbol = symbol(currency);
        let sign = if amount.is_negative() { "-" } else { "" };
        match style.place {
            Place::Close if symbol != currency.code() => format!("{sign}{symbol}{number}"),
            Place::Close | Place::Before => format!("{sign}{symbol}{NBSP}{number}"),
            Place::After => format!("{sign}{number}{NBSP}{symbol}"),
        }
    }

    /// Writes a whole number: `1,200`, `1.200`.
    pub fn number(&self, number: i64) -> String {
        let sign = if number < 0 { "-" } else { "" };
        format!("{sign}{}", grouped(&number.unsigned_abs().to_string(), Style::of(self).group))
    }

    /// Writes the date of a time in a zone: `23 November 2026`, `23. November 2026`; in other languages `2026-11-23`.
    pub fn date(&self, at: Timestamp, zone: &TimeZone) -> String {
        let date = at.to_jiff().to_zoned(zone.clone()).date();
        let month = |names: &[&'static str; 12]| {
            let index = usize::try_from(date.month()).unwrap_or(1).saturating_sub(1);
            names.get(index).copied().unwrap_or_default()
        };
        let (day, year) = (date.day(), date.year());
        match (self.language(), self.region()) {
            ("en", None | Some("US")) => format!("{} {day}, {year}", month(&ENGLISH_MONTHS)),
            ("en", _) => format!("{day} {} {year}", month(&ENGLISH_MONTHS)),
            ("de", Some("AT")) if date.month() == 1 => format!("{day}. Jänner {year}"),
            ("de", _) => format!("{day}. {} {year}", month(&GERMAN_MONTHS)),
            _ => date.to_string(),
        }
    }

    /// Writes the date and the time of day in a zone, with the zone's abbreviation: `23 November 2026, 05:33 GMT`.
    pub fn date_and_time(&self, at: Timestamp, zone: &TimeZone) -> String {
        let zoned = at.to_jiff().to_zoned(zone.clone());
        format!("{}, {}", self.date(at, zone), zoned.strftime("%H:%M %Z"))
    }

    /// The languages of an `Accept-Language` header, the preferred ones first, at most five. Those that are not
    /// wanted, `*` and what is no locale are left out.
    pub fn accepted(header: &str) -> Vec<Self> {
        let mut wanted: Vec<(u32, Self)> = Vec::new();
        for range in header.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let Some(Ok(locale)) = parts.next().map(str::parse::<Self>) else { continue };
            let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            let weight = weight.map_or(1_000, crate::accept::thousandths);
            if weight > 0 && wanted.iter().all(|(_, known)| *known != locale) {
                wanted.push((weight, locale));
            }
        }
        wanted.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        wanted.into_iter().map(|(_, locale)| locale).take(MAX_ACCEPTED).collect()
    }
}

/// Where the symbol of a currency stands.
enum Place {
    /// Before the number, without a space.
    Close,
    /// Before the number, with a space.
    Before,
    /// After the number, with a space.
    After,
}

/// How numbers and amounts are written.
struct Style {
    group: &'static str,
    decimal: &'static str,
    place: Place,
}

impl Style {
    fn of(locale: &Locale) -> Self {
        let (group, decimal, place) = match (locale.language(), locale.region()) {
            ("de", Some("CH" | "LI")) => ("’", ".", Place::Before),
            ("de", Some("AT")) | ("nl", _) | ("pt", Some("BR")) => (".", ",", Place::Before),
            ("de" | "es" | "it" | "da" | "el" | "hr" | "ro" | "sl" | "id", _) => (".", ",", Place::After),
            ("tr", _) => (".", ",", Place::Close),
            (
                "fr" | "pt" | "cs" | "sk" | "pl" | "hu" | "fi" | "sv" | "nb" | "nn" | "no" | "ru" | "uk" | "bg" | "et"
                | "lv" | "lt",
                _,
            ) => (NBSP, ",", Place::After),
            _ => (",", ".", Place::Close),
        };
        Self { group, decimal, place }
    }
}

/// The symbol of a currency; its code if the symbol is ambiguous or little known.
fn symbol(currency: Currency) -> &'static str {
    match currency.code() {
        "EUR" => "€",
        "GBP" => "£",
        "USD" => "$",
        "JPY" => "¥",
        code => code,
    }
}

/// The digits of a whole number in groups of three.
fn grouped(digits: &str, separator: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 * separator.len());
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push_str(separator);
        }
        text.push(digit);
    }
    text
}

impl FromStr for Locale {
    type Err = String;

    /// Reads a language of two or three letters with an optional region or script; `_` may stand for `-`.
    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || "must be a language with an optional region, such as en or en-GB".to_owned();
        let mut parts = text.trim().split(['-', '_']);
        let language = parts.next().unwrap_or_default().to_ascii_lowercase();
        if !(2..=3).contains(&language.len()) || !language.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return Err(fault());
        }
        let Some(region) = parts.next() else { return Ok(Self(language)) };
        let is_valid = (2..=8).contains(&region.len()) && region.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_valid || parts.next().is_some() {
            return Err(fault());
        }
        Ok(Self(format!("{language}-{}", region.to_ascii_uppercase())))
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Locale {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Locale {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Locale {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Locale".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locale(text: &str) -> Locale {
        text.parse().unwrap()
    }

    #[test]
    fn a_locale_is_a_language_with_an_optional_region() {
        for (given, read) in [("de_ch", "de-CH"), ("EN", "en"), (" en-gb ", "en-GB"), ("zh-hant", "zh-HANT")] {
            assert_eq!(locale(given).as_str(), read);
        }
        for bad in ["", "e", "english", "en-", "en-GB-x", "e1", "en/GB", "../x", "*"] {
            assert!(bad.parse::<Locale>().is_err(), "{bad}");
        }
    }

    #[test]
    fn accepted_languages_are_sorted_by_their_weights() {
        let accepted = |header| Locale::accepted(header).into_iter().map(|it| it.to_string()).collect::<Vec<_>>();
        assert_eq!(accepted("en;q=0.5, de-AT, de;q=0.9, fr;q=0, *;q=0.1"), ["de-AT", "de", "en"]);
        assert_eq!(accepted("de, DE;q=0.3, nonsense nonsense"), ["de"]);
        assert!(accepted("").is_empty());
        assert_eq!(accepted("aa,bb,cc,dd,ee,ff,gg").len(), MAX_ACCEPTED);
    }

    #[test]
    fn amounts_and_numbers_follow_the_locale() {
        let currency = |code: &str| code.parse::<Currency>().unwrap();
        for (tag, amount, code, text) in [
            ("en", "1234567.50", "GBP", "£1,234,567.50"),
            ("en-US", "-3.00", "USD", "-$3.00"),
            ("en", "3.00", "CHF", "CHF\u{a0}3.00"),
            ("de", "1234.50", "EUR", "1.234,50\u{a0}€"),
            ("de-CH", "1234.50", "CHF", "CHF\u{a0}1’234.50"),
            ("de-AT", "17.72", "EUR", "€\u{a0}17,72"),
            ("fr", "1234.5", "EUR", "1\u{a0}234,5\u{a0}€"),
            ("ja", "100", "JPY", "¥100"),
            ("de", "999", "JPY", "999\u{a0}¥"),
        ] {
            assert_eq!(locale(tag).amount(amount.parse().unwrap(), currency(code)), text, "{tag}");
        }
        assert_eq!(
            (locale("de").number(1_200), locale("en").number(-1_000_000)),
            ("1.200".into(), "-1,000,000".into())
        );
    }

    #[test]
    fn dates_follow_the_locale_and_the_zone() {
        let at: Timestamp = "2026-01-31T23:30:00Z".parse().unwrap();
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        for (tag, text) in
            [("en", "February 1, 2026"), ("en-GB", "1 February 2026"), ("de", "1. Februar 2026"), ("fr", "2026-02-01")]
        {
            assert_eq!(locale(tag).date(at, &zone), text);
        }
        assert_eq!(locale("de-AT").date(at, &TimeZone::UTC), "31. Jänner 2026");
        assert_eq!(locale("de").date_and_time(at, &zone), "1. Februar 2026, 00:30 CET");
    }
}
