//! E-mail addresses: validation and comparison.

use std::str::FromStr;

use email_address::EmailAddress;

use crate::text::{is_unprintable, nfc, text_serde};

/// The maximum length of an address in bytes.
const MAX_LEN: usize = 254;

/// An e-mail address: the local part as entered, in Unicode NFC, and the domain in its ASCII form (IDNA). The mail
/// library accepts every valid address. Uniqueness and per-person limits use [`Email::normal`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// The stored form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form for comparisons: lower case. Dots and plus tags are kept, since most hosts distinguish them.
    pub fn normal(&self) -> String {
        normal_form(&self.0)
    }

    /// The normal form without a plus tag: `ada@example.com` for `Ada+shop@Example.com`. On hosts that ignore plus
    /// tags, addresses with the same result share a mailbox.
    pub fn mailbox(&self) -> String {
        let normal = self.normal();
        match normal.split_once('@').and_then(|(local, domain)| Some((local.split_once('+')?.0, domain))) {
            Some((local, domain)) if !local.is_empty() => format!("{local}@{domain}"),
            _ => normal,
        }
    }
}

/// The form of an address for comparisons: lower case, in Unicode NFC.
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
        let is_forbidden = |c: char| is_unprintable(c) || c.is_whitespace() || c == '"';
        if text.chars().any(is_forbidden) || !EmailAddress::is_valid_local_part(local) {
            return Err(fault());
        }
        let address = format!("{local}@{}", ascii_domain(domain).ok_or_else(fault)?);
        if address.len() > MAX_LEN { Err(fault()) } else { Ok(Self(address)) }
    }
}

/// The ASCII form of a domain in any script and case; `None` if the domain is invalid.
fn ascii_domain(domain: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    let ascii = if domain.bytes().all(is_plain) && !domain.contains("xn--") {
        domain.to_owned()
    } else {
        idna::domain_to_ascii_strict(domain).ok()?
    };
    let has_outer_hyphen = |label: &str| label.starts_with('-') || label.ends_with('-');
    (EmailAddress::is_valid_domain(&ascii) && !ascii.split('.').any(has_outer_hyphen)).then_some(ascii)
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
    fn addresses_have_stored_normal_and_mailbox_forms() {
        for (entered, stored, normal, mailbox) in [
            ("Ada@Example.COM", "Ada@example.com", "ada@example.com", "ada@example.com"),
            ("ada@MÜNCHEN.example", "ada@xn--mnchen-3ya.example", "", ""),
            ("ada@mu\u{308}nchen.example", "ada@xn--mnchen-3ya.example", "", ""),
            ("ada@XN--MNCHEN-3YA.example", "ada@xn--mnchen-3ya.example", "", ""),
            ("ada@xn--mnchen-3ya。example", "ada@xn--mnchen-3ya.example", "", ""),
            ("Andre\u{301}@example.com", "André@example.com", "andré@example.com", "andré@example.com"),
            ("Ada+Shop+2@example.com", "Ada+Shop+2@example.com", "ada+shop+2@example.com", "ada@example.com"),
            ("+ada@example.com", "+ada@example.com", "", ""),
        ] {
            let parsed = email(entered);
            let or_stored = |form: &str| if form.is_empty() { stored.to_owned() } else { form.to_owned() };
            assert_eq!(
                (parsed.as_str(), parsed.normal(), parsed.mailbox()),
                (stored, or_stored(normal), or_stored(mailbox))
            );
            assert_eq!(email(parsed.as_str()), parsed, "the stored form parses to itself");
        }
    }
}
