//! Issues identity tokens and keeps them for a moment, because callers repeat requests.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use promox_kernel::{Bounded, Error, Timestamp, sha256};

use crate::records::IdentityKey;
use crate::rules::identity::{REFRESH_AFTER, Signer, Subject};

/// Maximum kept tokens.
const MAX_KEPT: usize = 8_192;

/// A kept token, and when it was issued in seconds since 1970.
type Kept = (Arc<str>, i64);

/// The signing keys in use, and the tokens of the last moments.
pub(crate) struct Tokens {
    issuer: String,
    signers: RwLock<Arc<Vec<(Timestamp, Signer)>>>,
    kept: Mutex<Bounded<[u8; 32], Kept>>,
}

impl Tokens {
    pub(crate) fn new(issuer: String) -> Self {
        Self { issuer, signers: RwLock::default(), kept: Mutex::new(Bounded::new(MAX_KEPT)) }
    }

    /// Replaces the keys.
    pub(crate) fn load(&self, keys: &[IdentityKey]) -> Result<(), Error> {
        let signer = |key: &IdentityKey| Ok((key.signs_from, Signer::new(&self.issuer, &key.kid, &key.seed)?));
        let signers = keys.iter().map(signer).collect::<Result<Vec<_>, Error>>()?;
        *self.signers.write() = Arc::new(signers);
        Ok(())
    }

    /// A token for a request at `now`.
    pub(crate) fn get(&self, subject: Subject<'_>, now: Timestamp) -> Result<Arc<str>, Error> {
        let parts = [subject.caller, subject.app, subject.method, subject.path];
        let key = sha256(parts.iter().flat_map(|part| [part.as_bytes(), b"\0"]));
        let kept = self.kept.lock().get(&key);
        let second = now.seconds();
        if let Some((token, _)) = kept.filter(|(_, issued)| (0..REFRESH_AFTER).contains(&(second - issued))) {
            return Ok(token);
        }
        let signers = self.signers.read().clone();
        let newest = signers.iter().filter(|(from, _)| *from <= now).max_by_key(|(from, _)| *from);
        let (_, signer) = newest.ok_or_else(|| Error::internal("no identity key is loaded"))?;
        let token: Arc<str> = signer.sign(subject, now)?.into();
        self.kept.lock().put(key, (token.clone(), second));
        Ok(token)
    }
}
