//! Tracks the activity of a connection, so that an idle or slow one can be closed.
//!
//! The stream counts reads and writes; the service reports when a request's head is complete and when its response is
//! ready. A watcher checks four times per deadline. So a deadline may be exceeded by a quarter, but requests need no
//! timer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::upgrade::OnUpgrade;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The activity of one connection.
#[derive(Debug)]
pub(crate) struct Activity {
    opened: Instant,
    /// The number of reads and writes.
    moved: AtomicU64,
    /// When the current head began, in milliseconds after `opened` plus one, or 0 if none has begun.
    head_since: AtomicU64,
    running: AtomicU32,
    /// Whether any request used HTTP/2.
    multiplexed: AtomicBool,
    /// Whether all responses are flushed and no request has begun since.
    settled: AtomicBool,
    /// Whether any request used a version other than HTTP/1.1.
    other_version: AtomicBool,
    /// Whether the client may still be sending the body of a request that is answered.
    unread: AtomicBool,
}

impl Activity {
    /// The activity of a new connection, whose first head is due.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            moved: AtomicU64::new(0),
            head_since: AtomicU64::new(1),
            running: AtomicU32::new(0),
            multiplexed: AtomicBool::new(false),
            settled: AtomicBool::new(true),
            other_version: AtomicBool::new(false),
            unread: AtomicBool::new(false),
        })
    }

    /// Whether no request is running.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.load(Ordering::Relaxed) == 0
    }

    /// The activity of a connection that carries no requests any more.
    pub(crate) fn of_tunnel() -> Arc<Self> {
        let activity = Self::new();
        activity.head_since.store(0, Ordering::Relaxed);
        activity.multiplexed.store(true, Ordering::Relaxed);
        activity
    }

    /// The number of reads and writes so far.
    pub(crate) fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    /// Records that the connection has switched to another protocol. From then on it is never idle.
    pub(crate) fn switched(&self) {
        self.running.fetch_add(1, Ordering::Relaxed);
        self.other_version.store(true, Ordering::Relaxed);
    }

    /// Records that a request is answered before its body may have been read to its end.
    pub(crate) fn answered_early(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    /// Whether the client may still be sending the body of a request that is answered.
    pub(crate) fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    fn age(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Records a complete head. Its request counts as running until the returned guard is dropped.
    pub(crate) fn request(self: &Arc<Self>, version: http::Version) -> RunningRequest {
        if version == http::Version::HTTP_2 {
            self.multiplexed.store(true, Ordering::Relaxed);
        }
        if version != http::Version::HTTP_11 {
            self.other_version.store(true, Ordering::Relaxed);
        }
        self.settled.store(false, Ordering::Relaxed);
        self.unread.store(false, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        RunningRequest(self.clone())
    }

    /// Records that hyper has written all its output.
    pub(crate) fn flushed(&self) {
        if self.running.load(Ordering::Relaxed) == 0 {
            self.settled.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a response head that is written now belongs to no request: hyper could not read the request's head.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Relaxed) && !self.other_version.load(Ordering::Relaxed)
    }

    fn was_read(&self) {
        self.moved.fetch_add(1, Ordering::Relaxed);
        let waiting = self.running.load(Ordering::Relaxed) == 0 && self.head_since.load(Ordering::Relaxed) == 0;
        if waiting && !self.multiplexed.load(Ordering::Relaxed) {
            self.head_since.store(self.age() + 1, Ordering::Relaxed);
        }
    }

    fn was_written(&self) {
        self.moved.fetch_add(1, Ordering::Relaxed);
    }
}

/// A connection that may switch to another protocol, and what is held as long as it is open.
pub(crate) struct Switch {
    pub(crate) upgrade: OnUpgrade,
    pub(crate) held: Option<Held>,
}

/// What a connection holds as long as it is open.
#[derive(Clone)]
pub(crate) struct Held(pub(crate) Arc<dyn Send + Sync>);

impl Switch {
    /// Takes the connection from a request that asks for a switch.
    pub(crate) fn take(parts: &mut http::request::Parts) -> Option<Self> {
        let upgrade = parts.extensions.remove::<OnUpgrade>()?;
        Some(Self { upgrade, held: parts.extensions.remove::<Held>() })
    }
}

/// Counts a request as running until it is dropped.
pub(crate) struct RunningRequest(Arc<Activity>);

impl Drop for RunningRequest {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Checks whether a connection is overdue.
pub(crate) struct Watch {
    activity: Arc<Activity>,
    header: Duration,
    idle: Duration,
    moved: u64,
    idle_since: Instant,
}

impl Watch {
    pub(crate) fn new(activity: Arc<Activity>, header: Duration, idle: Duration) -> Self {
        Self { activity, header, idle, moved: 0, idle_since: Instant::now() }
    }

    /// The interval between checks.
    pub(crate) fn pause(&self) -> Duration {
        (self.header.min(self.idle) / 4).max(Duration::from_millis(5))
    }

    /// Whether a head is taking too long, or the connection has been idle for too long.
    pub(crate) fn is_overdue(&mut self) -> bool {
        let activity = &self.activity;
        let moved = activity.moved.load(Ordering::Relaxed);
        if moved != self.moved || activity.running.load(Ordering::Relaxed) > 0 {
            self.moved = moved;
            self.idle_since = Instant::now();
        }
        let since = activity.head_since.load(Ordering::Relaxed);
        let head = Duration::from_millis(activity.age().saturating_sub(since.saturating_sub(1)));
        (since > 0 && head > self.header) || self.idle_since.elapsed() > self.idle
    }
}

/// A stream that records its activity.
pub(crate) struct Tracked<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Tracked<S> {
    pub(crate) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tracked<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.was_read();
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> Tracked<S> {
    fn note(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(result, Poll::Ready(Ok(1..))) {
            self.activity.was_written();
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tracked<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(result)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note(result)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
