//! Idempotency keys, on the node of the service that owns the effect: the first decided answer is given again, byte for byte,
//! and two twins never run at once.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use promox_kernel::{Claim, Cx, Error, KeyKeeper, Response};
use promox_storage::{Db, Recall};

use crate::http::stored_refusal;

/// The header that says that an answer was given before.
const REPLAYED: (&str, &str) = ("idempotent-replayed", "true");

/// The keys of the services of a database: decided ones in its rows, those that run at this moment in memory.
#[derive(Clone)]
struct Keys {
    db: Db,
    running: Arc<Running>,
}

type Running = Mutex<HashSet<(String, String)>>;

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

/// Keeps the keys of the services whose tables are in this database.
pub(crate) fn keeper(db: Db) -> KeyKeeper {
    let keys = Keys { db, running: Arc::default() };
    Arc::new(move |cx, claim, work| {
        let keys = keys.clone();
        Box::pin(async move { keys.run(&cx, claim, work).await })
    })
}

impl Keys {
    /// Begins a claim, unless its twin runs.
    fn begin(&self, claim: &Claim) -> Result<Turn, Error> {
        let key = (claim.caller.clone(), claim.key.clone());
        if self.running.lock().insert(key.clone()) {
            return Ok(Turn { running: self.running.clone(), key });
        }
        let message = "A request with this Idempotency-Key is in progress: retry when it has finished.";
        Err(Error::conflict("IDEMPOTENCY_IN_PROGRESS", message).retry_after(1))
    }

    /// Gives the decided answer of the claim again, or does `work` within the deadline and keeps what it decides.
    async fn run(
        &self,
        cx: &Cx,
        claim: Arc<Claim>,
        work: impl Future<Output = Result<Response, Error>>,
    ) -> Result<Response, Error> {
        let _turn = self.begin(&claim)?;
        match self.db.recall(&claim).await? {
            Recall::Decided(mut response) => {
                response.headers.push((REPLAYED.0, REPLAYED.1.to_owned()));
                Ok(response)
            }
            Recall::OtherRequest => {
                let message = "This Idempotency-Key was used for a different request: use a new key.";
                Err(Error::refused("IDEMPOTENCY_KEY_REUSED", message))
            }
            Recall::New | Recall::Undecided(_) => {
                let result = cx.in_time(work).await;
                self.settle(cx, claim, result).await
            }
        }
    }

    /// Answers what the deciding transaction recorded; what it left unrecorded is kept now, if it is decided.
    async fn settle(&self, cx: &Cx, claim: Arc<Claim>, result: Result<Response, Error>) -> Result<Response, Error> {
        if let Some(response) = claim.recorded.get().and_then(Response::copy) {
            return Ok(response);
        }
        let response = match result {
            Ok(response) => response,
            Err(error) if error.is_decided() => stored_refusal(&error, cx),
            Err(error) => return Err(error),
        };
        // An answer that cannot be kept is not given: asked again, the same key must get the same one.
        if let Some(kept) = response.copy().filter(|_| response.status != 202) {
            self.db.settle(cx, claim, kept).await?;
        }
        Ok(response)
    }
}
