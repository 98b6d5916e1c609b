//! The body of a response on its way from an instance to the client.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use promox_gateway::Attempt;
use promox_kernel::Error;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::cluster::pool::{Connection, Pool};
use crate::http::wire::lease::AccessEnd;

/// What a response holds until it is complete: it counts as in flight, and its connection is then kept.
pub(crate) struct Held {
    pub(crate) connection: Option<Connection>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) attempt: Attempt,
}

/// The body of a response, passed on piece by piece.
pub(crate) struct Download {
    body: Incoming,
    held: Held,
    idle: Duration,
    /// Ends a response of which nothing comes any more. It is made when the first piece has to be waited for.
    watch: Option<Pin<Box<Sleep>>>,
    is_over: bool,
    /// Ends the response when its caller loses its access.
    end: Option<AccessEnd>,
    /// Anything else that lives as long as the response.
    guards: Vec<Box<dyn Send>>,
}

impl Download {
    /// A body that may pause for at most `idle` between two pieces.
    pub(crate) fn new(body: Incoming, held: Held, idle: Duration) -> Self {
        let is_over = body.is_end_stream();
        Self { body, held, idle, watch: None, is_over, end: None, guards: Vec::new() }
    }

    /// Keeps `guard` until the response is complete or given up.
    pub(crate) fn keep(&mut self, guard: Box<dyn Send>) {
        self.guards.push(guard);
    }

    /// Cuts the response off with `end`.
    pub(crate) fn end_with(&mut self, end: AccessEnd) {
        self.end = Some(end);
    }

    /// The id of the instance that it comes from.
    pub(crate) fn instance(&self) -> &str {
        &self.held.attempt.instance.id
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.end.as_mut().is_some_and(|end| end.as_mut().poll(cx).is_ready()) {
            self.end = None;
            return Poll::Ready(Some(Err(Error::internal(
                "the caller's access to a response, or its route, has ended",
            ))));
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.watch = None;
                self.is_over = self.body.is_end_stream();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                let instance = &*self.held.attempt.instance.id;
                tracing::debug!(instance, %error, "a response was cut short");
                Poll::Ready(Some(Err(Error::internal(error))))
            }
            Poll::Ready(None) => {
                self.is_over = true;
                Poll::Ready(None)
            }
            Poll::Pending => {
                let idle = self.idle;
                let watch = self.watch.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + idle)));
                std::task::ready!(watch.as_mut().poll(cx));
                Poll::Ready(Some(Err(Error::internal("an application sent nothing more of its response"))))
            }
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        // A response that was not read to its end leaves the rest on the connection.
        if let Some(connection) = self.held.connection.take().filter(|_| self.is_over) {
            self.held.pool.give(connection);
        }
    }
}
