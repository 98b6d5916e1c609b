//! `If-Match`, RFC 9110: `*`, or a list of tags as they were returned.

use http::{HeaderMap, header};
use promox_contract::codes;
use promox_kernel::{Error, IfMatch, Kind};

/// The versions that the request requires. `*` only requires that the resource exists, as every change does anyway.
/// Weak tags and tags of other servers never match.
pub(crate) fn read(headers: &HeaderMap) -> Result<Option<IfMatch>, Error> {
    if !headers.contains_key(header::IF_MATCH) {
        return Ok(None);
    }
    let lines: Option<Vec<&str>> =
        headers.get_all(header::IF_MATCH).iter().map(|value| value.to_str().ok().map(str::trim)).collect();
    let lines = lines.ok_or_else(malformed)?;
    if lines == ["*"] {
        return Ok(None);
    }
    let list = lines.join(",");
    let tags = tags(&list)?;
    if tags.is_empty() {
        return Err(malformed());
    }
    let versions = tags.iter().filter(|tag| tag.strong).filter_map(|tag| version(tag.text));
    Ok(Some(versions.collect()))
}

/// The tags of a list.
pub(crate) fn tags(list: &str) -> Result<Vec<Tag<'_>>, Error> {
    let (mut left, mut tags) = (list, Vec::new());
    while let Some((tag, rest)) = next(left)? {
        left = rest;
        tags.push(tag);
    }
    Ok(tags)
}

fn malformed() -> Error {
    let message = "The If-Match header must be * or a list of ETags as they were returned, such as \"7\".";
    Error::new(Kind::Malformed, codes::MALFORMED_IF_MATCH, message)
}

/// One tag of a list.
pub(crate) struct Tag<'a> {
    /// The text between the quotes.
    pub(crate) text: &'a str,
    pub(crate) strong: bool,
}

/// The next tag of a list and the rest. Tags are separated by commas; empty elements are skipped.
fn next(list: &str) -> Result<Option<(Tag<'_>, &str)>, Error> {
    let list = list.trim_start_matches([',', ' ', '\t']);
    if list.is_empty() {
        return Ok(None);
    }
    let (strong, quoted) = list.strip_prefix("W/").map_or((true, list), |quoted| (false, quoted));
    let (text, rest) = quoted.strip_prefix('"').and_then(|open| open.split_once('"')).ok_or_else(malformed)?;
    let rest = rest.trim_start();
    let ends = rest.is_empty() || rest.starts_with(',');
    if ends && text.bytes().all(|byte| byte != b' ' && byte != b'\t') {
        Ok(Some((Tag { text, strong }, rest)))
    } else {
        Err(malformed())
    }
}

/// The version in a tag that this server wrote, alone or with a digest of the content. It never writes `007` or `+7`.
fn version(tag: &str) -> Option<i64> {
    let tag = tag.split_once('-').map_or(tag, |(version, _)| version);
    tag.parse::<i64>().ok().filter(|version| version.to_string() == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Result<Option<Vec<bool>>, Kind> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::IF_MATCH, line.parse().unwrap());
        }
        let matches = |condition: IfMatch| [7, 8].map(|version| condition.check(version).is_ok()).to_vec();
        super::read(&headers).map(|condition| condition.map(matches)).map_err(|error| error.kind())
    }

    #[test]
    fn strong_tags_match_and_weak_ones_never() {
        for (lines, seven, eight) in [
            (&["\"7\""][..], true, false),
            (&["\"7\", \"8\""], true, true),
            (&["\"6\",\"8\""], false, true),
            (&["\"6\"", "\"7\""], true, false),
            (&[" , \"7\" ,, "], true, false),
            (&["W/\"7\""], false, false),
            (&["W/\"7\", \"8\""], false, true),
            (&["\"x\""], false, false),
            (&["\"7,8\""], false, false),
            (&["\"7-0123456789abcdef\""], true, false),
            (&["\"7-0123456789abcdef-br\""], true, false),
            (&["\"-7\""], false, false),
            (&["\"07\", \"+8\""], false, false),
            (&["\"\""], false, false),
        ] {
            assert_eq!(read(lines), Ok(Some(vec![seven, eight])), "{lines:?}");
        }
    }

    #[test]
    fn an_asterisk_must_be_alone_and_malformed_lists_are_refused() {
        assert_eq!((read(&["*"]), read(&[])), (Ok(None), Ok(None)));
        for bad in ["7", "\"7", "7\"", "\"7\" \"8\"", "\"7\"; x", "w/\"7\"", "W/7", "*, \"7\"", "\"7\", *", "", ","] {
            assert_eq!(read(&[bad]), Err(Kind::Malformed), "{bad}");
        }
        assert_eq!(read(&["*", "*"]), Err(Kind::Malformed));
    }
}
