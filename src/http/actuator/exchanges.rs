//! The last requests, for an operator who wants to see what arrives.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use promox_kernel::Timestamp;
use serde_json::{Value, json};

/// How many requests are kept.
const KEPT: usize = 100;
/// Maximum characters of a path that are kept.
const MAX_PATH: usize = 500;

/// One request with its response. Queries, bodies and credentials are not kept.
#[derive(Debug)]
struct Exchange {
    at: Timestamp,
    took: Duration,
    method: &'static str,
    path: String,
    client: IpAddr,
    status: u16,
    request_id: Arc<str>,
}

/// The last requests. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exchanges(Arc<Mutex<VecDeque<Exchange>>>);

impl Exchanges {
    /// Records a request that arrived at `at` and took `took`.
    pub(crate) fn record(
        &self,
        at: Timestamp,
        took: Duration,
        request: (&'static str, &str, IpAddr),
        status: u16,
        request_id: &Arc<str>,
    ) {
        let (method, path, client) = request;
        let path = path.chars().take(MAX_PATH).collect();
        let exchange = Exchange { at, took, method, path, client, status, request_id: request_id.clone() };
        let mut kept = self.0.lock();
        if kept.len() >= KEPT {
            kept.pop_back();
        }
        kept.push_front(exchange);
    }

    /// The document that Spring's tools expect.
    pub(crate) fn document(&self) -> Value {
        let view = |exchange: &Exchange| {
            let Exchange { at, took, method, path, client, status, request_id } = exchange;
            json!({
                "timestamp": at,
                "timeTaken": format!("PT{}.{:06}S", took.as_secs(), took.subsec_micros()),
                "principal": null,
                "session": null,
                "request": {"method": method, "uri": path, "remoteAddress": client, "headers": {}},
                "response": {"status": status, "headers": {"x-request-id": [request_id]}},
            })
        };
        json!({"exchanges": self.0.lock().iter().map(view).collect::<Vec<_>>()})
    }
}
