//! How long a stream may go on: no longer than its caller has access.
//!
//! A request is admitted once, but an event stream or a tunnel can outlive the token, the session, the API key or the role
//! that admitted it. So its caller is authenticated again every second, which is a look-up in memory.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use promox_contract::user::{Authenticate, Authenticated};
use promox_kernel::{Access, Cx};
use tokio::time::{Instant, sleep};

/// The pause between two checks, so that a stream ends at most this long, and one check, after its caller's access.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// The time limit of a check.
const CHECK_LIMIT: Duration = Duration::from_secs(5);

/// The access that the caller of a request was admitted by.
pub(crate) struct Lease {
    cx: Cx,
    token: String,
    access: Access,
}

/// Completes when a caller no longer has access, or when that cannot be told.
pub(crate) type AccessEnd = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Lease {
    /// The lease of the caller of `cx`, who sent `token` to something that requires `access`.
    pub(crate) fn new(cx: &Cx, token: String, access: Access) -> Self {
        Self { cx: cx.clone(), token, access }
    }

    /// Watches the access from now on.
    pub(crate) fn watch(self) -> AccessEnd {
        Box::pin(access_ended(self))
    }
}

async fn access_ended(lease: Lease) {
    let Lease { mut cx, token, access } = lease;
    // The checks are no part of the request's trace.
    cx.traceparent = None;
    loop {
        sleep(CHECK_EVERY).await;
        cx.now = cx.node.clock.now();
        cx.deadline = Instant::now() + CHECK_LIMIT;
        cx.ends_at = cx.now + CHECK_LIMIT;
        let request = Authenticate { token: token.clone(), leaving: access == Access::Account };
        let authenticated = cx.call(request).await.map(Authenticated::principal);
        let Ok(principal) = authenticated else { return };
        cx.principal = principal;
        if access.check(&cx).is_err() {
            return;
        }
    }
}
