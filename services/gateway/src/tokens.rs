//! Issues identity tokens and keeps them for a moment, because callers repeat requests.

use std::sync::Arc;

use http::HeaderValue;
use parking_lot::{Mutex, RwLock};
use promox_kernel::{Bounded, Error, Timestamp};

use crate::records::IdentityKey;
use crate::rules::identity::{REFRESH_AFTER, Signer, Subject};

/// Maximum kept tokens.
const MAX_KEPT: usize = 8_192;
/// The length in bytes up to which what a token says is kept with it, so that long paths take no memory.
const MAX_KEY: usize = 512;

/// A kept token, and when it was issued in seconds since 1970.
type Kept = (HeaderValue, i64);

/// The signing keys in use, and the tokens of the last moments.
pub(crate) struct Tokens {
    issuer: String,
    signers: RwLock<Arc<Vec<(Timestamp, Signer)>>>,
    kept: Mutex<Bounded<Box<str>, Kept>>,
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
    pub(crate) fn get(&self, subject: Subject<'_>, now: Timestamp) -> Result<HeaderValue, Error> {
        // None of the parts contains a zero, so different subjects have different keys.
        let key = [subject.caller, "\0", subject.app, "\0", subject.method, "\0", subject.path].concat();
        let kept = self.kept.lock().get(key.as_str());
        let second = now.seconds();
        if let Some((token, _)) = kept.filter(|(_, issued)| (0..REFRESH_AFTER).contains(&(second - issued))) {
            return Ok(token);
        }
        let signers = self.signers.read().clone();
        let newest = signers.iter().filter(|(from, _)| *from <= now).max_by_key(|(from, _)| *from);
        let (_, signer) = newest.ok_or_else(|| Error::internal("no identity key is loaded"))?;
        let token = HeaderValue::try_from(signer.sign(subject, now)?).map_err(Error::internal)?;
        if key.len() <= MAX_KEY {
            self.kept.lock().put(key.into(), (token.clone(), second));
        }
        Ok(token)
    }
}
