//! The digest for secrets and for keys that would be too long.

use aws_lc_rs::digest::{Context, SHA256};

/// The SHA-256 of the parts, concatenated. Parts of variable length need a separator between them.
pub fn sha256<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    parts.into_iter().for_each(|part| context.update(part));
    // A SHA-256 has 32 bytes.
    context.finish().as_ref().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_one_text() {
        let abc = [0xBA, 0x78, 0x16, 0xBF, 0x8F, 0x01, 0xCF, 0xEA];
        assert!(sha256([&b"abc"[..]]).starts_with(&abc) && sha256([&b"a"[..], b"bc"]).starts_with(&abc));
    }
}
