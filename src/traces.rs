//! The exporter of traces: sends finished spans to a collector by OTLP over HTTP, as JSON.
//!
//! Spans are sent in batches. While the collector does not answer, the queue fills, and what finds no place is dropped
//! and counted; requests never wait. <https://opentelemetry.io/docs/specs/otlp/#otlphttp>

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use promox_kernel::trace::{Counts, FinishedSpan, SpanValue, Tracer};
use promox_kernel::{BackOff, Entropy, Node, Timestamp};
use promox_outbound::{HttpClient, Reach};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::exit::Exit;
use crate::http::Server;

/// Maximum spans that wait to be sent.
const QUEUE: usize = 8_192;
/// Maximum spans of one request to the collector.
const BATCH: usize = 512;
/// How long finished spans wait for others.
const LINGER: Duration = Duration::from_millis(500);
/// How long the collector may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a node that stops waits for the collector to take what is left.
const LAST: Duration = Duration::from_millis(500);
/// The pauses after failures.
const PAUSES: BackOff = BackOff { first: Duration::from_secs(1), doublings: 5 };

/// Sends finished spans to the collector.
#[derive(Debug)]
pub(crate) struct Exporter {
    client: HttpClient,
    url: String,
    service: String,
    spans: flume::Receiver<FinishedSpan>,
    counts: Arc<Counts>,
}

impl Exporter {
    /// Lets the node record traces if a collector is configured. Returns what sends them.
    pub(crate) fn start(settings: &Settings, node: &Arc<Node>, server: &Server) -> Result<Option<Self>, Exit> {
        let tracing = &settings.tracing;
        if tracing.otlp_url.is_empty() {
            return Ok(None);
        }
        let client = HttpClient::new(Reach::Anywhere).map_err(Exit::config)?;
        let (tracer, spans) = Tracer::new(node.clock.clone(), Entropy::system(), tracing.sample_percent, QUEUE);
        let counts = tracer.counts().clone();
        node.trace_with(tracer);
        server.metrics().collect(Box::new(SpanCollector(counts.clone())));
        let url = format!("{}/v1/traces", tracing.otlp_url.trim_end_matches('/'));
        let service = tracing.service_name.clone();
        Ok(Some(Self { client, url, service, spans, counts }))
    }

    /// Sends spans until the node stops, and then those that are left, once, as far as the collector takes them within
    /// [`LAST`]. The others are dropped.
    pub(crate) async fn run(self, closing: CancellationToken) {
        let mut sending = std::pin::pin!(self.send_all(&closing));
        tokio::select! {
            biased;
            () = &mut sending => return,
            () = closing.cancelled() => {}
        }
        if tokio::time::timeout(LAST, sending).await.is_err() {
            let left = self.spans.drain().count() as u64;
            self.counts.dropped.fetch_add(left, Ordering::Relaxed);
            tracing::warn!(url = self.url, "the collector did not take the last spans in time, which are dropped");
        }
    }

    async fn send_all(&self, closing: &CancellationToken) {
        let mut failures = 0;
        while let Some(Ok(first)) = closing.run_until_cancelled(self.spans.recv_async()).await {
            closing.run_until_cancelled(tokio::time::sleep(LINGER)).await;
            let batch = self.batch(first);
            failures = if self.send(batch).await { 0 } else { failures + 1 };
            if failures > 0 {
                closing.run_until_cancelled(tokio::time::sleep(PAUSES.after(failures))).await;
            }
        }
        while let Ok(first) = self.spans.try_recv() {
            if !self.send(self.batch(first)).await {
                return;
            }
        }
    }

    fn batch(&self, first: FinishedSpan) -> Vec<FinishedSpan> {
        let rest = std::iter::from_fn(|| self.spans.try_recv().ok());
        std::iter::once(first).chain(rest.take(BATCH - 1)).collect()
    }

    /// Sends a batch, which is dropped if the collector does not accept it. Returns whether it did.
    async fn send(&self, batch: Vec<FinishedSpan>) -> bool {
        let count = batch.len() as u64;
        let unsent = Unsent { counts: &self.counts, count };
        let body = Bytes::from(document(&self.service, &batch).to_string());
        let request = Request::post(&self.url).header("content-type", "application/json").body(body);
        let sent = async {
            let request = request.map_err(|error| error.to_string())?;
            match tokio::time::timeout(TIMEOUT, self.client.status_of(request)).await {
                Ok(Ok(status)) if status.is_success() => Ok(()),
                Ok(Ok(status)) => Err(format!("it answered {status}")),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("no answer within {} seconds", TIMEOUT.as_secs())),
            }
        };
        match sent.await {
            Ok(()) => {
                unsent.exported();
                true
            }
            Err(detail) => {
                tracing::warn!(
                    url = self.url,
                    detail,
                    spans = count,
                    "the collector did not accept spans, which are dropped"
                );
                false
            }
        }
    }
}

/// Spans of a batch, which count as dropped unless the collector accepts them, also if nobody waits for it any more.
struct Unsent<'a> {
    counts: &'a Counts,
    count: u64,
}

impl Unsent<'_> {
    fn exported(mut self) {
        let count = std::mem::take(&mut self.count);
        self.counts.exported.fetch_add(count, Ordering::Relaxed);
    }
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        self.counts.dropped.fetch_add(self.count, Ordering::Relaxed);
    }
}

/// The body of a request to the collector.
fn document(service: &str, spans: &[FinishedSpan]) -> Value {
    json!({"resourceSpans": [{
        "resource": {"attributes": [attribute("service.name", &service.into())]},
        "scopeSpans": [{
            "scope": {"name": "promox", "version": env!("CARGO_PKG_VERSION")},
            "spans": spans.iter().map(span).collect::<Vec<_>>(),
        }],
    }]})
}

/// A span by the JSON mapping of OTLP: ids in hexadecimal, 64-bit numbers as texts, enums as numbers.
fn span(span: &FinishedSpan) -> Value {
    let nanos = |at: Timestamp| (i128::from(at.0) * 1_000).to_string();
    let mut document = json!({
        "traceId": format!("{:032x}", span.trace),
        "spanId": format!("{:016x}", span.id),
        "name": span.name,
        "kind": span.kind as i32,
        "startTimeUnixNano": nanos(span.start),
        "endTimeUnixNano": nanos(span.end),
        "attributes": span.attributes.iter().map(|(name, value)| attribute(name, value)).collect::<Vec<_>>(),
        "status": {},
    });
    if let Some(members) = document.as_object_mut() {
        if let Some(parent) = span.parent {
            members.insert("parentSpanId".to_owned(), json!(format!("{parent:016x}")));
        }
        if let Some(message) = &span.failure {
            members.insert("status".to_owned(), json!({"code": 2, "message": message}));
        }
    }
    document
}

fn attribute(name: &str, value: &SpanValue) -> Value {
    let value = match value {
        SpanValue::Text(text) => json!({"stringValue": text}),
        SpanValue::Number(number) => json!({"intValue": number.to_string()}),
    };
    json!({"key": name, "value": value})
}

/// What became of spans, for Prometheus.
#[derive(Debug)]
struct SpanCollector(Arc<Counts>);

impl Collector for SpanCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Counts { exported, dropped } = &*self.0;
        for (name, help, count) in [
            ("trace_spans_exported", "Spans that the collector accepted", exported),
            ("trace_spans_dropped", "Spans dropped: the queue was full, or the collector did not accept them", dropped),
        ] {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            metric.encode_counter::<NoLabelSet, u64, f64>(&count.load(Ordering::Relaxed), None)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use promox_kernel::trace::SpanKind;

    use super::*;

    fn span(id: u64) -> FinishedSpan {
        FinishedSpan {
            trace: 1,
            id,
            parent: None,
            name: "order.place".to_owned(),
            kind: SpanKind::Internal,
            start: Timestamp::EPOCH,
            end: Timestamp::EPOCH,
            attributes: Vec::new(),
            failure: None,
        }
    }

    #[tokio::test]
    async fn a_collector_that_hangs_does_not_hold_up_a_stop() {
        // Connections are established and never answered.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let (queue, spans) = flume::bounded(QUEUE);
        (0..1_000).for_each(|id| queue.try_send(span(id)).unwrap());
        let client = HttpClient::new(Reach::Anywhere).unwrap();
        let counts = Arc::<Counts>::default();
        let exporter = Exporter { client, url, service: "promox".to_owned(), spans, counts: counts.clone() };
        let closing = CancellationToken::new();
        let stop = async {
            // The first batch is on its way.
            let connection = listener.accept().await.unwrap();
            closing.cancel();
            connection
        };
        // It would end by itself only after the collector's own time limit, twice.
        let both = async { tokio::join!(exporter.run(closing.clone()), stop) };
        tokio::time::timeout(TIMEOUT, both).await.unwrap();
        let of = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        assert_eq!((of(&counts.exported), of(&counts.dropped)), (0, 1_000));
    }
}
