//! Spans of distributed traces: what a node did for a request, when, and as part of what.
//!
//! A trace's context is W3C's `traceparent`, which [`Cx`](crate::Cx) carries. Without a [`Tracer`] no span is made, and a
//! context is passed on unchanged. Finished spans wait in a bounded queue for the exporter; those that find it full are
//! dropped and counted, so tracing never delays a request.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Clock, Entropy, Timestamp};

/// The kind of a span, by the numbers of OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Work inside the process.
    Internal = 1,
    /// The handling of a request.
    Server = 2,
    /// A request to another system.
    Client = 3,
}

/// The value of a span's attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpanValue {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
}

impl From<&str> for SpanValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u16> for SpanValue {
    fn from(number: u16) -> Self {
        Self::Number(i64::from(number))
    }
}

/// A finished span.
#[derive(Clone, Debug)]
pub struct FinishedSpan {
    /// The trace that it is part of.
    pub trace: u128,
    /// Its own id.
    pub id: u64,
    /// The span that caused it; `None` for the first of a trace.
    pub parent: Option<u64>,
    /// What was done, such as `order.place`.
    pub name: String,
    /// Its kind.
    pub kind: SpanKind,
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// Details, by the names of OpenTelemetry's conventions.
    pub attributes: Vec<(&'static str, SpanValue)>,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

/// Makes spans and hands finished ones to an exporter. Cheap to clone; clones share the queue.
#[derive(Clone, Debug)]
pub struct Tracer {
    queue: flume::Sender<FinishedSpan>,
    counts: Arc<Counts>,
    entropy: Entropy,
    clock: Clock,
    /// How many of 100 traces that begin here are recorded.
    percent: u64,
}

/// What became of finished spans.
#[derive(Debug, Default)]
pub struct Counts {
    /// Accepted by the collector.
    pub exported: AtomicU64,
    /// Dropped, because the queue was full or the collector did not accept them.
    pub dropped: AtomicU64,
}

/// The trace and the span that a `traceparent` names, and whether the trace is recorded.
fn read(traceparent: &str) -> Option<(u128, u64, bool)> {
    let mut parts = traceparent.split('-');
    let (_, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (trace, span) = (u128::from_str_radix(trace, 16).ok()?, u64::from_str_radix(span, 16).ok()?);
    let flags = u8::from_str_radix(flags, 16).ok()?;
    (trace != 0 && span != 0).then_some((trace, span, flags & 1 == 1))
}

impl Tracer {
    /// A tracer whose queue holds `capacity` spans, and the queue's other end. It records `percent` of 100 traces that
    /// begin here, and every trace that its caller records.
    pub fn new(clock: Clock, entropy: Entropy, percent: u32, capacity: usize) -> (Self, flume::Receiver<FinishedSpan>) {
        let (queue, receiver) = flume::bounded(capacity);
        let percent = u64::from(percent);
        (Self { queue, counts: Arc::default(), entropy, clock, percent }, receiver)
    }

    /// What became of finished spans.
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// Begins a span of the trace that `parent` names, or of a new one. `None` if the trace is not recorded.
    pub fn span(&self, parent: Option<&str>, kind: SpanKind, name: impl Into<String>) -> Option<Span> {
        let id = || u64::from_le_bytes(self.entropy.bytes()).max(1);
        let (trace, parent) = match parent.and_then(read) {
            Some((trace, parent, true)) => (trace, Some(parent)),
            None if self.entropy.below(100) < self.percent => ((u128::from(id()) << 64) | u128::from(id()), None),
            Some(_) | None => return None,
        };
        let start = self.clock.now();
        let (id, name) = (id(), name.into());
        let span =
            FinishedSpan { trace, id, parent, name, kind, start, end: start, attributes: Vec::new(), failure: None };
        let traceparent = format!("00-{trace:032x}-{id:016x}-01").into();
        Some(Span { record: Some(Box::new(span)), tracer: self.clone(), traceparent })
    }
}

/// A span that has begun. It ends when it is dropped.
#[derive(Debug)]
pub struct Span {
    record: Option<Box<FinishedSpan>>,
    tracer: Tracer,
    traceparent: Arc<str>,
}

impl Span {
    /// The context of what the span causes, as a `traceparent`.
    pub fn traceparent(&self) -> Arc<str> {
        self.traceparent.clone()
    }

    /// Names the span, once more is known than when it began.
    pub fn rename(&mut self, name: String) {
        if let Some(span) = &mut self.record {
            span.name = name;
        }
    }

    /// Adds a detail.
    pub fn set(&mut self, name: &'static str, value: impl Into<SpanValue>) {
        if let Some(span) = &mut self.record {
            span.attributes.push((name, value.into()));
        }
    }

    /// Notes that what the span is about has failed.
    pub fn fail(&mut self, why: impl Into<String>) {
        if let Some(span) = &mut self.record {
            span.failure = Some(why.into());
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let Some(mut span) = self.record.take() else { return };
        span.end = self.tracer.clock.now();
        if self.tracer.queue.try_send(*span).is_err() {
            self.tracer.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

tokio::task_local! {
    /// The span that the task works for, so that a client of other systems need not be told.
    static CURRENT: (Tracer, Arc<str>);
}

/// Does work for a span: requests to other systems become its children.
pub async fn within<T>(span: Option<&Span>, work: impl Future<Output = T>) -> T {
    match span {
        Some(span) => CURRENT.scope((span.tracer.clone(), span.traceparent()), work).await,
        None => work.await,
    }
}

/// Begins the span of a request to another system, if the task works for a span.
pub fn client_span(name: impl Into<String>) -> Option<Span> {
    let current = CURRENT.try_with(|(tracer, parent)| tracer.span(Some(parent.as_ref()), SpanKind::Client, name));
    current.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn tracer(percent: u32, capacity: usize) -> (Tracer, flume::Receiver<FinishedSpan>) {
        Tracer::new(Clock::manual(Timestamp::from_seconds(1)), Entropy::seeded(1), percent, capacity)
    }

    #[test]
    fn a_span_continues_the_trace_of_its_caller() {
        let (tracer, spans) = tracer(0, 8);
        let mut span = tracer.span(Some(PARENT), SpanKind::Server, "GET /x").unwrap();
        assert!(span.traceparent().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        assert!(span.traceparent().ends_with("-01"));
        span.set("http.response.status_code", 500);
        span.fail("INTERNAL");
        let child = tracer.span(Some(&span.traceparent()), SpanKind::Internal, "x.get").unwrap();
        let parent = read(&span.traceparent()).unwrap().1;
        drop(child);
        drop(span);
        let (child, span) = (spans.recv().unwrap(), spans.recv().unwrap());
        assert_eq!((child.trace, child.parent), (span.trace, Some(parent)));
        assert_eq!(
            (span.id, span.parent, span.failure.as_deref()),
            (parent, Some(0x00f0_67aa_0ba9_02b7), Some("INTERNAL"))
        );
    }

    #[test]
    fn only_recorded_traces_have_spans() {
        let (tracer, _spans) = tracer(100, 8);
        assert!(tracer.span(None, SpanKind::Server, "x").is_some());
        assert!(tracer.span(Some(&PARENT.replace("-01", "-00")), SpanKind::Server, "x").is_none());
        let broken = tracer.span(Some("00-zz-11-01"), SpanKind::Server, "x").unwrap();
        assert_eq!(broken.record.as_ref().unwrap().parent, None, "a new trace");
        let (none, _spans) = self::tracer(0, 8);
        assert!(none.span(None, SpanKind::Server, "x").is_none());
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let (tracer, spans) = tracer(100, 2);
        (0..5).for_each(|_| drop(tracer.span(None, SpanKind::Server, "x")));
        assert_eq!((spans.len(), tracer.counts().dropped.load(Ordering::Relaxed)), (2, 3));
    }

    #[tokio::test]
    async fn a_client_finds_the_span_that_its_task_works_for() {
        let (tracer, spans) = tracer(100, 8);
        assert!(client_span("GET example.com").is_none());
        let span = tracer.span(None, SpanKind::Internal, "order.place");
        within(span.as_ref(), async { drop(client_span("GET example.com")) }).await;
        within(None, async { assert!(client_span("x").is_none()) }).await;
        drop(span);
        let (client, span) = (spans.recv().unwrap(), spans.recv().unwrap());
        assert_eq!((client.kind, client.parent), (SpanKind::Client, Some(span.id)));
    }
}
