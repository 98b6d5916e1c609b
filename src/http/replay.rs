//! Idempotency keys: the first decided answer is given again, byte for byte, and two twins never run at once.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;

use aws_lc_rs::digest;
use parking_lot::Mutex;
use promox_kernel::{Claim, Cx, Error, Response};
use promox_storage::{Db, Recall};

use super::answer::{self, Outcome};

type Running = Mutex<HashSet<(String, String)>>;

/// The keys of requests that run at this moment.
#[derive(Default)]
pub(super) struct Replays(Arc<Running>);

/// A key that runs until this is dropped.
struct Turn {
    running: Arc<Running>,
    key: (String, String),
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.running.lock().remove(&self.key);
    }
}

/// A digest of what is asked: method, path with query, and body.
pub(super) fn fingerprint(method: &str, path: &str, body: &[u8]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [method.as_bytes(), b"\n", path.as_bytes(), b"\n", body] {
        context.update(part);
    }
    let mut bytes = [0; 32];
    context.finish().as_ref().iter().zip(&mut bytes).for_each(|(from, to)| *to = *from);
    bytes
}

impl Replays {
    /// Begins a claim, unless its twin runs.
    fn begin(&self, claim: &Claim) -> Result<Turn, Error> {
        let key = (claim.caller.clone(), claim.key.clone());
        if self.0.lock().insert(key.clone()) {
            return Ok(Turn { running: self.0.clone(), key });
        }
        let message = "A request with this Idempotency-Key runs at this moment: ask again when it is done.";
        Err(Error::conflict("IDEMPOTENCY_IN_PROGRESS", message).retry_after(1))
    }

    /// Gives the decided answer of the claim again, or does `work` and keeps what it decides.
    pub(super) async fn run(
        &self,
        keys: &Db,
        cx: Cx,
        claim: Arc<Claim>,
        path: &str,
        work: impl Future<Output = Result<Response, Error>>,
    ) -> Result<Outcome, Error> {
        let _turn = self.begin(&claim)?;
        match keys.recall(&claim).await? {
            Recall::Decided(response) => Ok(Outcome { response, replayed: true }),
            Recall::OtherRequest => {
                let message = "This Idempotency-Key was used for another request: take a new key.";
                Err(Error::refused("IDEMPOTENCY_KEY_REUSED", message))
            }
            Recall::New | Recall::Undecided(_) => {
                let result = work.await;
                settle(keys, &cx, claim, path, result).await
            }
        }
    }
}

/// Answers what the deciding transaction recorded; what it left unrecorded is kept now, if it is decided.
async fn settle(
    keys: &Db,
    cx: &Cx,
    claim: Arc<Claim>,
    path: &str,
    result: Result<Response, Error>,
) -> Result<Outcome, Error> {
    if let Some(response) = claim.recorded.get().and_then(Response::copy) {
        return Ok(Outcome { response, replayed: false });
    }
    let response = match result {
        Ok(response) => response,
        Err(error) if error.is_decided() => answer::kept_refusal(&error, &cx.request_id, path),
        Err(error) => return Err(error),
    };
    let decided = response.status != 202;
    if let Some(kept) = response.copy().filter(|_| decided)
        && let Err(error) = keys.settle(cx, claim, kept).await
    {
        tracing::warn!(request_id = %cx.request_id, %error, "an answer could not be kept with its idempotency key");
    }
    Ok(Outcome { response, replayed: false })
}
