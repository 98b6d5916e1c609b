//! Composes e-mails from rendered messages. Rendered text cannot inject headers.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::address::Envelope;
use lettre::message::header::{ContentTransferEncoding, HeaderName, HeaderValue, MIME_VERSION_1_0};
use lettre::message::{Body, Mailbox};
use lettre::{Address, Message as Mail};
use memchr::memchr;
use promox_kernel::{Email, Timestamp};

use crate::records::DeliveryId;
use crate::templates::Message;

/// Maximum bytes of a line that is sent as it is (RFC 5322, 2.1.1).
const MAX_LINE: usize = 998;
/// Maximum bytes of text in an encoded word, which has at most 75 characters (RFC 2047, 2).
const MAX_WORD: usize = 42;
/// The type of the plain text.
const PLAIN: &str = "text/plain; charset=utf-8";
/// The type of the HTML.
const HTML: &str = "text/html; charset=utf-8";

/// Composes the e-mail of a delivery, with the URL that ends such messages if there is one. Its message id depends on `id` and `at` only, so a repeated delivery has the
/// same.
pub(crate) fn compose(
    from: &Mailbox,
    to: &Email,
    message: &Message,
    unsubscribe: Option<&str>,
    id: DeliveryId,
    at: Timestamp,
) -> Result<Mail, String> {
    let to: Address = to.as_str().parse().map_err(|error| format!("the address cannot be mailed: {error}"))?;
    // Given here, so that the mailer need not parse the headers for it.
    let envelope = Envelope::new(Some(from.email.clone()), vec![to.clone()]).map_err(|error| error.to_string())?;
    let micros = u64::try_from(at.0).unwrap_or(0);
    let builder = Mail::builder()
        .envelope(envelope)
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .date(SystemTime::UNIX_EPOCH + Duration::from_micros(micros))
        .message_id(Some(format!("<delivery-{id}-{}@{}>", at.0, from.email.domain())))
        .raw_header(header("Auto-Submitted", "auto-generated".to_owned()))
        .raw_header(header("Content-Language", message.language.to_string()))
        .raw_header(subject(&message.subject));
    let builder = match unsubscribe {
        Some(url) => builder
            .raw_header(header("List-Unsubscribe", format!("<{url}>")))
            .raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned())),
        None => builder,
    };
    let builder = builder.header(MIME_VERSION_1_0);
    let mut text = Encoded::default();
    text.put(&message.text, false);
    if message.html.is_empty() {
        let builder = builder.raw_header(header("Content-Type", PLAIN.to_owned()));
        return builder.body(Body::dangerous_pre_encoded(text.bytes, text.encoding)).map_err(|error| error.to_string());
    }
    let mut html = Encoded::default();
    html.put(&message.html, true);
    let boundary = format!("=_promox-{id}-{}", at.0);
    let kind = format!("multipart/alternative;\r\n boundary=\"{boundary}\"");
    let name = HeaderName::new_from_ascii_str("Content-Type");
    let builder = builder.raw_header(HeaderValue::dangerous_new_pre_encoded(name, kind.clone(), kind));
    let mut body = Vec::with_capacity(text.bytes.len() + html.bytes.len() + 512);
    for (kind, part) in [(PLAIN, &text), (HTML, &html)] {
        let encoding = part.encoding;
        let head = format!("--{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&part.bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let body = Body::dangerous_pre_encoded(body, ContentTransferEncoding::SevenBit);
    builder.body(body).map_err(|error| error.to_string())
}

/// The content of a part, as it is sent.
struct Encoded {
    bytes: Vec<u8>,
    encoding: ContentTransferEncoding,
}

impl Default for Encoded {
    fn default() -> Self {
        Self { bytes: Vec::new(), encoding: ContentTransferEncoding::SevenBit }
    }
}

impl Encoded {
    /// Sets the text. One that may be sent as it is, which is most, is neither searched for a shorter encoding nor
    /// encoded. In HTML other characters than ASCII become references to them, so that it needs no encoding. Styles
    /// and scripts know no references; HTML that has any stays as it is.
    fn put(&mut self, text: &str, is_html: bool) {
        // A line of a mail ends in CR and LF, and neither stands alone (RFC 5321, section 2.3.8).
        let text = if memchr(b'\r', text.as_bytes()).is_some() {
            Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
        } else {
            Cow::Borrowed(text)
        };
        self.bytes.reserve(text.len() + text.len() / 8);
        let knows_references = || {
            let lower = text.to_ascii_lowercase();
            // A reference to a C1 control means another character (HTML, section 13.2.5.80).
            !["<style", "<script", "<!--"].iter().any(|tag| lower.contains(tag))
                && !text.contains(|c| matches!(c, '\u{80}'..='\u{9f}'))
        };
        let referring = is_html && !text.is_ascii() && knows_references();
        if !self.put_lines(&text, referring) {
            let encoded = Body::new(text.into_owned());
            *self = Self { encoding: encoded.encoding(), bytes: encoded.into_vec() };
        }
    }

    /// Appends lines until one must be encoded. Returns whether none must.
    fn put_lines(&mut self, text: &str, referring: bool) -> bool {
        let mut rest = text;
        while !rest.is_empty() {
            let (line, after) = rest.split_at(memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len()));
            let start = self.bytes.len();
            if line.is_ascii() {
                self.bytes.extend_from_slice(line.as_bytes());
            } else if referring {
                put_with_references(line, &mut self.bytes);
            } else {
                return false;
            }
            if self.bytes.len() - start > MAX_LINE {
                return false;
            }
            self.bytes.extend_from_slice(b"\r\n");
            rest = after.strip_prefix('\n').unwrap_or_default();
        }
        true
    }
}

/// Appends HTML with references in place of other characters than ASCII.
fn put_with_references(html: &str, out: &mut Vec<u8>) {
    for piece in html.split_inclusive(|character: char| !character.is_ascii()) {
        match piece.chars().next_back().filter(|last| !last.is_ascii()) {
            Some(last) => {
                out.extend_from_slice(piece.strip_suffix(last).unwrap_or_default().as_bytes());
                out.extend_from_slice(format!("&#{};", u32::from(last)).as_bytes());
            }
            None => out.extend_from_slice(piece.as_bytes()),
        }
    }
}

/// The header with the subject. Text that looks like an encoded word is encoded, so that it is shown as it is.
fn subject(text: &str) -> HeaderValue {
    let name = HeaderName::new_from_ascii_str("Subject");
    if !text.contains("=?") {
        return HeaderValue::new(name, text.to_owned());
    }
    let mut words: Vec<String> = vec![String::new()];
    for letter in text.chars() {
        if let Some(word) = words.last_mut().filter(|word| word.len() + letter.len_utf8() <= MAX_WORD) {
            word.push(letter);
        } else {
            words.push(letter.to_string());
        }
    }
    let words = words.iter().map(|word| format!("=?utf-8?b?{}?=", STANDARD.encode(word)));
    HeaderValue::dangerous_new_pre_encoded(name, text.to_owned(), words.collect::<Vec<_>>().join("\r\n "))
}

/// A header with this name and value.
fn header(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compose_to(to: &str, subject: &str) -> String {
        let from: Mailbox = "Shop <shop@example.com>".parse().unwrap();
        let message = Message {
            language: "de".parse().unwrap(),
            subject: subject.to_owned(),
            html: "<p>Grüße</p>".to_owned(),
            text: "Grüße\n.\nBcc: all".to_owned(),
        };
        let at = Timestamp::from_seconds(1_000_000);
        let mail = compose(&from, &to.parse().unwrap(), &message, None, DeliveryId(7), at).unwrap();
        String::from_utf8(mail.formatted()).unwrap()
    }

    #[test]
    fn every_valid_address_is_accepted_by_the_mailer() {
        let locals =
            ["a", "A.b", ".a", "a.", "a..b", "a+b", "a b", "é", "a\u{200b}", "a\u{301}", "\"a\"", "a\\", "a'b", "{a}"];
        let domains = [
            "b.de",
            "B.DE",
            "b",
            "b..de",
            ".b.de",
            "b.de.",
            "-b.de",
            "b-.de",
            "b_c.de",
            "münchen.de",
            "xn--mnchen-3ya.de",
            "xn--a.de",
            "b。de",
            "1.2.3.4",
            "[1.2.3.4]",
            "日本.jp",
            "b\u{200b}.de",
            "b\u{ad}.de",
            "b/c.de",
            "☃.net",
            "a@b.de",
        ];
        let label = "x".repeat(64);
        let long = [format!("a@{label}.de"), format!("{label}x@b.de"), format!("{label}@{}.de", ["x"; 95].join("."))];
        let pairs = locals.iter().flat_map(|local| domains.iter().map(move |domain| format!("{local}@{domain}")));
        let mut accepted = 0;
        for address in pairs.chain(long) {
            let Ok(email) = address.parse::<Email>() else { continue };
            assert!(email.as_str().parse::<Address>().is_ok(), "{address} is {email}, which the mailer rejects");
            accepted += 1;
        }
        assert!(accepted > 40, "{accepted} were accepted");
    }

    #[test]
    fn no_line_break_stands_alone_and_styles_have_no_references() {
        let encoded = |text: &str, is_html: bool| {
            let mut part = Encoded::default();
            part.put(text, is_html);
            String::from_utf8(part.bytes).unwrap()
        };
        assert_eq!(encoded("a\rb\r\nc\nd", false), "a\r\nb\r\nc\r\nd\r\n");
        assert_eq!(encoded("<p>ä</p>", true), "<p>&#228;</p>\r\n");
        for html in ["<STYLE>p::before{content:'ä'}</STYLE>", "<Script>'ä'</Script>", "<p>\u{85}</p>"] {
            assert!(!encoded(html, true).contains("&#"), "{html}");
        }
    }

    #[test]
    fn a_repeated_delivery_is_the_same_mail() {
        let mail = compose_to("ada@example.com", "Hello");
        assert_eq!(mail, compose_to("ada@example.com", "Hello"));
        for part in [
            "Message-ID: <delivery-7-",
            "multipart/alternative",
            "Auto-Submitted: auto-generated",
            "Content-Language: de",
            "text/html",
        ] {
            assert!(mail.contains(part), "{part} in {mail}");
        }
        assert!(mail.contains("Date: Mon, 12 Jan 1970"));
    }

    #[test]
    fn a_subject_that_looks_encoded_is_encoded() {
        let mail =
            compose_to("ada@example.com", "Thanks =?utf-8?Q?a=0D=0ABcc:_x@y.z?= and more text than one word holds");
        let head = mail.split_once("\r\n\r\n").unwrap().0;
        let words =
            head.split("Subject: ").nth(1).unwrap().split("\r\n ").take_while(|word| word.starts_with("=?utf-8?b?"));
        let text = words.map(|word| {
            let word = word.lines().next().unwrap();
            assert!(word.len() <= 75, "{word}");
            STANDARD.decode(word.trim_start_matches("=?utf-8?b?").trim_end_matches("?=")).unwrap()
        });
        let text = String::from_utf8(text.collect::<Vec<_>>().concat()).unwrap();
        assert_eq!(text, "Thanks =?utf-8?Q?a=0D=0ABcc:_x@y.z?= and more text than one word holds");
    }

    #[test]
    fn a_mail_is_two_alternatives_whose_lines_end_with_cr_and_lf() {
        let from: Mailbox = "shop@example.com".parse().unwrap();
        let message = Message {
            language: "en".parse().unwrap(),
            subject: "A".to_owned(),
            html: "<p>1</p>\n\n<p>5 €</p>".to_owned(),
            text: "1\n\n2".to_owned(),
        };
        let at = Timestamp::from_seconds(1_000_000);
        let mail = compose(&from, &"a@b.de".parse().unwrap(), &message, None, DeliveryId(7), at).unwrap();
        let mail = String::from_utf8(mail.formatted()).unwrap();
        let (head, body) = mail.split_once("\r\n\r\n").unwrap();
        let boundary = "=_promox-7-1000000000000";
        let kind = format!("MIME-Version: 1.0\r\nContent-Type: multipart/alternative;\r\n boundary=\"{boundary}\"");
        assert!(head.contains(&kind), "{head}");
        let part = |kind, text| {
            format!(
                "--{boundary}\r\nContent-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n{text}\r\n\r\n"
            )
        };
        let parts = [part("plain", "1\r\n\r\n2"), part("html", "<p>1</p>\r\n\r\n<p>5 &#8364;</p>")].concat();
        assert_eq!(body, format!("{parts}--{boundary}--\r\n"));
    }

    #[test]
    fn html_is_ascii_unless_it_has_a_style() {
        let lines = |mail: &str| mail.lines().map(str::len).max().unwrap();
        let html = |html: &str| {
            let from: Mailbox = "shop@example.com".parse().unwrap();
            let message = Message {
                language: "en".parse().unwrap(),
                subject: "A".to_owned(),
                html: html.to_owned(),
                text: "plain\nand simple\n".to_owned(),
            };
            let at = Timestamp::from_seconds(1_000_000);
            let mail = compose(&from, &"a@b.de".parse().unwrap(), &message, None, DeliveryId(7), at).unwrap();
            String::from_utf8(mail.formatted()).unwrap()
        };
        let mail = html("<p>Grüße: 5\u{a0}€</p>\n");
        assert!(mail.contains("<p>Gr&#252;&#223;e: 5&#160;&#8364;</p>\r\n"), "{mail}");
        assert!(mail.contains("plain\r\nand simple\r\n") && !mail.contains("quoted-printable"), "{mail}");
        let styled = html("<style>p::before { content: '→' }</style><p>é</p>");
        assert!(styled.contains("quoted-printable") || styled.contains("base64"), "{styled}");
        let long = html(&format!("<p>{}</p>", "x".repeat(2_000)));
        assert!(lines(&long) <= MAX_LINE, "{long}");
        let split = html("a\rBcc: all\r\n<b>");
        assert!(!split.replace("\r\n", "").contains('\n'), "every line ends with CR and LF");
    }

    #[test]
    fn a_subject_cannot_inject_a_header() {
        for subject in ["Hi\r\nBcc: all@example.com", "Hi\nBcc: all@example.com", "Grüße\r\n\r\nbody", "a\rb"] {
            let mail = compose_to("ada@example.com", subject);
            let (head, _) = mail.split_once("\r\n\r\n").unwrap();
            assert!(!head.lines().any(|line| line.starts_with("Bcc") || line.starts_with("body")), "{head}");
            assert_eq!(head.lines().filter(|line| line.starts_with("To:")).count(), 1);
        }
    }
}
