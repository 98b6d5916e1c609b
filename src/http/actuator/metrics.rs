//! The server's metrics: atomic counters that requests update and reports sum up.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{self, DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use schemars::JsonSchema;
use serde::Serialize;

use super::process::ProcessCollector;

/// Statuses with a counter of their own; all others share one.
const STATUSES: [u16; 23] =
    [200, 201, 202, 204, 304, 400, 401, 402, 403, 404, 405, 406, 409, 412, 413, 415, 422, 429, 500, 502, 503, 504, 507];
/// Upper bounds of the latency buckets in microseconds.
const BOUNDS: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// The counters of one operation.
#[derive(Debug, Default)]
pub(crate) struct Operation {
    service: &'static str,
    name: &'static str,
    method: &'static str,
    path: &'static str,
    statuses: [Responses; STATUSES.len()],
    others: Responses,
    latencies: [AtomicU64; BOUNDS.len()],
    slower: AtomicU64,
}

/// The responses of an operation with one status.
#[derive(Debug, Default)]
struct Responses {
    count: AtomicU64,
    micros: AtomicU64,
}

impl Operation {
    /// Counts a response.
    pub(crate) fn record(&self, status: u16, took: Duration) {
        let status = STATUSES.iter().position(|known| *known == status);
        let status = status.and_then(|at| self.statuses.get(at)).unwrap_or(&self.others);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        status.count.fetch_add(1, Ordering::Relaxed);
        status.micros.fetch_add(micros, Ordering::Relaxed);
        let bucket = self.latencies.get(BOUNDS.partition_point(|bound| *bound < micros)).unwrap_or(&self.slower);
        bucket.fetch_add(1, Ordering::Relaxed);
    }

    fn responses(&self) -> impl Iterator<Item = (u16, &Responses)> {
        STATUSES.into_iter().zip(&self.statuses).chain([(0, &self.others)])
    }

    fn by_status(&self) -> impl Iterator<Item = (u16, u64)> {
        let counts = self.responses().map(|(status, responses)| (status, responses.count.load(Ordering::Relaxed)));
        counts.filter(|(_, count)| *count > 0)
    }

    /// The time that all requests took, in microseconds.
    fn micros(&self) -> u64 {
        self.responses().map(|(_, responses)| responses.micros.load(Ordering::Relaxed)).sum()
    }

    fn by_latency(&self) -> Vec<(u64, u64)> {
        let counts = BOUNDS.into_iter().zip(&self.latencies).chain([(u64::MAX, &self.slower)]);
        counts.map(|(bound, count)| (bound, count.load(Ordering::Relaxed))).collect()
    }
}

/// Statistics of one operation since the start.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationReport {
    pub(crate) operation: &'static str,
    pub(crate) service: &'static str,
    pub(crate) requests: u64,
    /// Responses with status 500 and above.
    pub(crate) errors: u64,
    /// An upper bound of the median latency in microseconds, or null above 10 seconds.
    pub(crate) p50_micros: Option<u64>,
    /// An upper bound of the 95th percentile of latencies in microseconds, or null above 10 seconds.
    pub(crate) p95_micros: Option<u64>,
    /// An upper bound of the 99th percentile of latencies in microseconds, or null above 10 seconds.
    pub(crate) p99_micros: Option<u64>,
}

/// The counters of the whole edge.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) connections: AtomicI64,
    pub(crate) accepted: AtomicU64,
    pub(crate) turned_away: AtomicU64,
    pub(crate) in_flight: AtomicI64,
    operations: Mutex<Vec<Arc<Operation>>>,
}

fn report(operation: &Operation) -> OperationReport {
    let latencies = operation.by_latency();
    let requests: u64 = operation.by_status().map(|(_, count)| count).sum();
    let errors = operation.by_status().filter(|(status, _)| *status >= 500).map(|(_, count)| count).sum();
    let percentile = |percent: u64| {
        let mut left = (requests * percent).div_ceil(100);
        let reached = latencies.iter().find(|(_, count)| {
            let here = *count >= left;
            left = left.saturating_sub(*count);
            here
        });
        reached.map(|(bound, _)| *bound).filter(|bound| *bound != u64::MAX)
    };
    OperationReport {
        operation: operation.name,
        service: operation.service,
        requests,
        errors,
        p50_micros: percentile(50),
        p95_micros: percentile(95),
        p99_micros: percentile(99),
    }
}

/// Everything that `/actuator/prometheus` shows. Clones share it.
#[derive(Clone)]
pub struct Metrics {
    pub(crate) traffic: Arc<Traffic>,
    registry: Arc<Mutex<Registry>>,
    /// Metrics whose names are not ours, so they have no prefix.
    common: Arc<Mutex<Registry>>,
    started: Instant,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.traffic.fmt(f)
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let traffic = Arc::new(Traffic::default());
        let mut registry = Registry::with_prefix("promox");
        registry.register_collector(Box::new(TrafficCollector(traffic.clone())));
        let mut common = Registry::default();
        common.register_collector(Box::new(ProcessCollector));
        let (registry, common) = (Arc::new(Mutex::new(registry)), Arc::new(Mutex::new(common)));
        Self { traffic, registry, common, started: Instant::now() }
    }

    /// Adds metrics of another part of the server, such as the engine, under the prefix `promox_`.
    pub fn collect(&self, collector: Box<dyn Collector>) {
        self.registry.lock().register_collector(collector);
    }

    /// Adds metrics whose names are those of another library.
    pub(crate) fn collect_unprefixed(&self, collector: Box<dyn Collector>) {
        self.common.lock().register_collector(collector);
    }

    /// Adds counters for an operation. Call this once per operation.
    pub(crate) fn operation(
        &self,
        service: &'static str,
        name: &'static str,
        method: &'static str,
        path: &'static str,
    ) -> Arc<Operation> {
        let operation = Arc::new(Operation { service, name, method, path, ..Operation::default() });
        self.traffic.operations.lock().push(operation.clone());
        operation
    }

    /// The time since the server was created.
    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Open connections and requests in progress.
    pub(crate) fn open(&self) -> (i64, i64) {
        (self.traffic.connections.load(Ordering::Relaxed), self.traffic.in_flight.load(Ordering::Relaxed))
    }

    /// Statistics of every operation that was called.
    pub(crate) fn report(&self) -> Vec<OperationReport> {
        let operations = self.traffic.operations.lock();
        operations.iter().map(|operation| report(operation)).filter(|report| report.requests > 0).collect()
    }

    /// All metrics in the text format of `OpenMetrics`.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encoding::text::encode_registry(&mut text, &self.registry.lock())?;
        encoding::text::encode_registry(&mut text, &self.common.lock())?;
        server_requests(&mut text, &self.traffic.operations.lock())?;
        encoding::text::encode_eof(&mut text)?;
        Ok(text)
    }
}

#[derive(Debug)]
struct TrafficCollector(Arc<Traffic>);

impl Collector for TrafficCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let traffic = &self.0;
        for (name, help, gauge) in [
            ("http_connections", "Open connections", &traffic.connections),
            ("http_requests_in_flight", "Requests in progress", &traffic.in_flight),
        ] {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            metric.encode_gauge(&gauge.load(Ordering::Relaxed))?;
        }
        for (name, help, counter) in [
            ("http_connections_accepted", "Connections accepted", &traffic.accepted),
            ("http_connections_turned_away", "Connections closed because the limit was reached", &traffic.turned_away),
        ] {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            metric.encode_counter::<NoLabelSet, u64, f64>(&counter.load(Ordering::Relaxed), None)?;
        }
        let operations = traffic.operations.lock();
        requests(&mut encoder, &operations)?;
        durations(&mut encoder, &operations)
    }
}

/// Micrometer's metric of requests, a summary, which the library does not have.
fn server_requests(text: &mut String, operations: &[Arc<Operation>]) -> fmt::Result {
    text.push_str(
        "# HELP http_server_requests_seconds Responses by operation and status.\n\
         # TYPE http_server_requests_seconds summary\n# UNIT http_server_requests_seconds seconds\n",
    );
    for operation in operations {
        let Operation { service, name, method, path, .. } = &**operation;
        for (status, responses) in operation.responses() {
            let count = responses.count.load(Ordering::Relaxed);
            if count == 0 {
                continue;
            }
            let seconds = Duration::from_micros(responses.micros.load(Ordering::Relaxed)).as_secs_f64();
            let status = if status == 0 { "other".to_owned() } else { status.to_string() };
            let outcome = match status.as_bytes().first() {
                Some(b'2') => "SUCCESS",
                Some(b'3') => "REDIRECTION",
                Some(b'4') => "CLIENT_ERROR",
                Some(b'5') => "SERVER_ERROR",
                _ => "UNKNOWN",
            };
            let labels = format!(
                r#"service="{service}",operation="{name}",method="{method}",uri="{path}",status="{status}",outcome="{outcome}""#
            );
            writeln!(text, "http_server_requests_seconds_count{{{labels}}} {count}")?;
            writeln!(text, "http_server_requests_seconds_sum{{{labels}}} {seconds}")?;
        }
    }
    Ok(())
}

fn requests(encoder: &mut DescriptorEncoder<'_>, operations: &[Arc<Operation>]) -> Result<(), fmt::Error> {
    let help = "Responses by operation and status";
    let mut metric = encoder.encode_descriptor("http_requests", help, None, MetricType::Counter)?;
    for operation in operations {
        for (status, count) in operation.by_status() {
            let status = if status == 0 { "other".to_owned() } else { status.to_string() };
            let labels = [("service", operation.service), ("operation", operation.name), ("status", &status)];
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, f64>(&count, None)?;
        }
    }
    Ok(())
}

fn durations(encoder: &mut DescriptorEncoder<'_>, operations: &[Arc<Operation>]) -> Result<(), fmt::Error> {
    let help = "Time from a request's head to its response";
    let unit = prometheus_client::registry::Unit::Seconds;
    let mut metric = encoder.encode_descriptor("http_request_duration", help, Some(&unit), MetricType::Histogram)?;
    for operation in operations {
        let latencies = operation.by_latency();
        let count = latencies.iter().map(|(_, count)| *count).sum();
        if count == 0 {
            continue;
        }
        let seconds =
            |micros: u64| if micros == u64::MAX { f64::INFINITY } else { Duration::from_micros(micros).as_secs_f64() };
        let buckets: Vec<(f64, u64)> = latencies.into_iter().map(|(bound, count)| (seconds(bound), count)).collect();
        let sum = Duration::from_micros(operation.micros()).as_secs_f64();
        let labels = [("service", operation.service), ("operation", operation.name)];
        metric.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_counted_by_status_and_latency() {
        let metrics = Metrics::new();
        let operation = metrics.operation("order", "order.place", "POST", "/api/orders");
        for (status, micros) in [(201, 90), (201, 100), (503, 3_000), (418, 20_000_000)] {
            operation.record(status, Duration::from_micros(micros));
        }
        let text = metrics.text().unwrap();
        for line in [
            r#"promox_http_requests_total{service="order",operation="order.place",status="201"} 2"#,
            r#"promox_http_requests_total{service="order",operation="order.place",status="other"} 1"#,
            r#"promox_http_request_duration_seconds_count{service="order",operation="order.place"} 4"#,
            r#"promox_http_request_duration_seconds_bucket{le="0.0001",service="order",operation="order.place"} 2"#,
            r#"promox_http_request_duration_seconds_bucket{le="+Inf",service="order",operation="order.place"} 4"#,
            "promox_http_connections 0",
            r#"http_server_requests_seconds_count{service="order",operation="order.place",method="POST",uri="/api/orders",status="201",outcome="SUCCESS"} 2"#,
            r#"status="201",outcome="SUCCESS"} 0.00019"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        let report = &metrics.report()[0];
        assert_eq!((report.requests, report.errors), (4, 1));
        assert_eq!((report.p50_micros, report.p95_micros), (Some(100), None));
    }
}
