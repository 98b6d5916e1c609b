//! Composes e-mails from rendered messages. Rendered text cannot inject headers.

use std::time::{Duration, SystemTime};

use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message as Mail};
use promox_kernel::{Email, Timestamp};

use crate::records::DeliveryId;
use crate::templates::Message;

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
        .subject(message.subject.clone());
    let builder = match unsubscribe {
        Some(url) => builder
            .raw_header(header("List-Unsubscribe", format!("<{url}>")))
            .raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned())),
        None => builder,
    };
    let text = SinglePart::plain(message.text.clone());
    let parts = if message.html.is_empty() {
        builder.singlepart(text)
    } else {
        let boundary = format!("=_promox-{id}-{}", at.0);
        let html = SinglePart::html(message.html.clone());
        builder.multipart(MultiPart::alternative().boundary(boundary).singlepart(text).singlepart(html))
    };
    parts.map_err(|error| error.to_string())
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
    fn a_subject_cannot_inject_a_header() {
        for subject in ["Hi\r\nBcc: all@example.com", "Hi\nBcc: all@example.com", "Grüße\r\n\r\nbody", "a\rb"] {
            let mail = compose_to("ada@example.com", subject);
            let (head, _) = mail.split_once("\r\n\r\n").unwrap();
            assert!(!head.lines().any(|line| line.starts_with("Bcc") || line.starts_with("body")), "{head}");
            assert_eq!(head.lines().filter(|line| line.starts_with("To:")).count(), 1);
        }
    }
}
