//! The encoding of calls between nodes: MessagePack with named members, so that nodes of different versions may have
//! different members. Times keep their microseconds, which the text form would drop.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::bind;
use crate::{Cx, Error, Node, Op, Principal, Timestamp};

/// Encodes a value for another node.
#[inline(never)]
pub(crate) fn encode(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    rmp_serde::to_vec_named(value).map_err(Error::internal)
}

/// Decodes a value from another node.
fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    bind::unpack(bytes)
}

/// Decodes a value and verifies that it encodes to the same bytes again, which proves that nothing was lost.
pub(crate) fn decode_checked<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let value = decode(bytes)?;
    if encode(&value)? == bytes {
        return Ok(value);
    }
    Err(Error::internal(format_args!("{} changes when it is encoded and decoded", std::any::type_name::<T>())))
}

/// How an internal operation and its reply are encoded and decoded.
pub struct Wire<O: Op> {
    pub(crate) encode: fn(&O) -> Result<Vec<u8>, Error>,
    pub(crate) decode: fn(&[u8]) -> Result<O, Error>,
    pub(crate) encode_reply: fn(&O::Reply) -> Result<Vec<u8>, Error>,
    pub(crate) decode_reply: fn(&[u8]) -> Result<O::Reply, Error>,
}

impl<O: Op> std::fmt::Debug for Wire<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(O::NAME)
    }
}

impl<O> Wire<O>
where
    O: Op<Reply: Serialize + DeserializeOwned> + Serialize,
{
    /// The encoding of every internal operation: MessagePack.
    #[allow(clippy::new_without_default, reason = "it is a constant")]
    pub const fn new() -> Self {
        Self {
            encode: |op| encode(op),
            decode: decode_checked,
            encode_reply: |reply| encode(reply),
            decode_reply: decode_checked,
        }
    }
}

/// The part of a request's context that is passed with a call. The idempotency key and `If-Match` belong to the first
/// operation alone.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Head {
    principal: Principal,
    cart_token: Option<Arc<str>>,
    order_token: Option<Arc<str>>,
    now: Timestamp,
    /// The time left until the deadline. A duration, because the clocks of two nodes may differ.
    left: Duration,
    ends_at: Timestamp,
    request_id: Arc<str>,
    traceparent: Option<Arc<str>>,
    client: Option<IpAddr>,
    accept: Option<Arc<str>>,
    accept_language: Option<Arc<str>>,
}

impl Head {
    /// The part of this context that a call carries.
    pub(crate) fn of(cx: &Cx) -> Self {
        Self {
            principal: cx.principal.clone(),
            cart_token: cx.cart_token.clone(),
            order_token: cx.order_token.clone(),
            now: cx.now,
            left: cx.deadline.saturating_duration_since(Instant::now()),
            ends_at: cx.ends_at,
            request_id: cx.request_id.clone(),
            traceparent: cx.traceparent.clone(),
            client: cx.client,
            accept: cx.accept.clone(),
            accept_language: cx.accept_language.clone(),
        }
    }

    /// The context of the call on the node that handles it.
    pub(crate) fn context(self, node: &Arc<Node>) -> Cx {
        Cx {
            principal: self.principal,
            cart_token: self.cart_token,
            order_token: self.order_token,
            now: self.now,
            deadline: Instant::now() + self.left,
            ends_at: self.ends_at,
            request_id: self.request_id,
            path: None,
            traceparent: self.traceparent,
            if_match: None,
            client: self.client,
            accept: self.accept,
            accept_language: self.accept_language,
            claim: None,
            node: node.clone(),
        }
    }
}
