//! The embedded engine, configured by the settings, with its metrics and health.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use promox_embedded::{EmbeddedEngine, Metrics, OpenError, Options};
use promox_storage::Schema;
use serde_json::json;

use crate::config::{Settings, Shares};
use crate::exit::Exit;
use crate::http::Server;

/// The engine's options, from the settings.
pub fn options(settings: &Settings) -> Options {
    let (storage, mebi) = (&settings.storage, 1 << 20);
    let shares = Shares::of(storage);
    Options {
        page_bytes: shares.pages,
        table_bytes: shares.table,
        checkpoint_every: Duration::from_secs(storage.checkpoint_seconds),
        ..Options::new(&settings.data.dir).checkpoint_after(storage.checkpoint_mib.saturating_mul(mebi))
    }
}

/// Opens the store in the data directory.
pub(super) fn open(settings: &Settings, schema: Schema) -> Result<Arc<EmbeddedEngine>, Exit> {
    EmbeddedEngine::open(options(settings), schema).map_err(Exit::from)
}

/// Adds the engine's metrics and health to the server's. Neither keeps the engine open.
pub(super) fn observe(engine: &Arc<EmbeddedEngine>, server: &Server) {
    let weak = || Arc::downgrade(engine);
    let (scraped_engine, checked_engine, journaling_engine) = (weak(), weak(), weak());
    server
        .metrics()
        .collect(Box::new(EngineCollector(Box::new(move || scraped_engine.upgrade().map(|engine| engine.metrics())))));
    let health = move || {
        let metrics = checked_engine.upgrade().map(|engine| engine.metrics()).ok_or("the store is closed")?;
        if metrics.read_only {
            Err("the disk is full: reads continue, writes wait for space".to_owned())
        } else {
            Ok(health_details(&metrics))
        }
    };
    server.health().add("storage", Box::new(health));
    let journal = move || {
        let metrics = journaling_engine.upgrade().map(|engine| engine.metrics()).ok_or("the store is closed")?;
        Ok(json!({
            "groups": metrics.groups,
            "bytes": metrics.journal_bytes,
            "position": metrics.position,
            "lastSyncSeconds": metrics.last_sync.as_secs_f64(),
        }))
    };
    server.health().add("journal", Box::new(journal));
}

fn health_details(metrics: &Metrics) -> serde_json::Value {
    json!({
        "queueDepth": metrics.queue_depth,
        "position": metrics.position,
        "appliedPosition": metrics.applied_position,
        "checkpointAgeSeconds": checkpoint_age(metrics),
        "memoryTableBytes": metrics.memory_table_bytes,
    })
}

/// Seconds since the newest checkpoint, or 0 if the store has had none.
fn checkpoint_age(metrics: &Metrics) -> u64 {
    if metrics.checkpoints == 0 { 0 } else { metrics.checkpoint_age.as_secs() }
}

type Source = dyn Fn() -> Option<Metrics> + Send + Sync;

/// The engine's metrics for Prometheus.
struct EngineCollector(Box<Source>);

impl fmt::Debug for EngineCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the engine's metrics")
    }
}

impl Collector for EngineCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(metrics) = (self.0)() else { return Ok(()) };
        for (name, help, value) in counters(&metrics) {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            metric.encode_counter::<NoLabelSet, u64, f64>(&value, None)?;
        }
        let (help, spent) = ("Time spent writing and syncing the journal", metrics.sync_total.as_secs_f64());
        let mut metric = encoder.encode_descriptor("store_sync_seconds", help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, f64, f64>(&spent, None)?;
        for (name, help, span) in [
            ("store_last_sync_seconds", "Time spent on the latest group's sync", metrics.last_sync),
            ("store_last_checkpoint_seconds", "Time spent on the latest checkpoint", metrics.last_checkpoint),
        ] {
            encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&span.as_secs_f64())?;
        }
        for (name, help, value) in gauges(&metrics) {
            encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}

fn counters(metrics: &Metrics) -> [(&'static str, &'static str, u64); 6] {
    [
        ("store_groups", "Groups written", metrics.groups),
        ("store_transactions", "Transactions completed or refused", metrics.transactions),
        ("store_journal_bytes", "Bytes of journal written", metrics.journal_bytes),
        ("store_refused_busy", "Transactions refused because of a timeout or a full queue", metrics.refused_busy),
        ("store_refused_full", "Transactions refused because the disk was full", metrics.refused_full),
        ("store_checkpoints", "Checkpoints", metrics.checkpoints),
    ]
}

fn gauges(metrics: &Metrics) -> [(&'static str, &'static str, u64); 7] {
    [
        ("store_queue_depth", "Transactions waiting", metrics.queue_depth),
        ("store_last_group", "Transactions in the latest group", metrics.last_group),
        ("store_memory_table_bytes", "Bytes of committed rows in memory", metrics.memory_table_bytes),
        ("store_checkpoint_age_seconds", "Seconds since the latest checkpoint", checkpoint_age(metrics)),
        ("store_position", "The latest group's number", metrics.position),
        ("store_applied_position", "The latest group that the checkpoint contains", metrics.applied_position),
        ("store_read_only", "1 while the disk is full", u64::from(metrics.read_only)),
    ]
}

impl From<OpenError> for Exit {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Locked { .. } => Self::busy(error),
            OpenError::Damaged { .. }
            | OpenError::NoStore { .. }
            | OpenError::OtherLayout { .. }
            | OpenError::TooNew { .. }
            | OpenError::Duplicates { .. } => Self::data(error),
            OpenError::Io { .. } => Self::io(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(dir: &std::path::Path) -> Settings {
        let mut settings = Settings::default();
        dir.clone_into(&mut settings.data.dir);
        settings
    }

    #[test]
    fn the_settings_configure_the_engine() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path());
        let options = super::options(&settings);
        assert_eq!((options.page_bytes, options.checkpoint_bytes), (Shares::of(&settings.storage).pages, 8 << 20));
        let engine = open(&settings, Schema::new([]).unwrap()).unwrap();
        let collector = EngineCollector(Box::new(move || Some(engine.metrics())));
        let mut registry = prometheus_client::registry::Registry::default();
        registry.register_collector(Box::new(collector));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("store_read_only 0") && text.contains("store_checkpoints_total"), "{text}");
    }

    #[test]
    fn open_errors_map_to_exit_codes() {
        let damaged = OpenError::Damaged { file: "x".into(), offset: None, table: None, what: "torn".to_owned() };
        for (error, code) in [(OpenError::Locked { holder: "7".to_owned() }, 75), (damaged, 65)] {
            assert_eq!(format!("{:?}", Exit::from(error).code()), format!("{:?}", std::process::ExitCode::from(code)));
        }
    }
}
