//! The actuator: health, build, metrics, log levels and settings of the server, as ordinary operations.

use std::collections::BTreeMap;
use std::sync::Arc;

use promox_kernel::{Cx, Download, Error, Handle, Registry, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::Setting;
use crate::http::actuator::health::Health;
use crate::http::actuator::metrics::{Metrics, OperationReport};
use crate::log::Levels;

/// The state that the actuator reports.
pub(crate) struct Parts {
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
    pub(crate) levels: Levels,
    pub(crate) settings: Vec<Setting>,
}

/// The liveness path, which responds even before the node is ready.
pub(crate) const LIVENESS: &str = "/actuator/health/liveness";

/// The service `ops`.
pub(crate) struct Actuator {
    parts: Parts,
}

/// Declares operations without fields.
macro_rules! queries {
    ($($(#[$meta:meta])* $name:ident => $reply:ty, $op:literal, $path:literal, $access:expr, $summary:literal $(, $word:ident $list:tt)*;)+) => {$(
        $(#[$meta])*
        #[derive(Debug, Deserialize, JsonSchema)]
        pub(crate) struct $name {}
        promox_kernel::operation! { $name => $reply, $op, Get $path, $access, 200, $summary $(, $word $list)* }
    )+};
}

queries! {
    /// Health of the server and its parts.
    GetHealth => HealthView, "ops.health", "/actuator/health", Anyone, "The server's health and that of its parts.",
        also [503];
    /// Liveness: whether the process must be restarted.
    GetLiveness => HealthView, "ops.liveness", "/actuator/health/liveness", Anyone, "Whether the process is alive.",
        also [503];
    /// Readiness: whether to send requests.
    GetReadiness => HealthView, "ops.readiness", "/actuator/health/readiness", Anyone, "Whether the server \
         takes requests.", also [503];
    /// Name, version and uptime.
    GetInfo => InfoView, "ops.info", "/actuator/info", Permission("ops:read"), "Name, version and uptime.";
    /// Statistics of all operations.
    GetMetrics => MetricsView, "ops.metrics", "/actuator/metrics", Permission("ops:read"),
        "Requests, errors and latencies of every operation since the start.";
    /// All metrics in OpenMetrics text.
    GetPrometheus => Download, "ops.prometheus", "/actuator/prometheus", Anyone, "All metrics in OpenMetrics text.",
        sends ["application/openmetrics-text"];
    /// The current log levels.
    GetLoggers => LoggersView, "ops.loggers", "/actuator/loggers", Permission("ops:read"), "The current log levels.";
    /// The current settings.
    GetEnvironment => EnvironmentView, "ops.env", "/actuator/env", Permission("ops:read"),
        "Every setting and its origin, secrets masked.";
}

/// Changes a log level while the server runs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SetLogger {
    /// A target such as `promox::http`, or `root`.
    logger: String,
    /// The level, or null to use the root's again.
    #[serde(default)]
    level: Option<Level>,
}
promox_kernel::operation! {
    SetLogger => LoggersView, "ops.set_logger", Post "/actuator/loggers", Permission("ops:read"), 200,
    "Changes a log level while the server runs."
}

promox_kernel::text_enum! {
    /// A log level.
    Level { Off = "OFF", Error = "ERROR", Warn = "WARN", Info = "INFO", Debug = "DEBUG", Trace = "TRACE" }
}

promox_kernel::text_enum! {
    /// A health status.
    State { Up = "UP", Down = "DOWN" }
}

/// Health of the server and its parts.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HealthView {
    status: State,
    /// The parts by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    components: BTreeMap<&'static str, ComponentView>,
}

/// Health of a part.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ComponentView {
    status: State,
    details: Value,
}

/// Name, version and uptime.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InfoView {
    name: &'static str,
    version: &'static str,
    now: Timestamp,
    uptime_seconds: u64,
}

/// Statistics of all operations.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MetricsView {
    connections: i64,
    in_flight: i64,
    operations: Vec<OperationReport>,
}

/// The current log levels.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LoggersView {
    levels: Vec<Level>,
    /// The levels by target. `root` applies to all other targets.
    loggers: BTreeMap<String, String>,
}

/// The current settings.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EnvironmentView {
    settings: Vec<SettingView>,
}

/// A setting.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SettingView {
    key: String,
    value: String,
    origin: String,
}

promox_kernel::json_reply!(InfoView, MetricsView, LoggersView, EnvironmentView);
promox_kernel::json_reply!(HealthView, status http_status);

impl HealthView {
    fn of(up: bool) -> Self {
        Self { status: if up { State::Up } else { State::Down }, components: BTreeMap::new() }
    }

    fn http_status(&self) -> Option<u16> {
        (self.status == State::Down).then_some(503)
    }
}

impl Actuator {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self { parts })
    }

    pub(crate) fn register(self: &Arc<Self>, registry: &mut Registry) {
        promox_kernel::register!(registry, self;
            GetHealth, GetLiveness, GetReadiness, GetInfo, GetMetrics, GetPrometheus, GetLoggers, SetLogger,
            GetEnvironment);
    }

    fn loggers(&self) -> LoggersView {
        LoggersView { levels: Level::ALL.to_vec(), loggers: self.parts.levels.list() }
    }
}

impl Handle<GetHealth> for Actuator {
    async fn handle(&self, _: &Cx, _: GetHealth) -> Result<HealthView, Error> {
        let checked = self.parts.health.check();
        let up = self.parts.health.is_ready() && checked.values().all(Result::is_ok);
        let component = |result| match result {
            Ok(details) => ComponentView { status: State::Up, details },
            Err(fault) => ComponentView { status: State::Down, details: Value::String(fault) },
        };
        let components = checked.into_iter().map(|(name, result)| (name, component(result))).collect();
        Ok(HealthView { components, ..HealthView::of(up) })
    }
}

impl Handle<GetLiveness> for Actuator {
    async fn handle(&self, _: &Cx, _: GetLiveness) -> Result<HealthView, Error> {
        Ok(HealthView::of(true))
    }
}

impl Handle<GetReadiness> for Actuator {
    async fn handle(&self, _: &Cx, _: GetReadiness) -> Result<HealthView, Error> {
        Ok(HealthView::of(self.parts.health.is_ready()))
    }
}

impl Handle<GetInfo> for Actuator {
    async fn handle(&self, cx: &Cx, _: GetInfo) -> Result<InfoView, Error> {
        let uptime_seconds = self.parts.metrics.uptime().as_secs();
        Ok(InfoView { name: "promox", version: env!("CARGO_PKG_VERSION"), now: cx.now, uptime_seconds })
    }
}

impl Handle<GetMetrics> for Actuator {
    async fn handle(&self, _: &Cx, _: GetMetrics) -> Result<MetricsView, Error> {
        let (connections, in_flight) = self.parts.metrics.open();
        Ok(MetricsView { connections, in_flight, operations: self.parts.metrics.report() })
    }
}

impl Handle<GetPrometheus> for Actuator {
    async fn handle(&self, _: &Cx, _: GetPrometheus) -> Result<Download, Error> {
        let text = self.parts.metrics.text().map_err(Error::internal)?;
        Ok(Download::bytes("application/openmetrics-text; version=1.0.0; charset=utf-8", text))
    }
}

impl Handle<GetLoggers> for Actuator {
    async fn handle(&self, _: &Cx, _: GetLoggers) -> Result<LoggersView, Error> {
        Ok(self.loggers())
    }
}

impl Handle<SetLogger> for Actuator {
    async fn handle(&self, _: &Cx, op: SetLogger) -> Result<LoggersView, Error> {
        let name = op.logger.trim();
        let is_target = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'-');
        if name.is_empty() || name.len() > 200 || !name.bytes().all(is_target) {
            return Err(Error::field("/logger", "must be a target such as promox::http, or root"));
        }
        let level = op.level.and_then(|level| level.as_str().to_lowercase().parse().ok());
        if self.parts.levels.set(name, level) {
            return Ok(self.loggers());
        }
        Err(Error::field("/level", "root needs a level, and logging must be on"))
    }
}

impl Handle<GetEnvironment> for Actuator {
    async fn handle(&self, _: &Cx, _: GetEnvironment) -> Result<EnvironmentView, Error> {
        let view = |setting: &Setting| SettingView {
            key: setting.key.clone(),
            value: setting.value.clone(),
            origin: setting.origin.to_string(),
        };
        Ok(EnvironmentView { settings: self.parts.settings.iter().map(view).collect() })
    }
}
