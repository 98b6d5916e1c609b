//! Access tokens: forged and expired ones, ones with wrong claims, and the rotation of keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use promox_kernel::Handle as _;

use super::*;
use crate::api::GetJwks;
use crate::commands::keys;
use crate::tokens::{Claims, new_key};

fn part(json: &serde_json::Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

/// The code with which a token is refused, or `ACCEPTED`.
async fn refusal(shop: &Shop, token: String) -> String {
    shop.bearer(&Secret(token)).await.map_or_else(|error| error.code().to_owned(), |_| "ACCEPTED".to_owned())
}

/// The signing key and its id, to sign forged tokens with, and valid claims to tamper with.
async fn key_and_claims(shop: &Shop, session: i64) -> (EncodingKey, String, Claims) {
    let key = shop.db.read(keys::all).await.unwrap().remove(0);
    let pair = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&key.seed.unwrap()).unwrap();
    let encoding = EncodingKey::from_ed_der(pair.to_pkcs8().unwrap().as_ref());
    let now = shop.node.clock.now().seconds();
    let (iss, aud) = ("promox".to_owned(), "promox".to_owned());
    let claims = Claims { iss, aud, sub: "1".to_owned(), sid: session, ver: 1, iat: now, nbf: now, exp: now + 900 };
    (encoding, key.kid, claims)
}

fn sign(key: &EncodingKey, kid: Option<&str>, claims: &impl serde::Serialize) -> String {
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = kid.map(str::to_owned);
    jsonwebtoken::encode(&header, claims, key).unwrap()
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let shop = Shop::open().await;
    let ada = shop.register("ada@example.com").await;
    let good = ada.access_token.0.clone();
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let (_, kid, claims) = key_and_claims(&shop, 1).await;
    let public = shop.db.read(keys::all).await.unwrap().remove(0).public_key;
    let hmac = |secret: &[u8]| {
        let header = Header { kid: Some(kid.clone()), ..Header::new(Algorithm::HS256) };
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(secret)).unwrap()
    };
    let none = part(&serde_json::json!({ "alg": "none", "typ": "JWT", "kid": kid }));
    let other = part(
        &serde_json::json!({ "iss": "promox", "aud": "promox", "sub": "2", "sid": 1, "ver": 1, "iat": 0, "nbf": 0, "exp": 9_999_999_999_i64 }),
    );
    let flipped =
        if signature.starts_with('A') { signature.replacen('A', "B", 1) } else { format!("A{}", &signature[1..]) };
    let cases = [
        ("empty", String::new()),
        ("not a token", "token".to_owned()),
        ("two parts", format!("{header}.{payload}")),
        ("alg none", format!("{none}.{payload}.")),
        ("alg none with a signature", format!("{none}.{payload}.{signature}")),
        ("no signature", format!("{header}.{payload}.")),
        ("other claims", format!("{header}.{other}.{signature}")),
        ("other signature", format!("{header}.{payload}.{flipped}")),
        ("HS256 with the public key", hmac(&public)),
        ("HS256 with the public key as text", hmac(URL_SAFE_NO_PAD.encode(&public).as_bytes())),
        ("four parts", format!("{good}.x")),
        ("too long", format!("{good}{}", "x".repeat(10_000))),
    ];
    for (name, token) in cases {
        assert_eq!(refusal(&shop, token).await, "TOKEN_INVALID", "{name}");
    }
    assert_eq!(refusal(&shop, good).await, "ACCEPTED");
}

#[tokio::test]
async fn a_token_with_a_changed_character_is_refused() {
    let shop = Shop::open().await;
    let good = shop.register("ada@example.com").await.access_token.0;
    for place in 0..good.len() {
        for other in ["A", "B", ".", "=", "é"] {
            let changed = [&good[..place], other, &good[place + 1..]].concat();
            if changed != good {
                assert_eq!(refusal(&shop, changed).await, "TOKEN_INVALID", "{other} at {place}");
            }
        }
    }
}

#[tokio::test]
async fn every_claim_is_required_and_checked() {
    let shop = Shop::open().await;
    shop.register("ada@example.com").await;
    let (key, kid, claims) = key_and_claims(&shop, 1).await;
    assert_eq!(refusal(&shop, sign(&key, Some(&kid), &claims)).await, "ACCEPTED");
    let now = claims.iat;
    let cases: [(&str, fn(&mut Claims, i64), &str); 9] = [
        ("another audience", |claims, _| claims.aud = "elsewhere".to_owned(), "TOKEN_INVALID"),
        ("another issuer", |claims, _| claims.iss = "elsewhere".to_owned(), "TOKEN_INVALID"),
        ("expired", |claims, now| claims.exp = now, "TOKEN_EXPIRED"),
        ("not valid yet", |claims, now| claims.nbf = now + 1, "TOKEN_INVALID"),
        ("issued tomorrow", |claims, now| claims.iat = now + 86_400, "TOKEN_INVALID"),
        ("not a user's id", |claims, _| claims.sub = "ada".to_owned(), "TOKEN_INVALID"),
        ("another user", |claims, _| claims.sub = "2".to_owned(), "SESSION_ENDED"),
        ("another session", |claims, _| claims.sid = 2, "SESSION_ENDED"),
        ("another session version", |claims, _| claims.ver = 2, "SESSION_ENDED"),
    ];
    for (name, tamper, expected) in cases {
        let mut tampered = claims.clone();
        tamper(&mut tampered, now);
        assert_eq!(refusal(&shop, sign(&key, Some(&kid), &tampered)).await, expected, "{name}");
    }
    let all_claims = serde_json::to_value(&claims).unwrap();
    for name in ["iss", "aud", "sub", "sid", "ver", "iat", "nbf", "exp"] {
        let mut claims = all_claims.clone();
        claims.as_object_mut().unwrap().remove(name);
        assert_eq!(refusal(&shop, sign(&key, Some(&kid), &claims)).await, "TOKEN_INVALID", "without {name}");
    }
    let stranger = new_key([9; 32], shop.node.clock.now(), shop.node.clock.now()).unwrap();
    let pair = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
    let strange = EncodingKey::from_ed_der(pair.to_pkcs8().unwrap().as_ref());
    for (name, kid) in
        [("unknown key", Some(stranger.kid.as_str())), ("our key's id", Some(kid.as_str())), ("no key id", None)]
    {
        assert_eq!(refusal(&shop, sign(&strange, kid, &claims)).await, "TOKEN_INVALID", "{name}");
    }
    let mut critical = Header::new(Algorithm::EdDSA);
    (critical.kid, critical.crit) = (Some(kid), Some(vec!["exp".to_owned()]));
    let critical = jsonwebtoken::encode(&critical, &claims, &key).unwrap();
    assert_eq!(refusal(&shop, critical).await, "TOKEN_INVALID", "an unknown critical extension");
}

#[tokio::test]
async fn tokens_expire_even_when_they_are_cached() {
    let shop = Shop::open().await;
    let ada = shop.register("ada@example.com").await;
    shop.advance(Duration::from_secs(899));
    assert!(shop.bearer(&ada.access_token).await.is_ok());
    shop.advance(Duration::from_secs(1));
    assert_eq!(shop.bearer(&ada.access_token).await.unwrap_err().code(), "TOKEN_EXPIRED");
}

#[tokio::test]
async fn keys_rotate_without_logging_anyone_out() {
    let shop = Shop::open().await;
    let ada = shop.register("ada@example.com").await;
    let jwks = async || shop.run(shop.cx(), GetJwks {}).await;
    assert_eq!(jwks().await.unwrap().keys.len(), 1);
    shop.advance(Duration::from_mins(30 * 24 * 60 - 30));
    let before = shop.login("ada@example.com", PASSWORD).await.unwrap();
    for _ in 0..3 {
        shop.advance(Duration::from_mins(30));
        shop.run_job("user.rotate_keys").await;
    }
    let published = jwks().await.unwrap().keys;
    assert_eq!(published.len(), 2, "tokens of the old key may still be valid");
    let again = shop.run(shop.anonymous(), crate::api::Refresh { refresh_token: before.refresh_token }).await.unwrap();
    assert!(shop.bearer(&again.access_token).await.is_ok());
    let kid = |token: &Secret| jsonwebtoken::decode_header(&token.0).unwrap().kid.unwrap();
    assert_eq!(kid(&again.access_token), published[0].kid);
    assert_ne!(kid(&ada.access_token), published[0].kid);
    let retired = shop.db.read(keys::all).await.unwrap();
    assert_eq!(retired.iter().filter(|key| key.seed.is_some()).count(), 1, "the old private half is deleted");
    shop.advance(Duration::from_hours(26));
    shop.run_job("user.rotate_keys").await;
    assert_eq!(jwks().await.unwrap().keys.len(), 1);
}

#[tokio::test]
async fn a_restarted_node_loads_the_existing_keys() {
    let shop = Shop::open().await;
    let ada = shop.register("ada@example.com").await;
    let restarted = Users::new(shop.db.clone(), Cache::in_memory(), UserSettings::default());
    let op = Authenticate { token: ada.access_token.0, leaving: false };
    let known = restarted.handle(&shop.anonymous(), op).await.unwrap();
    assert_eq!(known.principal().user(), Some(ada.user.id));
}
