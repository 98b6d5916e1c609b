//! Entity tags and `If-None-Match`, RFC 9110.
//!
//! The version of a resource does not change with the stock, prices and counts that its reply contains. So the tag is
//! the version and a digest of the content: `If-Match` compares the version, `If-None-Match` the whole tag.

use std::hash::BuildHasher as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foldhash::quality::FixedState;
use http::{HeaderMap, Method, header};
use promox_kernel::{Content, Response};

use crate::http::edge::if_match;
use crate::http::wire::compress::Coding;

const NAME: &str = "etag";
/// All nodes of a build make the same digests.
const DIGEST: FixedState = FixedState::with_seed(0);

/// Adds a digest of the content and the coding to the version in the reply's `ETag`. Returns the completed tag.
fn complete(reply: &mut Response, coding: Option<Coding>) -> Option<&str> {
    let Content::Json(content) = &reply.content else { return None };
    let (_, tag) = reply.headers.iter_mut().find(|(name, _)| *name == NAME)?;
    tag.truncate(tag.trim_end_matches('"').len());
    tag.push('-');
    let digest = DIGEST.hash_one(&**content).to_be_bytes();
    URL_SAFE_NO_PAD.encode_string(digest, tag);
    if let Some(coding) = coding {
        tag.push('-');
        tag.push_str(coding.name());
    }
    tag.push('"');
    Some(tag)
}

/// Completes the tag of a reply. If the request is a read and `If-None-Match` has this tag, the reply becomes a 304
/// without content.
pub(crate) fn revalidate(
    method: &Method,
    headers: &HeaderMap,
    mut reply: Response,
    coding: Option<Coding>,
) -> Response {
    let is_read = matches!(*method, Method::GET | Method::HEAD) && reply.status == 200;
    let Some(tag) = complete(&mut reply, coding) else { return reply };
    if !is_read || !matches_tag(headers, tag) {
        return reply;
    }
    Response { status: 304, content: Content::Empty, ..reply }
}

/// Whether `If-None-Match` is `*` or a list with this tag, weak or strong. A malformed header matches nothing, so that
/// the client gets the content.
fn matches_tag(headers: &HeaderMap, tag: &str) -> bool {
    let text = tag.trim_matches('"');
    headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|list| {
        let list = list.trim();
        list == "*" || if_match::tags(list).is_ok_and(|tags| tags.iter().any(|tag| tag.text == text))
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderValue;

    use super::*;

    fn reply(content: &'static str) -> Response {
        let headers = vec![(NAME, "\"7\"".to_owned())];
        Response { status: 200, headers, content: Content::Json(Bytes::from_static(content.as_bytes())) }
    }

    fn sent(content: &'static str, coding: Option<Coding>, known: Option<&str>) -> (u16, String) {
        let mut headers = HeaderMap::new();
        if let Some(known) = known {
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_str(known).unwrap());
        }
        let reply = revalidate(&Method::GET, &headers, reply(content), coding);
        assert_eq!(reply.status == 304, matches!(reply.content, Content::Empty));
        (reply.status, reply.headers[0].1.clone())
    }

    #[test]
    fn a_tag_depends_on_version_content_and_coding() {
        let (_, plain) = sent("{}", None, None);
        assert!(plain.starts_with("\"7-") && plain.len() == 15, "{plain}");
        assert_eq!(sent("{}", None, None).1, plain);
        assert_ne!(sent("{\"stock\":1}", None, None).1, plain);
        assert_ne!(sent("{}", Some(Coding::Gzip), None).1, plain);
    }

    #[test]
    fn a_client_with_the_current_content_gets_304() {
        let (_, tag) = sent("{}", None, None);
        for (known, status) in [
            (tag.clone(), 304),
            (format!("W/{tag}"), 304),
            (format!("\"x\", {tag}"), 304),
            ("*".to_owned(), 304),
            ("\"7\"".to_owned(), 200),
            ("\"x\"".to_owned(), 200),
            (tag.trim_matches('"').to_owned(), 200),
        ] {
            assert_eq!(sent("{}", None, Some(&known)).0, status, "{known}");
        }
        assert_eq!(sent("{\"stock\":1}", None, Some(&tag)).0, 200);
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
        assert_eq!(revalidate(&Method::POST, &headers, reply("{}"), None).status, 200);
    }
}
