//! Access tokens: JWTs signed with EdDSA, the only algorithm accepted, and the keys loaded for them.
//!
//! A verified token is cached until it expires, so that the signature is checked once and not on every request. Whether
//! its login is still live is checked by [`crate::access`] every time.

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

/// Verified tokens in the cache.
const REMEMBERED: usize = 8_192;
/// Longer than any token of ours.
const LONGEST: usize = 2_048;

/// The claims of a token for `promox`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) aud: String,
    /// The user's id.
    pub(crate) sub: String,
    /// The login.
    pub(crate) sid: i64,
    /// The user's session version.
    pub(crate) ver: i64,
    pub(crate) iat: i64,
    pub(crate) nbf: i64,
    pub(crate) exp: i64,
}

/// A token with a valid signature.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verified {
    pub(crate) user: UserId,
    pub(crate) session: i64,
    pub(crate) version: i64,
    not_before: i64,
    expires: i64,
}

/// Why a token was rejected.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// No key of this name is loaded; it may be a new one.
    UnknownKey(String),
    /// It is invalid.
    Refused(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// The loaded keys.
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
    verified: Mutex<Bounded<Box<str>, Verified>>,
}

impl Tokens {
    pub(crate) fn new(issuer: &str, audience: &str, lifetime: Duration) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        // Times are compared with the request's time, not with the machine's clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            lifetime,
            validation,
            ring: RwLock::default(),
            verified: Mutex::new(Bounded::new(REMEMBERED)),
        }
    }

    /// The lifetime of a token.
    pub(crate) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Loads these keys.
    pub(crate) fn hold(&self, keys: &[SigningKey]) -> Result<(), Error> {
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

    /// A token for a login; `None` while no signing key is loaded.
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

    /// The holder of a token, if it is ours and currently valid.
    pub(crate) fn verify(&self, now: Timestamp, token: &str) -> Result<Verified, Refusal> {
        let known = self.verified.lock().get(token);
        if let Some(verified) = known {
            let timely = verified.timely(now);
            if timely.is_err() {
                self.verified.lock().remove(token);
            }
            return Ok(timely?);
        }
        let verified = self.check(token)?.timely(now)?;
        self.verified.lock().put(token.into(), verified);
        Ok(verified)
    }

    fn check(&self, token: &str) -> Result<Verified, Refusal> {
        let refuse = |_| reject::invalid_token();
        if token.len() > LONGEST {
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
    fn timely(self, now: Timestamp) -> Result<Self, Error> {
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

/// The stored form of a key pair from 32 random bytes; named by the digest of its public half.
pub(crate) fn new_key(seed: [u8; 32], signs_from: Timestamp, now: Timestamp) -> Result<SigningKey, Error> {
    let public_key = key_pair(&seed)?.public_key().as_ref().to_vec();
    let kid = base64url(&secrets::hash(&base64url(&public_key))).chars().take(16).collect();
    Ok(SigningKey { kid, seed: Some(seed.to_vec()), public_key, signs_from, created_at: now, retired_at: None })
}

/// Bytes in the encoding of JSON Web Keys.
pub(crate) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
