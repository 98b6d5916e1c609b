//! The mails that a shop has written as files, as their readers see them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::shop::Shop;

/// A mail.
#[derive(Debug)]
pub(crate) struct Mail {
    /// The head, with unfolded lines.
    head: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

impl Mail {
    fn read(raw: &str) -> Self {
        let (head, body) = raw.split_once("\r\n\r\n").unwrap();
        let head = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        let boundary = head.split("boundary=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let boundary = format!("--{boundary}");
        let mut parts = body.split(boundary.as_str()).skip(1).map(part);
        let (text, html) = (parts.next().unwrap(), without_references(&parts.next().unwrap()));
        Self { head, text, html }
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let line = self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))?;
        Some(encoded_words(line))
    }

    pub(crate) fn subject(&self) -> String {
        self.header("Subject").unwrap()
    }
}

/// The text of a part of a mail.
fn part(raw: &str) -> String {
    let (head, body) = raw.trim_start().split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    let bytes = if head.contains("quoted-printable") {
        quoted_printable(&body.replace("=\r\n", ""))
    } else if head.contains("base64") {
        STANDARD.decode(body.replace("\r\n", "")).unwrap()
    } else {
        body.as_bytes().to_vec()
    };
    String::from_utf8(bytes).unwrap().replace("\r\n", "\n")
}

/// HTML with characters in place of the numeric references to them.
fn without_references(html: &str) -> String {
    let mut pieces = html.split("&#");
    let mut text = pieces.next().unwrap().to_owned();
    for piece in pieces {
        let reference = piece.split_once(';').and_then(|(number, rest)| Some((number.parse::<u32>().ok()?, rest)));
        if let Some((number, rest)) = reference {
            text.push(char::from_u32(number).unwrap());
            text.push_str(rest);
        } else {
            text.push_str("&#");
            text.push_str(piece);
        }
    }
    text
}

fn quoted_printable(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'=' {
            let code = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&code).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    bytes
}

/// A header whose words may be encoded as RFC 2047 says.
fn encoded_words(line: &str) -> String {
    let mut text = String::new();
    for word in line.split(' ') {
        let encoded = word.strip_prefix("=?utf-8?b?").and_then(|rest| rest.strip_suffix("?="));
        if let Some(encoded) = encoded {
            text.push_str(&String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap());
        } else {
            text.push_str(if text.is_empty() { "" } else { " " });
            text.push_str(word);
        }
    }
    text
}

/// The mails to an address, oldest first.
pub(crate) fn mails_to(shop: &Shop, address: &str) -> Vec<Mail> {
    let mut files = Vec::new();
    for day in std::fs::read_dir(shop.dir().join("mail")).into_iter().flatten() {
        for file in std::fs::read_dir(day.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "eml") {
                files.push(path);
            }
        }
    }
    files.sort();
    let mails = files.iter().map(|path| Mail::read(&std::fs::read_to_string(path).unwrap()));
    mails.filter(|mail| mail.header("To").as_deref() == Some(address)).collect()
}

/// Waits until `count` mails to an address are written, and returns them, oldest first.
pub(crate) async fn wait_for_mails(shop: &Shop, address: &str, count: usize) -> Vec<Mail> {
    loop {
        let mails = mails_to(shop, address);
        if mails.len() >= count {
            return mails;
        }
        tokio::task::yield_now().await;
    }
}
