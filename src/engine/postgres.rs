//! The engine on PostgreSQL, configured by the settings, with its metrics and health.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use promox_external::postgres::{Address, Load, Metrics, PostgresEngine, PostgresError, PostgresOptions};
use promox_kernel::Clock;
use promox_storage::Schema;
use serde_json::json;

use crate::cluster::trust;
use crate::config::{Settings, Shares};
use crate::exit::Exit;
use crate::http::Server;

/// The exit code of a node that has lost its databases to another: as of a data directory that another process uses.
const EXIT_TAKEN: i32 = 75;

/// Opens the store on the configured server.
pub(super) fn open(settings: &Settings, schema: &Schema) -> Result<Arc<PostgresEngine>, Exit> {
    PostgresEngine::open(&options(settings)?, schema).map_err(Exit::from)
}

/// Begins to fill the configured databases, which must be empty.
pub(super) fn load(settings: &Settings, schema: Schema) -> Result<Load, Exit> {
    Load::begin(&options(settings)?, schema).map_err(Exit::from)
}

/// The engine's options, from the settings.
fn options(settings: &Settings) -> Result<PostgresOptions, Exit> {
    let postgres = &settings.postgres;
    let (address, user) =
        Address::from_url(&postgres.url).map_err(|what| Exit::config(format_args!("postgres.url {what}")))?;
    let tls = if postgres.tls {
        let roots = &postgres.roots;
        let failed = |why: String| Exit::config(format_args!("postgres.roots: {why}"));
        Some(Arc::new(trust::client_config(roots, &[]).map_err(failed)?))
    } else {
        None
    };
    let shares = Shares::of(&settings.storage);
    Ok(PostgresOptions {
        password: Some(postgres.password.clone()).filter(|password| !password.is_empty()),
        databases: [postgres.ecommerce_db.clone(), postgres.promox_db.clone()],
        tls,
        readers: postgres.readers,
        // What the embedded engine uses for its pages and its table is for rows here.
        cache_bytes: usize::midpoint(shares.pages, shares.table),
        statement_timeout: Duration::from_millis(postgres.timeout_ms),
        clock: Clock::real(Clock::wall()),
        node: settings.server.listen.to_string(),
        // Sagas, jobs and idempotency keys are not divided among nodes yet.
        exclusive: true,
        on_stop: Arc::new(|| {
            eprintln!("promox: another node has taken over the databases");
            std::process::exit(EXIT_TAKEN);
        }),
        ..PostgresOptions::new(address, &user)
    })
}

impl From<PostgresError> for Exit {
    fn from(error: PostgresError) -> Self {
        match error {
            PostgresError::Unreachable { .. } => Self::io(error),
            PostgresError::InUse { .. } => Self::busy(error),
            PostgresError::Unsuitable { .. } => Self::config(error),
            PostgresError::Schema { .. } => Self::data(error),
        }
    }
}

/// Adds the engine's metrics and health to the server's. Neither keeps the engine open.
pub(super) fn observe(engine: &Arc<PostgresEngine>, server: &Server) {
    let (scraped, checked) = (Arc::downgrade(engine), Arc::downgrade(engine));
    server.metrics().collect(Box::new(EngineCollector(Box::new(move || scraped.upgrade().map(|it| it.metrics())))));
    let health = move || {
        let engine = checked.upgrade().ok_or("the store is closed")?;
        let state = engine.health()?;
        let metrics = engine.metrics();
        Ok(json!({
            "server": state.version,
            "roundTripSeconds": state.round_trip.as_secs_f64(),
            "synchronousStandby": state.synchronous_standby,
            "nodes": state.nodes,
            "queueDepth": metrics.queue_depth,
            "cachedBytes": metrics.cached_bytes,
        }))
    };
    server.health().add("storage", Box::new(health));
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
        for (name, help, value) in [
            ("store_groups", "Groups committed", metrics.groups),
            ("store_transactions", "Transactions completed or refused", metrics.transactions),
            ("store_round_trips", "Round trips to the database server", metrics.round_trips),
            ("store_reruns", "Transactions that ran again because another node had committed", metrics.reruns),
            ("store_refused_busy", "Transactions refused because of a timeout or a full queue", metrics.refused_busy),
            ("store_reconnects", "Attempts to connect to the database server again", metrics.reconnects),
        ] {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            metric.encode_counter::<NoLabelSet, u64, f64>(&value, None)?;
        }
        for (name, help, value) in [
            ("store_queue_depth", "Transactions waiting", metrics.queue_depth),
            ("store_cached_bytes", "Bytes of rows in memory", metrics.cached_bytes),
        ] {
            encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}
