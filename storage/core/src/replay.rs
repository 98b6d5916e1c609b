//! Idempotency keys. There is one row per caller and key, which contains the reply once that is decided.

use std::sync::Arc;
use std::time::Duration;

use promox_kernel::{Claim, Content, Cx, Error, Json, Reply, Response};

use crate::system::{KeptByHour, StoredReply};
use crate::{Before, Db, Lane, StoreError, Tx};

/// How long a key is stored, in hours. One hour is added to the promised 24, because times are rounded down to hours.
const KEPT_HOURS: i64 = 25;
/// How much longer an undecided key is stored, in hours.
const UNDECIDED_HOURS: i64 = 30 * 24;
/// Maximum keys removed in one batch.
const PRUNE_BATCH: usize = 1_000;

/// The state of an idempotency key.
#[derive(Debug)]
pub enum Recall {
    /// The key is new: the request may proceed.
    New,
    /// The same caller has used the key for a different request.
    OtherRequest,
    /// The key is claimed by work in progress and has no reply yet. The id identifies that work, such as an order.
    Undecided(i64),
    /// The request was decided with this reply.
    Decided(Response),
}

/// A reply that a transaction stores with an idempotency key.
#[derive(Debug)]
pub(crate) struct NewReply {
    caller: String,
    key: String,
    response: Response,
}

impl NewReply {
    /// Records the reply on the request that used the key. Does nothing if `claim` is of another request.
    pub(crate) fn record(self, claim: &Claim) {
        if claim.caller == self.caller && claim.key == self.key {
            let _ = claim.recorded.set(self.response);
        }
    }
}

impl Tx<'_> {
    /// Returns the state of a key.
    pub fn recall(&self, claim: &Claim) -> Result<Recall, StoreError> {
        let Some(stored) = self.get::<StoredReply>(&self.reply_key(claim))? else { return Ok(Recall::New) };
        if stored.fingerprint != claim.fingerprint {
            return Ok(Recall::OtherRequest);
        }
        Ok(match (stored.status, stored.subject) {
            (Some(status), _) => Recall::Decided(response_of(status, stored)),
            (None, Some(subject)) => Recall::Undecided(subject),
            (None, None) => Recall::New,
        })
    }

    /// Claims a key for work that spans several transactions. `subject` is the id of that work, such as an order.
    pub fn claim(&mut self, claim: &Claim, subject: i64) -> Result<(), StoreError> {
        let row = self.reply_row(claim, Some(subject));
        self.insert(&row)
    }

    /// Releases a claimed key after work that left no effect.
    pub fn unclaim(&mut self, claim: &Claim) -> Result<(), StoreError> {
        self.delete::<StoredReply>(&self.reply_key(claim)).map(drop)
    }

    /// Stores the reply of a decided request. When the transaction is durable, the reply is also recorded on the
    /// request.
    pub fn keep(&mut self, claim: &Claim, response: &Response) -> Result<(), StoreError> {
        let stored = self.get::<StoredReply>(&self.reply_key(claim))?;
        let mut row = self.reply_row(claim, stored.as_ref().and_then(|stored| stored.subject));
        row.status = Some(u32::from(response.status));
        row.headers = Json(response.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect());
        if let Content::Json(body) = &response.content {
            row.media_type = Some("application/json".to_owned());
            row.body = body.to_vec();
        } else if let Content::Bytes(media_type, body) = &response.content {
            row.media_type = Some((*media_type).to_owned());
            row.body = body.to_vec();
        }
        match stored {
            Some(stored) => self.put_changed(&Before::of(&stored), &row)?,
            None => self.put(&row)?,
        }
        if let Some(response) = response.copy() {
            self.set_reply(NewReply { caller: claim.caller.clone(), key: claim.key.clone(), response });
        }
        Ok(())
    }

    fn reply_key(&self, claim: &Claim) -> (u32, String, String) {
        (self.database().number(), claim.caller.clone(), claim.key.clone())
    }

    fn reply_row(&self, claim: &Claim, subject: Option<i64>) -> StoredReply {
        StoredReply {
            database: self.database().number(),
            caller: claim.caller.clone(),
            key: claim.key.clone(),
            hour: self.now().seconds() / 3600,
            fingerprint: claim.fingerprint.to_vec(),
            subject,
            status: None,
            headers: Json(Vec::new()),
            media_type: None,
            body: Vec::new(),
        }
    }
}

/// Builds the response from a stored reply.
fn response_of(status: u32, stored: StoredReply) -> Response {
    let names = ["etag", "location"];
    let headers = stored.headers.0.into_iter();
    let headers = headers.filter_map(|(name, value)| Some((*names.iter().find(|known| **known == name)?, value)));
    let content = match stored.media_type.as_deref() {
        Some("application/json") => Content::Json(stored.body.into()),
        Some(_) => Content::Bytes("application/problem+json", stored.body.into()),
        None => Content::Empty,
    };
    Response { status: u16::try_from(status).unwrap_or(500), headers: headers.collect(), content }
}

impl Db {
    /// Returns the state of a key.
    pub async fn recall(&self, claim: &Claim) -> Result<Recall, StoreError> {
        self.read(|tx| tx.recall(claim)).await
    }

    /// Stores a reply that no transaction of the operation has stored, such as a refusal or the reply of an operation
    /// without changes. If other work has decided the request in the meantime, its reply stays and is returned.
    pub async fn settle(&self, cx: &Cx, claim: Arc<Claim>, response: Response) -> Result<Option<Response>, StoreError> {
        let response = Arc::new(response);
        let settle = move |tx: &mut Tx<'_>| match tx.recall(&claim)? {
            Recall::Decided(first) => Ok(Some(first)),
            _ => tx.keep(&claim, &response).map(|()| None),
        };
        self.write(cx, settle).await
    }

    /// Runs a transaction whose result is the reply of the operation. The reply is stored with the request's
    /// idempotency key in the same transaction.
    pub async fn answer<T, F>(&self, cx: &Cx, work: F) -> Result<T, Error>
    where
        T: Reply,
        F: Fn(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    {
        let Some(claim) = cx.claim.clone() else { return self.write(cx, work).await };
        let with_reply = move |tx: &mut Tx<'_>| {
            let reply = work(tx)?;
            if let Some(response) = reply.stored_response(claim.status)? {
                tx.keep(&claim, &response)?;
            }
            Ok(reply)
        };
        self.write(cx, with_reply).await
    }

    /// Removes one batch of decided keys that are older than 24 hours. Returns whether there may be more.
    ///
    /// Undecided keys are kept for 30 more days, even if the clock jumps. Without its key, a repeated request would be
    /// executed again while the first one is still in progress.
    pub async fn prune_keys(&self, cx: &Cx) -> Result<bool, Error> {
        self.write_in(cx, Lane::Bulk, move |tx| {
            let oldest = (tx.now() - Duration::from_secs(3600 * KEPT_HOURS.unsigned_abs())).seconds() / 3600;
            let number = tx.database().number();
            let expired = |stored: &StoredReply| stored.status.is_some() || stored.hour < oldest - UNDECIDED_HOURS;
            let old = tx.scan_by::<KeptByHour>().prefix(number).before(oldest).rows();
            let old = old.filter(|row| row.as_ref().map_or(true, expired));
            let old: Vec<StoredReply> = old.take(PRUNE_BATCH).collect::<Result<_, _>>()?;
            for stored in &old {
                tx.delete::<StoredReply>(&(number, stored.caller.clone(), stored.key.clone()))?;
            }
            Ok::<_, Error>(old.len() == PRUNE_BATCH)
        })
        .await
    }
}
