//! The process as Linux describes it, under the names that Prometheus and Micrometer use.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use serde_json::{Value, json};

/// The metrics of the process.
#[derive(Debug)]
pub(crate) struct ProcessCollector;

/// The fields of `/proc/self/stat` that follow the name.
struct Stat {
    fields: Vec<u64>,
}

impl Stat {
    fn read() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        // The name is in parentheses and may contain spaces.
        let (_, rest) = text.rsplit_once(')')?;
        Some(Self { fields: rest.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect() })
    }

    /// A field by its number in proc(5).
    fn field(&self, number: usize) -> u64 {
        number.checked_sub(3).and_then(|index| self.fields.get(index)).copied().unwrap_or(0)
    }
}

/// Seconds in clock ticks.
#[allow(clippy::float_arithmetic, reason = "Prometheus measures in seconds")]
fn seconds(ticks: u64) -> f64 {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    // Ticks of a process fit an f64 exactly for as long as anyone can wait.
    #[allow(clippy::cast_precision_loss, reason = "see above")]
    (ticks as f64 / per_second as f64)
}

/// When the machine started, in seconds since 1970.
fn boot_time() -> u64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("btime ")?.parse().ok()).unwrap_or(0)
}

/// Seconds since the machine started.
fn since_boot() -> f64 {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split_whitespace().next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0.0)
}

/// The soft limit of open files.
fn max_files() -> u64 {
    let text = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("Max open files"));
    line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok()).unwrap_or(0)
}

fn open_files() -> u64 {
    fs::read_dir("/proc/self/fd").map_or(0, |entries| u64::try_from(entries.count()).unwrap_or(0))
}

impl Collector for ProcessCollector {
    #[allow(clippy::float_arithmetic, reason = "Prometheus measures in seconds")]
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(stat) = Stat::read() else { return Ok(()) };
        let page = u64::try_from(rustix::param::page_size()).unwrap_or(4_096);
        let cpu = seconds(stat.field(14) + stat.field(15));
        #[allow(clippy::cast_precision_loss, reason = "seconds since 1970 fit an f64 exactly")]
        let start = boot_time() as f64 + seconds(stat.field(22));
        let mut metric =
            encoder.encode_descriptor("process_cpu_seconds", "Processor time used", None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, f64, f64>(&cpu, None)?;
        let help = "When the process started, in seconds since 1970";
        let mut metric = encoder.encode_descriptor("process_start_time_seconds", help, None, MetricType::Gauge)?;
        metric.encode_gauge(&start)?;
        let uptime = (since_boot() - seconds(stat.field(22))).max(0.0);
        let mut metric =
            encoder.encode_descriptor("process_uptime_seconds", "Time since the start", None, MetricType::Gauge)?;
        metric.encode_gauge(&uptime)?;
        for (name, help, value) in [
            ("process_cpus", "Cores that the process may use", u64::try_from(cpus()).unwrap_or(1)),
            ("process_resident_memory_bytes", "Memory in use", stat.field(24) * page),
            ("process_virtual_memory_bytes", "Address space in use", stat.field(23)),
            ("process_open_fds", "Open files and connections", open_files()),
            ("process_max_fds", "The limit of open files and connections", max_files()),
            ("process_threads", "Threads", stat.field(20)),
        ] {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}

/// The threads of the process in the shape of Spring's thread dump.
pub(crate) fn threads() -> Value {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let mut threads: Vec<Value> = tasks.filter_map(|task| thread(&task.path())).collect();
    threads.sort_by_key(|thread| thread["threadId"].as_u64());
    json!({ "threads": threads })
}

fn thread(task: &std::path::Path) -> Option<Value> {
    let id: u64 = task.file_name()?.to_str()?.parse().ok()?;
    let name = fs::read_to_string(task.join("comm")).ok()?;
    let stat = fs::read_to_string(task.join("stat")).ok()?;
    let state = match stat.rsplit_once(") ")?.1.chars().next()? {
        'R' => "RUNNABLE",
        'D' => "BLOCKED",
        'Z' | 'X' => "TERMINATED",
        _ => "WAITING",
    };
    Some(json!({
        "threadName": name.trim_end(),
        "threadId": id,
        "threadState": state,
        "blockedTime": -1,
        "blockedCount": 0,
        "waitedTime": -1,
        "waitedCount": 0,
        "lockName": null,
        "lockOwnerId": -1,
        "lockOwnerName": null,
        "daemon": false,
        "inNative": true,
        "suspended": false,
        "priority": 5,
        "stackTrace": [],
        "lockedMonitors": [],
        "lockedSynchronizers": [],
        "lockInfo": null,
    }))
}

/// Cores that the process may use.
pub(crate) fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_described() {
        let mut registry = prometheus_client::registry::Registry::default();
        registry.register_collector(Box::new(ProcessCollector));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for name in
            ["process_cpu_seconds_total ", "process_start_time_seconds ", "process_open_fds ", "process_max_fds "]
        {
            assert!(text.lines().any(|line| line.starts_with(name)), "{name}\n{text}");
        }
        let threads = threads();
        let own = threads["threads"].as_array().unwrap();
        assert!(own.iter().any(|thread| thread["threadState"] == "RUNNABLE"), "{threads}");
    }
}
