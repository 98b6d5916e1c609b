//! Password hashing with argon2id on blocking threads, limited by the node's cores and memory.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use promox_contract::codes;
use promox_kernel::{Entropy, Error};
use tokio::sync::Semaphore;

/// OWASP's recommended parameters for argon2id: 19 MiB of memory, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// The maximum wait for a permit, after which the request is refused.
const MAX_WAIT: Duration = Duration::from_secs(2);
/// The hash that is verified for an unknown address, so that it takes as long as for a known one. The result is ignored.
const PLACEHOLDER_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$dGhlcmUgaXMgbm9ib2R5$Vd0fVOBjLNQX4M8B1yuH7R9SEg3Vq5yI7Ty2rKX5mLo";

/// Limits concurrent hashing.
pub(crate) struct Passwords {
    permits: Arc<Semaphore>,
}

impl Passwords {
    /// Allows at most `permits` hashes at the same time.
    pub(crate) fn new(permits: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(permits.max(1))) }
    }

    /// The hash of a password, with a random salt.
    pub(crate) async fn hash(&self, entropy: &Entropy, password: String) -> Result<String, Error> {
        let salt = entropy.bytes::<16>();
        let hashed = self.run(move || {
            let hash = argon2()?.hash_password_with_salt(password.as_bytes(), &salt).map_err(Error::internal)?;
            Ok(hash.to_string())
        });
        hashed.await?
    }

    /// Whether the password matches `hash`. Without a hash it does not, but the check takes as long.
    pub(crate) async fn matches(&self, password: String, hash: Option<String>) -> Result<bool, Error> {
        let matched = self.run(move || {
            let has_hash = hash.is_some();
            let hash = hash.as_deref().unwrap_or(PLACEHOLDER_HASH);
            let matches = argon2()?.verify_password(password.as_bytes(), hash).is_ok();
            Ok(matches && has_hash)
        });
        matched.await?
    }

    /// Runs `work` with a permit, which is held until the work is done even if the caller is cancelled.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let busy = || Error::unavailable(codes::BUSY, "Too many logins are in progress: try again.", 1);
        let permit = tokio::time::timeout(MAX_WAIT, self.permits.clone().acquire_owned()).await;
        let permit = permit.map_err(|_| busy())?.map_err(|_| busy())?;
        let result = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        result.await.map_err(Error::internal)
    }
}

fn argon2() -> Result<Argon2<'static>, Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(Error::internal)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hashes_contain_their_parameters_and_match_only_their_password() {
        let passwords = Passwords::new(1);
        let hash = passwords.hash(&Entropy::seeded(1), "open sesame".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.matches("open sesame".to_owned(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.matches("Open sesame".to_owned(), Some(hash)).await.unwrap());
        assert!(!passwords.matches("there is nobody".to_owned(), None).await.unwrap());
    }

    #[test]
    fn the_placeholder_hash_has_the_same_parameters() {
        let parsed = argon2::PasswordHash::new(PLACEHOLDER_HASH).unwrap();
        assert_eq!(parsed.params.to_string(), "m=19456,t=2,p=1");
        assert!(parsed.hash.is_some() && parsed.salt.is_some());
    }
}
