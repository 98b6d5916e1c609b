//! E-mail addresses: validation, and which of them are the same mailbox.

use std::str::FromStr;

use email_address::EmailAddress;

use crate::text::{is_unprintable, nfc, text_serde};

/// Maximum bytes of an address.
const LONGEST: usize = 254;

/// An e-mail address: the local part as it was written, in Unicode NFC, and the domain in its ASCII form (IDNA). Every
/// valid address is accepted by the library that sends mail. Uniqueness and limits use [`Email::normal`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// The stored form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Lower case, for comparisons. Dots and plus tags are kept, since they mean different mailboxes at most hosts.
    pub fn normal(&self) -> String {
        normal_form(&self.0)
    }

    /// The normal form without a plus tag: `ada@example.com` for `Ada+shop@Example.com`. Where a host ignores tags,
    /// this is the mailbox.
    pub fn mailbox(&self) -> String {
        let normal = self.normal();
        match normal.split_once('@').and_then(|(local, domain)| Some((local.split_once('+')?.0, domain))) {
            Some((local, domain)) if !local.is_empty() => format!("{local}@{domain}"),
            _ => normal,
        }
    }
}

/// The text of an address in its normal form.
pub(crate) fn normal_form(text: &str) -> String {
    nfc(&text.to_lowercase()).into_owned()
}

impl FromStr for Email {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || "must be an e-mail address such as ada@example.com".to_owned();
        let text = nfc(text.trim());
        let (local, domain) = text.rsplit_once('@').ok_or_else(fault)?;
        // Quoted local parts, which may contain anything, are not used in practice.
        let odd = |c: char| is_unprintable(c) || c.is_whitespace() || c == '"';
        if text.chars().any(odd) || !EmailAddress::is_valid_local_part(local) {
            return Err(fault());
        }
        let address = format!("{local}@{}", ascii_domain(domain).ok_or_else(fault)?);
        if address.len() > LONGEST { Err(fault()) } else { Ok(Self(address)) }
    }
}

/// The ASCII form of a domain in any script and case.
fn ascii_domain(domain: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    let ascii = if domain.bytes().all(plain) && !domain.contains("xn--") {
        domain.to_owned()
    } else {
        idna::domain_to_ascii_strict(domain).ok()?
    };
    let hyphened = |label: &str| label.starts_with('-') || label.ends_with('-');
    (EmailAddress::is_valid_domain(&ascii) && !ascii.split('.').any(hyphened)).then_some(ascii)
}

text_serde!(Email, {"type": "string", "format": "email", "maxLength": 254});

#[cfg(test)]
mod tests {
    use super::*;

    fn email(text: &str) -> Email {
        text.parse().unwrap_or_else(|fault| panic!("{text}: {fault}"))
    }

    #[test]
    fn addresses_that_cannot_be_mailed_are_refused() {
        let label = "x".repeat(64);
        for good in
            ["ada@example.com", "a.b+c@sub.example.org", "ADA@Example.com", "andré@example.com", "ada@münchen.example"]
        {
            assert!(good.parse::<Email>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "a b@example.com",
            "ada@example..com",
            "a@b@c.d",
            "x@.com",
            "a\n@b.c",
            "a..b@example.com",
            ".a@example.com",
            "a.@example.com",
            "a\u{200b}@example.com",
            "a@exa\u{200b}mple.com",
            "\"a b\"@example.com",
            "a(b)@example.com",
            "a@exa_mple.com",
            "a@-example.com",
            "a@example-.com",
            "a@example.com.",
            "a@[127.0.0.1]",
            "a@xn--a.com",
            &format!("a@{label}.com"),
            &format!("{}@example.com", "x".repeat(65)),
        ] {
            assert!(bad.parse::<Email>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn one_mailbox_has_one_form() {
        for (written, kept, normal, mailbox) in [
            ("Ada@Example.COM", "Ada@example.com", "ada@example.com", "ada@example.com"),
            ("ada@MÜNCHEN.example", "ada@xn--mnchen-3ya.example", "", ""),
            ("ada@mu\u{308}nchen.example", "ada@xn--mnchen-3ya.example", "", ""),
            ("ada@XN--MNCHEN-3YA.example", "ada@xn--mnchen-3ya.example", "", ""),
            ("ada@xn--mnchen-3ya。example", "ada@xn--mnchen-3ya.example", "", ""),
            ("Andre\u{301}@example.com", "André@example.com", "andré@example.com", "andré@example.com"),
            ("Ada+Shop+2@example.com", "Ada+Shop+2@example.com", "ada+shop+2@example.com", "ada@example.com"),
            ("+ada@example.com", "+ada@example.com", "", ""),
        ] {
            let parsed = email(written);
            let or_kept = |form: &str| if form.is_empty() { kept.to_owned() } else { form.to_owned() };
            assert_eq!((parsed.as_str(), parsed.normal(), parsed.mailbox()), (kept, or_kept(normal), or_kept(mailbox)));
            assert_eq!(email(parsed.as_str()), parsed, "what is kept is read again as it is");
        }
    }
}
