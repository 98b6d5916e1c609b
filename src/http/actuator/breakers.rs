//! The metrics of circuit breakers and of the gateway, under the names that Micrometer gives those of Resilience4j.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use promox_gateway::{BreakerCounts, BreakerState, Reported, Traffic};

/// The breaker of a service, an application or an instance.
struct Breaker {
    name: String,
    state: BreakerState,
    counts: BreakerCounts,
    figures: Reported,
}

/// Collects the state of all breakers.
#[derive(Debug)]
pub(crate) struct BreakerCollector(pub(crate) Arc<Traffic>);

impl BreakerCollector {
    /// Services by name, applications by `app:` and name, instances by those and their id.
    fn breakers(&self) -> Vec<Breaker> {
        let now: Duration = self.0.now();
        let policy = |name: String, policy: &promox_gateway::Policy| {
            let report = policy.report(now);
            Breaker { name, state: report.state, counts: report.counts, figures: report.figures }
        };
        let mut all: Vec<Breaker> =
            self.0.services().iter().map(|service| policy(service.name().to_owned(), service)).collect();
        for app in self.0.apps() {
            all.push(policy(format!("app:{}", app.name()), app.policy()));
            for instance in app.instances().iter() {
                let (report, name) = (instance.report(now), format!("app:{}:{}", app.name(), instance.id));
                all.push(Breaker { name, state: report.state, counts: report.counts, figures: report.figures });
            }
        }
        all
    }
}

/// A share in percent, rounded down; -1 without calls, as Resilience4j reports it.
fn percent(part: usize, all: usize) -> i64 {
    (part * 100).checked_div(all).map_or(-1, |percent| i64::try_from(percent).unwrap_or(i64::MAX))
}

/// A value of a breaker's window.
type Rate = fn(&BreakerCounts) -> i64;
/// A count of a breaker.
type Count = fn(&Breaker) -> u64;

impl Collector for BreakerCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let breakers = self.breakers();
        let help = "Whether the breaker is in this state";
        let mut metric =
            encoder.encode_descriptor("resilience4j_circuitbreaker_state", help, None, MetricType::Gauge)?;
        for breaker in &breakers {
            for state in BreakerState::ALL {
                let labels = [("name", breaker.name.as_str()), ("state", &state.as_str().to_lowercase())];
                metric.encode_family(&labels)?.encode_gauge(&u32::from(breaker.state == *state))?;
            }
        }
        let help = "Calls in the window of the breaker";
        let name = "resilience4j_circuitbreaker_buffered_calls";
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for breaker in &breakers {
            let BreakerCounts { buffered, failed, .. } = breaker.counts;
            for (kind, count) in [("failed", failed), ("successful", buffered - failed)] {
                let labels = [("name", breaker.name.as_str()), ("kind", kind)];
                metric.encode_family(&labels)?.encode_gauge(&u32::try_from(count).unwrap_or(u32::MAX))?;
            }
        }
        let rates: [(&str, &str, Rate); 2] = [
            ("resilience4j_circuitbreaker_failure_rate", "Failed calls in percent", |it| {
                percent(it.failed, it.buffered)
            }),
            ("resilience4j_circuitbreaker_slow_call_rate", "Slow calls in percent", |it| percent(it.slow, it.buffered)),
        ];
        for (name, help, rate) in rates {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for breaker in &breakers {
                metric.encode_family(&[("name", breaker.name.as_str())])?.encode_gauge(&rate(&breaker.counts))?;
            }
        }
        let counters: [(&str, &str, Count); 3] = [
            ("resilience4j_circuitbreaker_not_permitted_calls", "Calls that the breaker refused", |it| {
                it.counts.not_permitted
            }),
            ("promox_gateway_calls", "Calls of a service, an application or an instance", |it| it.figures.calls),
            ("promox_gateway_failed_calls", "Failed calls of a service, an application or an instance", |it| {
                it.figures.failures
            }),
        ];
        for (name, help, count) in counters {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for breaker in &breakers {
                let labels = [("name", breaker.name.as_str())];
                metric.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, f64>(&count(breaker), None)?;
            }
        }
        Ok(())
    }
}
