//! Encryption of push messages (RFC 8291) and the sender's identification (RFC 8292). No storage, no clock, no I/O.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use promox_kernel::Timestamp;
use serde_json::json;

/// The length of an uncompressed public key on P-256.
const PUBLIC_KEY_LEN: usize = 65;
/// The length of the secret that a browser shares with its sender.
const AUTH_LEN: usize = 16;
/// The record size that the header states; a message is one record.
const RECORD_SIZE: u32 = 4096;
/// The maximum length of a message in bytes, so that it fits into one record.
pub(crate) const MAX_MESSAGE_LEN: usize = 3_000;
/// How long an identification is valid, in seconds. Push services accept at most a day.
const VALID_SECONDS: i64 = 12 * 3_600;

/// The keys of a browser's subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BrowserKeys {
    public: Vec<u8>,
    auth: Vec<u8>,
}

impl BrowserKeys {
    /// Reads the keys `p256dh` and `auth` of a subscription, base64url with or without padding. The error names the one
    /// that is wrong.
    pub(crate) fn read(p256dh: &str, auth: &str) -> Result<Self, &'static str> {
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
        let public = decode(p256dh).filter(|key| key.len() == PUBLIC_KEY_LEN && key.first() == Some(&4));
        let auth = decode(auth).filter(|secret| secret.len() == AUTH_LEN);
        Ok(Self { public: public.ok_or("p256dh")?, auth: auth.ok_or("auth")? })
    }
}

/// The key of a message: it must be used once.
#[derive(Debug)]
pub(crate) struct MessageRandom {
    pub(crate) key: [u8; 32],
    pub(crate) salt: [u8; 16],
}

/// Encrypts a message of at most [`MAX_MESSAGE_LEN`] bytes for a browser. Returns the body with the content encoding
/// `aes128gcm`; `None` if a key is not on the curve or the message is too long.
pub(crate) fn encrypt(message: &[u8], browser: &BrowserKeys, random: &MessageRandom) -> Option<Vec<u8>> {
    if message.len() > MAX_MESSAGE_LEN {
        return None;
    }
    let private = PrivateKey::from_private_key(&ECDH_P256, &random.key).ok()?;
    let own = private.compute_public_key().ok()?;
    let peer = UnparsedPublicKey::new(&ECDH_P256, &browser.public);
    let shared = agreement::agree(&private, peer, (), |secret| Ok(secret.to_vec())).ok()?;
    let info = [b"WebPush: info\0".as_slice(), &browser.public, own.as_ref(), &[1]].concat();
    let input = mac(mac(&browser.auth, &shared).as_ref(), &info);
    let pseudo_random = mac(&random.salt, input.as_ref());
    let key = mac(pseudo_random.as_ref(), b"Content-Encoding: aes128gcm\0\x01");
    let nonce = mac(pseudo_random.as_ref(), b"Content-Encoding: nonce\0\x01");
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key.as_ref().get(..16)?).ok()?);
    let nonce = Nonce::try_assume_unique_for_key(nonce.as_ref().get(..12)?).ok()?;
    // The last record ends with the delimiter 2.
    let mut record = [message, &[2]].concat();
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut record).ok()?;
    let length = u8::try_from(PUBLIC_KEY_LEN).ok()?;
    Some([&random.salt[..], &RECORD_SIZE.to_be_bytes(), &[length], own.as_ref(), &record].concat())
}

fn mac(key: &[u8], message: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message)
}

/// The key pair that identifies this shop to push services.
#[derive(Debug)]
pub(crate) struct Identity {
    keys: EcdsaKeyPair,
    public: String,
}

impl Identity {
    /// The key pair with this private key; `None` for the few numbers that are no key.
    pub(crate) fn of(private: &[u8; 32]) -> Option<Self> {
        let key = PrivateKey::from_private_key(&ECDH_P256, private).ok()?;
        let public = key.compute_public_key().ok()?;
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let keys = EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public.as_ref()).ok()?;
        Some(Self { keys, public: URL_SAFE_NO_PAD.encode(public.as_ref()) })
    }

    /// The public key in base64url, which a browser needs for a subscription.
    pub(crate) fn public(&self) -> &str {
        &self.public
    }

    /// The header `Authorization` for the push service at `origin`. `contact` is a `mailto:` or `https:` URL.
    pub(crate) fn authorization(&self, origin: &str, contact: &str, now: Timestamp) -> Option<String> {
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = json!({"aud": origin, "exp": now.seconds() + VALID_SECONDS, "sub": contact});
        let signed = format!("{}.{}", part(json!({"typ": "JWT", "alg": "ES256"})), part(claims));
        let signature = self.keys.sign(&SystemRandom::new(), signed.as_bytes()).ok()?;
        Some(format!("vapid t={signed}.{}, k={}", URL_SAFE_NO_PAD.encode(signature.as_ref()), self.public))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap()
    }

    #[test]
    fn a_message_is_encrypted_as_in_the_example_of_the_rfc() {
        // RFC 8291, section 5 and appendix A.
        let browser = BrowserKeys::read(
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
            "BTBZMqHH6r4Tts7J_aSIgg",
        )
        .unwrap();
        let random = MessageRandom {
            key: bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"),
            salt: bytes("DGv6ra1nlYgDCS1FRnbzlw"),
        };
        let body = encrypt(b"When I grow up, I want to be a watermelon", &browser, &random).unwrap();
        let wanted = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tlz\
                      AC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
        assert_eq!(URL_SAFE_NO_PAD.encode(&body), wanted);
        assert!(encrypt(&vec![0; MAX_MESSAGE_LEN + 1], &browser, &random).is_none());
    }

    #[test]
    fn wrong_keys_are_refused() {
        let good = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
        assert_eq!(BrowserKeys::read("AAAA", "BTBZMqHH6r4Tts7J_aSIgg"), Err("p256dh"));
        assert_eq!(BrowserKeys::read(good, "AAAA"), Err("auth"));
        assert!(Identity::of(&[0; 32]).is_none());
    }
}
