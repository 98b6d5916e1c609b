//! Idempotency keys, on the node of the service that owns the effect: the first decided reply is returned again, byte
//! for byte, and two requests with the same key never run at once.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use promox_contract::codes;
use promox_kernel::{Claim, Cx, Error, KeyKeeper, Response};
use promox_storage::{Db, Recall};

use crate::http::stored_refusal;

/// The header that marks a stored reply.
const REPLAYED: (&str, &str) = ("idempotent-replayed", "true");

/// The idempotency keys of one database's services: decided ones in its rows, running ones in memory.
#[derive(Clone)]
struct Keys {
    db: Db,
    running: Arc<Running>,
}

type Running = Mutex<HashSet<(String, String)>>;

/// Marks a key as running until it is dropped.
struct Turn {
    running: Arc<Running>,
    key: (String, String),
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.running.lock().remove(&self.key);
    }
}

/// The keys of the services whose tables are in this database.
pub(crate) fn keeper(db: Db) -> KeyKeeper {
    let keys = Keys { db, running: Arc::default() };
    Arc::new(move |cx, claim, work| {
        let keys = keys.clone();
        Box::pin(async move { keys.run(&cx, claim, work).await })
    })
}

impl Keys {
    /// Marks the claim's key as running, or fails if a request with the same key is running.
    fn begin(&self, claim: &Claim) -> Result<Turn, Error> {
        let key = (claim.caller.clone(), claim.key.clone());
        if self.running.lock().insert(key.clone()) {
            return Ok(Turn { running: self.running.clone(), key });
        }
        let message = "A request with this Idempotency-Key is in progress: retry when it has finished.";
        Err(Error::conflict(codes::IDEMPOTENCY_IN_PROGRESS, message).retry_after(1))
    }

    /// Returns the stored reply of the claim, or runs `work` within the deadline and stores the reply that it decides.
    async fn run(
        &self,
        cx: &Cx,
        claim: Arc<Claim>,
        work: impl Future<Output = Result<Response, Error>>,
    ) -> Result<Response, Error> {
        let _turn = self.begin(&claim)?;
        match self.db.recall(&claim).await? {
            Recall::Decided(response) => Ok(replayed(response)),
            Recall::OtherRequest => {
                let message = "This Idempotency-Key was used for a different request: use a new key.";
                Err(Error::refused(codes::IDEMPOTENCY_KEY_REUSED, message))
            }
            Recall::New | Recall::Undecided(_) => {
                let result = cx.in_time(work).await;
                let retried = claim.clone();
                match self.settle(cx, claim, result).await {
                    // Other work of the same request, such as a checkout in the background, may have decided it meanwhile.
                    Err(error) => match self.db.recall(&retried).await {
                        Ok(Recall::Decided(response)) => Ok(replayed(response)),
                        _ => Err(error),
                    },
                    response => response,
                }
            }
        }
    }

    /// The reply that the deciding transaction recorded, whatever happened after it; otherwise stores a decided reply.
    async fn settle(&self, cx: &Cx, claim: Arc<Claim>, result: Result<Response, Error>) -> Result<Response, Error> {
        if let Some(response) = claim.response() {
            return Ok(response);
        }
        let response = match result {
            Ok(response) => response,
            Err(error) if error.is_decided() => stored_refusal(&error, cx),
            Err(error) => return Err(error),
        };
        // A reply that cannot be stored is not sent: a retry with the same key must get the same one.
        if let Some(stored) = response.copy().filter(|_| response.status != 202)
            && let Some(first) = self.db.settle(cx, claim, stored).await?
        {
            return Ok(replayed(first));
        }
        Ok(response)
    }
}

/// A stored reply, marked as such.
fn replayed(mut response: Response) -> Response {
    response.headers.push((REPLAYED.0, REPLAYED.1.to_owned()));
    response
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;
    use std::time::Duration;

    use promox_kernel::{Clock, Content, Entropy, Kind, Node, Timestamp};
    use promox_storage::{Database, MemoryEngine, Tx};

    use super::*;

    fn reply(status: u16, body: &'static str) -> Response {
        Response { status, headers: Vec::new(), content: Content::Json(body.into()) }
    }

    #[tokio::test]
    async fn a_request_that_is_decided_elsewhere_while_it_runs_gets_that_reply() {
        let node = Node::new(Clock::manual(Timestamp::EPOCH), Entropy::seeded(1));
        let cx = Cx::system(&node, "test", Duration::from_secs(60));
        for (number, own) in
            [Ok(reply(201, "late")), Err(Kind::Conflict), Err(Kind::Unavailable)].into_iter().enumerate()
        {
            let db = MemoryEngine::new().database(Database::Ecommerce);
            let keys = Keys { db: db.clone(), running: Arc::default() };
            let claim = || {
                let (key, recorded) = (format!("k{number}"), OnceLock::new());
                Arc::new(Claim { caller: "anonymous".into(), key, fingerprint: [7; 32], status: 201, recorded })
            };
            let (first, other) = (claim(), claim());
            let begin = move |tx: &mut Tx<'_>| tx.claim(&first, 5);
            db.write(&cx, begin).await.unwrap();
            let (background, caller) = (db.clone(), cx.clone());
            let work = async move {
                let decide = move |tx: &mut Tx<'_>| tx.keep(&other, &reply(201, "first"));
                background.write(&caller, decide).await.unwrap();
                own.map_err(|kind| Error::new(kind, "REFUSED", "refused"))
            };
            for answer in
                [keys.run(&cx, claim(), work).await, keys.run(&cx, claim(), async { Ok(reply(201, "x")) }).await]
            {
                let answer = answer.unwrap();
                assert!(
                    matches!(&answer.content, Content::Json(body) if &body[..] == b"first"),
                    "{number}: {answer:?}"
                );
                assert_eq!(answer.headers, [(REPLAYED.0, REPLAYED.1.to_owned())]);
            }
        }
    }
}
