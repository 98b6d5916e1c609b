//! Opaque secrets: refresh tokens and one-time tokens. Only their hashes are stored.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use promox_kernel::{Entropy, sha256};

/// The number of characters of 256 bits in base64url.
const LENGTH: usize = 43;

/// The SHA-256 of a secret. No salt is needed because a secret has 256 random bits.
pub(crate) fn hash(secret: &str) -> Vec<u8> {
    sha256([secret.as_bytes()]).to_vec()
}

/// A refresh token: the secret of its family, which all tokens of a session share, and its own secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    family: String,
    own: String,
}

impl RefreshToken {
    /// The first token of a new family.
    pub(crate) fn first(entropy: &Entropy) -> Self {
        Self { family: entropy.token(), own: entropy.token() }
    }

    /// The next token of the family, which is always the same for the same key. Without the key it cannot be derived
    /// from this token.
    pub(crate) fn next(&self, key: &[u8]) -> Self {
        let digest = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), self.text().as_bytes());
        Self { family: self.family.clone(), own: URL_SAFE_NO_PAD.encode(digest) }
    }

    /// Parses a token, or `None` if it is malformed.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (family, own) = text.split_at_checked(LENGTH)?;
        (own.len() == LENGTH).then(|| Self { family: family.to_owned(), own: own.to_owned() })
    }

    /// The text of the token, as clients send it.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", self.family, self.own)
    }

    /// The hash by which the family is found.
    pub(crate) fn family_hash(&self) -> Vec<u8> {
        hash(&self.family)
    }

    /// The hash of the token's own secret.
    pub(crate) fn own_hash(&self) -> Vec<u8> {
        hash(&self.own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_keep_their_family_and_round_trip_through_text() {
        let entropy = Entropy::seeded(7);
        let first = RefreshToken::first(&entropy);
        let next = first.next(b"key");
        assert!(next == first.next(b"key") && next != first.next(b"another"));
        assert!(first.family_hash() == next.family_hash() && first.own_hash() != next.own_hash());
        assert!(RefreshToken::parse(&next.text()) == Some(next.clone()));
        for malformed in ["", "x", &first.text()[1..], &format!("{}x", first.text()), &"é".repeat(43)] {
            assert!(RefreshToken::parse(malformed).is_none(), "{malformed}");
        }
    }
}
