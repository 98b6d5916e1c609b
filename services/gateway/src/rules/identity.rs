//! Identity tokens: they tell an application who calls it, and are worth nothing anywhere else.
//!
//! A token is a JWT of the type `identity+jwt`, signed with EdDSA by a key that signs nothing else. It names the caller,
//! the application, and the method and path of the request.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use promox_kernel::{Error, Timestamp, hex, sha256};
use serde::{Deserialize, Serialize};

/// The lifetime of a token in seconds.
pub(crate) const LIFETIME: i64 = 60;
/// A cached token is replaced when it is this old, in seconds, so that every token that is sent is valid for a while.
pub(crate) const REFRESH_AFTER: i64 = 30;
/// The type in a token's header.
const TYPE: &str = "identity+jwt";

/// The claims of an identity token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// The issuer, `auth.issuer`.
    pub(crate) iss: String,
    /// The caller: `user:7`, or `anonymous`.
    pub(crate) sub: String,
    /// The application.
    pub(crate) aud: String,
    /// The method of the request.
    pub(crate) method: String,
    /// The path of the request as the application gets it, without its query.
    pub(crate) path: String,
    pub(crate) iat: i64,
    pub(crate) nbf: i64,
    pub(crate) exp: i64,
}

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subject<'a> {
    /// The caller, as [`Principal::name`](promox_kernel::Principal::name) returns it.
    pub caller: &'a str,
    /// The application, in upper case.
    pub app: &'a str,
    /// The method.
    pub method: &'a str,
    /// The path as the application gets it.
    pub path: &'a str,
}

/// A key that signs identity tokens.
pub(crate) struct Signer {
    issuer: String,
    kid: String,
    key: EncodingKey,
}

impl Signer {
    pub(crate) fn new(issuer: &str, kid: &str, seed: &[u8]) -> Result<Self, Error> {
        let document = key_pair(seed)?.to_pkcs8().map_err(Error::internal)?;
        let key = EncodingKey::from_ed_der(document.as_ref());
        Ok(Self { issuer: issuer.to_owned(), kid: kid.to_owned(), key })
    }

    /// A token that is valid from `now` on.
    pub(crate) fn sign(&self, subject: Subject<'_>, now: Timestamp) -> Result<String, Error> {
        let iat = now.seconds();
        let claims = Claims {
            iss: self.issuer.clone(),
            sub: subject.caller.to_owned(),
            aud: subject.app.to_owned(),
            method: subject.method.to_owned(),
            path: subject.path.to_owned(),
            iat,
            nbf: iat,
            exp: iat.saturating_add(LIFETIME),
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.kid.clone());
        header.typ = Some(TYPE.to_owned());
        jsonwebtoken::encode(&header, &claims, &self.key).map_err(Error::internal)
    }
}

fn key_pair(seed: &[u8]) -> Result<Ed25519KeyPair, Error> {
    Ed25519KeyPair::from_seed_unchecked(seed).map_err(Error::internal)
}

/// The public key of a seed, and the id that is derived from it.
pub(crate) fn public_key(seed: &[u8]) -> Result<(Vec<u8>, String), Error> {
    let public = key_pair(seed)?.public_key().as_ref().to_vec();
    let kid = hex(&sha256([&public[..]])).chars().take(16).collect();
    Ok((public, kid))
}

/// Bytes in base64url, the encoding of JSON Web Keys.
pub(crate) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
