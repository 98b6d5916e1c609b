//! Access tokens, which are JWTs signed with EdDSA, the only accepted algorithm, and the keys that are loaded for them.
//!
//! A verified token is cached until it expires, so that its signature is checked only once. Whether its session is
//! still live is checked on every request, by [`crate::access`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use parking_lot::{Mutex, RwLock};
use promox_kernel::{Bounded, Error, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::records::SigningKey;
use crate::reject;
use crate::rules::secrets;

/// Maximum verified tokens in the cache.
const MAX_CACHED: usize = 8_192;
/// Maximum bytes of a token. Every token that this service issues is shorter.
const MAX_TOKEN_LEN: usize = 2_048;

/// The claims of an access token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) aud: String,
    /// The user's id.
    pub(crate) sub: String,
    /// The session.
    pub(crate) sid: i64,
    /// The user's session version.
    pub(crate) ver: i64,
    pub(crate) iat: i64,
    pub(crate) nbf: i64,
    pub(crate) exp: i64,
}

/// The claims of a token with a valid signature, as far as they are needed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verified {
    pub(crate) user: UserId,
    pub(crate) session: i64,
    /// The user's session version when the token was issued.
    pub(crate) version: i64,
    /// The time from which it is valid, in seconds since 1970.
    not_before: i64,
    /// The time at which it expires, in seconds since 1970.
    expires: i64,
}

/// Why a token was rejected.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// No key with this id is loaded. It may be one that another node has just created.
    UnknownKey(String),
    /// The token is invalid or has expired.
    Refused(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// The loaded keys: those that sign, with the time from which they do, and those that verify.
#[derive(Default)]
struct KeyRing {
    signing: Vec<(Timestamp, String, EncodingKey)>,
    verifying: HashMap<String, DecodingKey>,
}

/// Issues and verifies access tokens.
pub(crate) struct Tokens {
    issuer: String,
    audience: String,
    lifetime: Duration,
    validation: Validation,
    ring: RwLock<Arc<KeyRing>>,
    /// The verified tokens, by their text.
    verified: Mutex<Bounded<Box<str>, Verified>>,
}

impl Tokens {
    pub(crate) fn new(issuer: &str, audience: &str, lifetime: Duration) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        // `Verified::check_time` compares times with the request's time, not with the machine's clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            lifetime,
            validation,
            ring: RwLock::default(),
            verified: Mutex::new(Bounded::new(MAX_CACHED)),
        }
    }

    /// The lifetime of an access token.
    pub(crate) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Replaces the loaded keys.
    pub(crate) fn load(&self, keys: &[SigningKey]) -> Result<(), Error> {
        let mut ring = KeyRing::default();
        for key in keys {
            ring.verifying.insert(key.kid.clone(), DecodingKey::from_ed_der(&key.public_key));
            if let Some(seed) = &key.seed {
                ring.signing.push((key.signs_from, key.kid.clone(), encoding_key(seed)?));
            }
        }
        *self.ring.write() = Arc::new(ring);
        Ok(())
    }

    /// Issues a token for a session, or `None` if no signing key is loaded.
    pub(crate) fn issue(&self, now: Timestamp, user: UserId, sid: i64, ver: i64) -> Result<Option<String>, Error> {
        let ring = self.ring.read().clone();
        let signer = ring.signing.iter().filter(|(from, ..)| *from <= now).max_by_key(|(from, ..)| *from);
        let Some((_, kid, key)) = signer else { return Ok(None) };
        let iat = now.seconds();
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: user.to_string(),
            sid,
            ver,
            iat,
            nbf: iat,
            exp: iat.saturating_add(i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX)),
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(kid.clone());
        jsonwebtoken::encode(&header, &claims, key).map(Some).map_err(Error::internal)
    }

    /// Verifies a token: its signature, from the cache if possible, and its times.
    pub(crate) fn verify(&self, now: Timestamp, token: &str) -> Result<Verified, Refusal> {
        let known = self.verified.lock().get(token);
        if let Some(verified) = known {
            let checked = verified.check_time(now);
            if checked.is_err() {
                self.verified.lock().remove(token);
            }
            return Ok(checked?);
        }
        let verified = self.check(token)?.check_time(now)?;
        self.verified.lock().put(token.into(), verified);
        Ok(verified)
    }

    /// Verifies everything about a token except its times.
    fn check(&self, token: &str) -> Result<Verified, Refusal> {
        let refuse = |_| reject::invalid_token();
        if token.len() > MAX_TOKEN_LEN {
            return Err(reject::invalid_token().into());
        }
        let header = jsonwebtoken::decode_header(token).map_err(refuse)?;
        if header.alg != Algorithm::EdDSA || header.crit.is_some() {
            return Err(reject::invalid_token().into());
        }
        let kid = header.kid.ok_or_else(reject::invalid_token)?;
        let ring = self.ring.read().clone();
        let Some(key) = ring.verifying.get(&kid) else { return Err(Refusal::UnknownKey(kid)) };
        let claims = jsonwebtoken::decode::<Claims>(token, key, &self.validation).map_err(refuse)?.claims;
        let user = claims.sub.parse().ok().filter(|id| *id > 0).ok_or_else(reject::invalid_token)?;
        let (not_before, expires) = (claims.nbf.max(claims.iat), claims.exp);
        Ok(Verified { user: UserId(user), session: claims.sid, version: claims.ver, not_before, expires })
    }
}

impl Verified {
    /// Refuses a token that has expired or is not valid yet.
    fn check_time(self, now: Timestamp) -> Result<Self, Error> {
        let second = now.seconds();
        if second >= self.expires {
            Err(reject::expired_token())
        } else if second < self.not_before {
            Err(reject::invalid_token())
        } else {
            Ok(self)
        }
    }
}

fn key_pair(seed: &[u8]) -> Result<Ed25519KeyPair, Error> {
    Ed25519KeyPair::from_seed_unchecked(seed).map_err(Error::internal)
}

fn encoding_key(seed: &[u8]) -> Result<EncodingKey, Error> {
    let document = key_pair(seed)?.to_pkcs8().map_err(Error::internal)?;
    Ok(EncodingKey::from_ed_der(document.as_ref()))
}

/// A key pair made from 32 random bytes. Its id is derived from the digest of its public half.
pub(crate) fn new_key(seed: [u8; 32], signs_from: Timestamp, now: Timestamp) -> Result<SigningKey, Error> {
    let public_key = key_pair(&seed)?.public_key().as_ref().to_vec();
    let kid = base64url(&secrets::hash(&base64url(&public_key))).chars().take(16).collect();
    Ok(SigningKey { kid, seed: Some(seed.to_vec()), public_key, signs_from, created_at: now, retired_at: None })
}

/// Bytes in base64url, the encoding of JSON Web Keys.
pub(crate) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
