//! SHA-256, for secrets and for keys that would be too long, and hexadecimal text.

use aws_lc_rs::digest::{Context, SHA256};

/// The SHA-256 of the concatenated parts. Parts of variable length need a separator between them.
pub fn sha256<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    parts.into_iter().for_each(|part| context.update(part));
    // A SHA-256 digest always has 32 bytes.
    context.finish().as_ref().first_chunk().copied().unwrap_or_default()
}

/// Bytes as hexadecimal digits in lower case.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(if value < 10 { b'0' + value } else { b'a' + value - 10 });
    let mut text = String::with_capacity(2 * bytes.len());
    text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_hashed_as_one_message() {
        let abc = [0xBA, 0x78, 0x16, 0xBF, 0x8F, 0x01, 0xCF, 0xEA];
        assert_eq!(hex(&abc), "ba7816bf8f01cfea");
        assert!(sha256([&b"abc"[..]]).starts_with(&abc) && sha256([&b"a"[..], b"bc"]).starts_with(&abc));
    }
}
