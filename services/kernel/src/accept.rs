//! The `Accept` header of RFC 9110: chooses the offered media type that a client prefers.

use crate::codes;
use crate::{Error, Kind};

/// The media type of nearly all responses.
pub const JSON: &str = "application/json";

/// One range of the header, such as `text/*;q=0.5`.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// The weight in thousandths.
    weight: u32,
}

impl<'a> Range<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = match parts.next()? {
            "*" => ("*", "*"),
            range => range.split_once('/')?,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        Some(Self { kind, subtype, weight: weight.map_or(1_000, thousandths) })
    }

    /// How specifically the range names a media type: 0 for `*/*`, 1 for a type, 2 for an exact match. `None` if it
    /// does not match.
    fn specificity(&self, kind: &str, subtype: &str) -> Option<u8> {
        match (self.kind, self.subtype) {
            ("*", "*") => Some(0),
            (own, "*") if own.eq_ignore_ascii_case(kind) => Some(1),
            (own, exact) if own.eq_ignore_ascii_case(kind) && exact.eq_ignore_ascii_case(subtype) => Some(2),
            _ => None,
        }
    }
}

/// Parses a weight into thousandths: `0.5` becomes 500. A malformed weight counts as 1, so that the client still gets a
/// response.
pub(crate) fn thousandths(text: &str) -> u32 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    match whole {
        "0" | "" if !text.is_empty() => digits.parse().unwrap_or(1_000),
        _ => 1_000,
    }
}

/// The weight that the most specific matching range gives a media type, and its specificity. `None` if the media type
/// is not acceptable.
fn preference(ranges: &[Range<'_>], media_type: &str) -> Option<(u32, u8)> {
    let bare = media_type.split(';').next().unwrap_or_default().trim();
    let (kind, subtype) = bare.split_once('/')?;
    let matching = ranges.iter().filter_map(|range| Some((range.specificity(kind, subtype)?, range.weight)));
    let (specificity, weight) = matching.max_by_key(|(specificity, _)| *specificity)?;
    (weight > 0).then_some((weight, specificity))
}

/// The offered media type with the highest weight; among equals the one named most specifically, then the first.
/// Without a header, or with an empty one, every media type is acceptable.
pub fn preferred<'a>(accept: Option<&str>, offered: &[&'a str]) -> Option<&'a str> {
    let ranges: Vec<Range<'_>> = accept.unwrap_or_default().split(',').filter_map(Range::of).collect();
    if ranges.is_empty() {
        return offered.first().copied();
    }
    let acceptable = offered.iter().filter_map(|media_type| Some((preference(&ranges, media_type)?, *media_type)));
    // `max_by_key` returns the last of equals, so the order is reversed.
    acceptable.rev().max_by_key(|(preference, _)| *preference).map(|(_, media_type)| media_type)
}

/// The offered media type that the client prefers. 406 `NOT_ACCEPTABLE` if it accepts none.
pub fn choose<'a>(accept: Option<&str>, offered: &[&'a str]) -> Result<&'a str, Error> {
    preferred(accept, offered).ok_or_else(|| {
        let message = format!("The response is {}, which the Accept header does not allow.", offered.join(" or "));
        Error::new(Kind::NotAcceptable, codes::NOT_ACCEPTABLE, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_range_decides() {
        for (accept, want) in [
            ("application/json", true),
            ("application/json; charset=utf-8", true),
            ("APPLICATION/JSON", true),
            ("text/html, application/*;q=0.1", true),
            ("text/html,application/xhtml+xml,*/*;q=0.8", true),
            ("text/html, image/gif, *; q=.2", true),
            ("", true),
            ("nonsense", true),
            ("text/html", false),
            ("image/png, text/*", false),
            ("application/json;q=0", false),
            ("application/json;q=0.0, */*", false),
            ("application/json;q=0.001", true),
            ("application/json;q=", true),
            ("*/*;q=0", false),
            ("*/*;q=0, application/json", true),
        ] {
            assert_eq!(preferred(Some(accept), &[JSON]).is_some(), want, "{accept}");
        }
        assert_eq!(preferred(None, &[JSON]), Some(JSON));
        assert_eq!(choose(Some("image/png"), &[JSON]).unwrap_err().kind(), Kind::NotAcceptable);
        assert!(preferred(Some("text/html"), &["text/html; charset=utf-8"]).is_some());
    }

    #[test]
    fn the_preferred_media_type_is_chosen() {
        const CSV: &str = "text/csv";
        for (accept, want) in [
            ("text/csv", Some(CSV)),
            ("text/csv, application/json;q=0.5", Some(CSV)),
            ("application/json;q=0.9, text/csv;q=0.95", Some(CSV)),
            ("text/csv, */*", Some(CSV)),
            ("text/csv;q=0.5, */*", Some(JSON)),
            ("application/json, text/csv", Some(JSON)),
            ("text/csv, application/json", Some(JSON)),
            ("text/csv;q=0, */*;q=0.1", Some(JSON)),
            ("*/*", Some(JSON)),
            ("", Some(JSON)),
            ("text/csv;q=0", None),
            ("text/html, image/*", None),
        ] {
            assert_eq!(preferred(Some(accept), &[JSON, CSV]), want, "{accept}");
        }
    }
}
