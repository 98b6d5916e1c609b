//! Password hashing: argon2id off the request threads, limited by the node's cores and memory.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use promox_contract::codes;
use promox_kernel::{Entropy, Error};
use tokio::sync::Semaphore;

/// 19 MiB, two passes, one lane: OWASP's choice for argon2id.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// A request that waits longer for a permit is refused.
const PATIENCE: Duration = Duration::from_secs(2);
/// A hash of no password, so that an unknown address takes as long as a known one.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$dGhlcmUgaXMgbm9ib2R5$Vd0fVOBjLNQX4M8B1yuH7R9SEg3Vq5yI7Ty2rKX5mLo";

/// Limits concurrent hashing.
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
}

impl Passwords {
    /// At most this many at once.
    pub(crate) fn new(turns: usize) -> Self {
        Self { turns: Arc::new(Semaphore::new(turns.max(1))) }
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

    /// Whether the password matches `hash`; without a hash it does not, and takes as long.
    pub(crate) async fn matches(&self, password: String, hash: Option<String>) -> Result<bool, Error> {
        let matched = self.run(move || {
            let known = hash.is_some();
            let hash = hash.as_deref().unwrap_or(NOBODY);
            let right = argon2()?.verify_password(password.as_bytes(), hash).is_ok();
            Ok(right && known)
        });
        matched.await?
    }

    /// Runs with a permit, which is kept until the work is done even if the caller has gone.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let busy = || Error::unavailable(codes::BUSY, "Too many logins are in progress; try again.", 1);
        let turn = tokio::time::timeout(PATIENCE, self.turns.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| busy())?.map_err(|_| busy())?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(Error::internal)
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
    async fn hashes_say_their_parameters_and_match_only_their_password() {
        let passwords = Passwords::new(1);
        let hash = passwords.hash(&Entropy::seeded(1), "open sesame".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.matches("open sesame".to_owned(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.matches("Open sesame".to_owned(), Some(hash)).await.unwrap());
        assert!(!passwords.matches("there is nobody".to_owned(), None).await.unwrap());
    }

    #[test]
    fn the_hash_of_nobody_is_one_that_costs_as_much() {
        let parsed = argon2::PasswordHash::new(NOBODY).unwrap();
        assert_eq!(parsed.params.to_string(), "m=19456,t=2,p=1");
        assert!(parsed.hash.is_some() && parsed.salt.is_some());
    }
}
