//! The operations of the actuator.

use std::collections::BTreeMap;

use promox_kernel::{Download, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::document::{Document, Free};
use super::metrics::OperationReport;

/// The liveness path, which responds even before the node is ready.
pub(crate) const LIVENESS: &str = "/actuator/health/liveness";

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
    /// The addresses of the actuator.
    GetLinks => Document<Free>, "ops.links", "/actuator", Permission("ops:read"), "The addresses of the actuator.";
    /// Health of the server and its parts.
    GetHealth => Document<HealthView>, "ops.health", "/actuator/health", Anyone,
        "The server's health and that of its parts.", also [503];
    /// Liveness: whether the process must be restarted.
    GetLiveness => Document<HealthView>, "ops.liveness", "/actuator/health/liveness", Anyone,
        "Whether the process is alive.", also [503];
    /// Readiness: whether to send requests.
    GetReadiness => Document<HealthView>, "ops.readiness", "/actuator/health/readiness", Anyone, "Whether the server \
         takes requests.", also [503];
    /// Name, version, build and uptime.
    GetInfo => Document<InfoView>, "ops.info", "/actuator/info", Permission("ops:read"),
        "Name, version, build and uptime.";
    /// Statistics of all operations, and the names of all metrics.
    GetMetrics => Document<MetricsView>, "ops.metrics", "/actuator/metrics", Permission("ops:read"),
        "The names of all metrics, and requests, errors and latencies of every operation since the start.";
    /// All metrics as Prometheus reads them.
    GetPrometheus => Download, "ops.prometheus", "/actuator/prometheus", Anyone,
        "All metrics in the text format of OpenMetrics or of Prometheus 0.0.4.",
        sends ["application/openmetrics-text", "text/plain"];
    /// The current log levels.
    GetLoggers => Document<LoggersView>, "ops.loggers", "/actuator/loggers", Permission("ops:read"),
        "The current log levels.";
    /// The current settings.
    GetEnvironment => Document<Free>, "ops.env", "/actuator/env", Permission("ops:read"),
        "Every setting and its origin, secrets masked.";
    /// The current settings by section.
    GetProperties => Document<Free>, "ops.configprops", "/actuator/configprops", Permission("ops:read"),
        "Every setting by section, secrets masked.";
    /// All operations with their addresses.
    GetMappings => Document<Free>, "ops.mappings", "/actuator/mappings", Permission("ops:read"),
        "Every operation with its method and path.";
    /// The scheduled jobs.
    GetScheduledTasks => Document<Free>, "ops.scheduledtasks", "/actuator/scheduledtasks", Permission("ops:read"),
        "Every scheduled job with its interval and last run.";
    /// The last requests.
    GetExchanges => Document<Free>, "ops.httpexchanges", "/actuator/httpexchanges", Permission("ops:read"),
        "The last 100 requests, newest first, without queries, bodies and credentials.";
    /// The threads of the process.
    GetThreads => Document<Free>, "ops.threaddump", "/actuator/threaddump", Permission("ops:read"),
        "The threads of the process with their states. Stacks are not shown.";
}

/// Gets the health of a part.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct GetHealthComponent {
    /// The name of the part, such as `storage`.
    pub(crate) component: String,
}
promox_kernel::operation! {
    GetHealthComponent => Document<ComponentView>, "ops.health_component", Get "/actuator/health/{component}", Anyone,
    200, "The health of one part.", also [503]
}

/// Gets a metric.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct GetMetric {
    /// The name, such as `http.server.requests`.
    pub(crate) name: String,
    /// Only measurements with this tag, written `key:value`; several are separated by commas.
    #[serde(default)]
    pub(crate) tag: Option<String>,
}
promox_kernel::operation! {
    GetMetric => Document<MetricView>, "ops.metric", Get "/actuator/metrics/{name}", Permission("ops:read"), 200,
    "A metric, added up over the tags that are not given, and the tags that it has."
}

/// Gets the level of a logger.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct GetLogger {
    /// A target such as `promox::http`, or `ROOT`.
    pub(crate) name: String,
}
promox_kernel::operation! {
    GetLogger => Document<LoggerView>, "ops.logger", Get "/actuator/loggers/{name}", Permission("ops:read"), 200,
    "The level of a logger."
}

/// Changes a log level while the server runs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SetLogger {
    /// A target such as `promox::http`, or `ROOT`.
    pub(crate) name: String,
    /// The level, or null to use the level of `ROOT` again.
    #[serde(default)]
    pub(crate) configured_level: Option<Level>,
}
promox_kernel::operation! {
    SetLogger => (), "ops.set_logger", Post "/actuator/loggers/{name}", Permission("ops:write"), 204,
    "Changes a log level while the server runs."
}

/// Gets a setting.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct GetSetting {
    /// The key, such as `server.listen`.
    pub(crate) key: String,
}
promox_kernel::operation! {
    GetSetting => Document<Free>, "ops.env_setting", Get "/actuator/env/{key}", Permission("ops:read"), 200,
    "A setting and its origin; a secret is masked."
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
    pub(crate) status: State,
    /// The parts by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) components: BTreeMap<&'static str, ComponentView>,
    /// Other views of health, each at its own address below this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) groups: Vec<&'static str>,
}

/// Health of a part.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ComponentView {
    pub(crate) status: State,
    pub(crate) details: Free,
}

/// Name, version, build and uptime.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InfoView {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) now: Timestamp,
    pub(crate) uptime_seconds: u64,
    pub(crate) build: Build,
    /// The commit that was built; absent if the build did not state it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) git: Option<Git>,
    pub(crate) process: ProcessView,
}

/// The build.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Build {
    pub(crate) artifact: &'static str,
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// Whether it was built with optimisations.
    pub(crate) profile: &'static str,
}

/// The commit that was built.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Git {
    pub(crate) commit: Commit,
}

/// A commit.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Commit {
    pub(crate) id: &'static str,
}

/// The process.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProcessView {
    pub(crate) pid: u32,
    /// Cores that it may use.
    pub(crate) cpus: usize,
}

/// The names of all metrics, and statistics of all operations.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MetricsView {
    pub(crate) names: Vec<String>,
    pub(crate) connections: i64,
    pub(crate) in_flight: i64,
    pub(crate) operations: Vec<OperationReport>,
}

/// A metric.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MetricView {
    pub(crate) name: String,
    pub(crate) description: String,
    /// The unit, such as `seconds` or `bytes`; null if it has none.
    pub(crate) base_unit: Option<String>,
    pub(crate) measurements: Vec<Measurement>,
    pub(crate) available_tags: Vec<Tag>,
}

/// A measurement of a metric.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Measurement {
    /// `VALUE`, `COUNT` or `TOTAL_TIME`.
    pub(crate) statistic: &'static str,
    pub(crate) value: f64,
}

/// A tag of a metric.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Tag {
    pub(crate) tag: String,
    pub(crate) values: Vec<String>,
}

/// The current log levels.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LoggersView {
    pub(crate) levels: Vec<Level>,
    /// The levels by target. `ROOT` applies to all other targets.
    pub(crate) loggers: BTreeMap<String, LoggerView>,
    /// Groups of loggers, of which there are none.
    pub(crate) groups: Free,
}

/// The level of a logger.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LoggerView {
    /// Its own level; null if it has none.
    pub(crate) configured_level: Option<Level>,
    /// The level that applies.
    pub(crate) effective_level: Level,
}
