//! `Accept`: which media types a client takes.

use promox_kernel::{Error, Kind};

/// What nearly all answers are.
pub(super) const JSON: &str = "application/json";

/// One range of the header: `text/*;q=0.5`.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    refused: bool,
}

impl<'a> Range<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = match parts.next()? {
            "*" => ("*", "*"),
            range => range.split_once('/')?,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        // Nothing but zeros is a weight of zero: `0`, `0.0`, `0.000`.
        let refused =
            weight.is_some_and(|text| !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0' | b'.')));
        Some(Self { kind, subtype, refused })
    }

    /// How closely it names a media type: 0 for `*/*`, `None` when it does not.
    fn closeness(&self, kind: &str, subtype: &str) -> Option<u8> {
        match (self.kind, self.subtype) {
            ("*", "*") => Some(0),
            (own, "*") if own.eq_ignore_ascii_case(kind) => Some(1),
            (own, exact) if own.eq_ignore_ascii_case(kind) && exact.eq_ignore_ascii_case(subtype) => Some(2),
            _ => None,
        }
    }
}

/// Whether a client takes a media type: the range that names it most closely decides. A header that names none takes all.
pub(super) fn takes(accept: &str, media_type: &str) -> bool {
    let (kind, subtype) = media_type.split_once('/').unwrap_or((media_type, ""));
    let ranges: Vec<Range<'_>> = accept.split(',').filter_map(Range::of).collect();
    let closest =
        ranges.iter().filter_map(|range| Some((range.closeness(kind, subtype)?, range))).max_by_key(|it| it.0);
    ranges.is_empty() || closest.is_some_and(|(_, range)| !range.refused)
}

/// Refuses when the client does not take the only media type that there is.
pub(super) fn require(accept: Option<&str>, media_type: &str) -> Result<(), Error> {
    if accept.is_none_or(|accept| takes(accept, media_type)) {
        return Ok(());
    }
    let message = format!("What is answered here is {media_type}, which the header Accept does not take.");
    Err(Error::new(Kind::NotAcceptable, "NOT_ACCEPTABLE", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_range_decides() {
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
            ("*/*;q=0", false),
            ("*/*;q=0, application/json", true),
        ] {
            assert_eq!(takes(accept, JSON), want, "{accept}");
        }
    }
}
