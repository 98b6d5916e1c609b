//! JSON Web Key Sets (RFC 7517), which publish the keys that verify tokens.

use promox_kernel::json_reply;
use schemars::JsonSchema;
use serde::Serialize;

/// A JSON Web Key Set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Jwks {
    /// The keys, newest first.
    pub keys: Vec<Jwk>,
}
json_reply!(Jwks);

/// A public Ed25519 key (RFC 8037).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Jwk {
    /// The key type, `OKP`.
    pub kty: String,
    /// The curve, `Ed25519`.
    pub crv: String,
    /// The public key, in base64url.
    pub x: String,
    /// The key id, which the headers of tokens name.
    pub kid: String,
    /// The algorithm, `EdDSA`.
    pub alg: String,
    /// The use, `sig`.
    #[serde(rename = "use")]
    pub usage: String,
}

impl Jwk {
    /// The public key `x`, in base64url, of a key pair that signs with EdDSA.
    pub fn ed25519(kid: String, x: String) -> Self {
        let [kty, crv, alg, usage] = ["OKP", "Ed25519", "EdDSA", "sig"].map(str::to_owned);
        Self { kty, crv, x, kid, alg, usage }
    }
}
