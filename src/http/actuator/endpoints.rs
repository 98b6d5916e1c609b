//! The actuator: health, build, metrics, log levels, settings and state of the server, as ordinary operations.

use std::collections::BTreeMap;
use std::sync::Arc;

use promox_kernel::{Cx, Download, Error, Handle, Registry};
use serde_json::{Value, json};

use super::api::{
    Build, Commit, ComponentView, GetEnvironment, GetExchanges, GetHealth, GetHealthComponent, GetInfo, GetLinks,
    GetLiveness, GetLogger, GetLoggers, GetMappings, GetMetric, GetMetrics, GetPrometheus, GetProperties, GetReadiness,
    GetScheduledTasks, GetSetting, GetThreads, Git, HealthView, InfoView, Level, LoggerView, LoggersView, MetricView,
    MetricsView, ProcessView, SetLogger, State,
};
use super::document::{Document, Free};
use super::exchanges::Exchanges;
use super::health::{Checked, Health};
use super::metrics::Metrics;
use super::{environment, mappings, meters, process};
use crate::config::Setting;
use crate::job_log::JobLog;
use crate::log::{Levels, ROOT};

/// The text format of OpenMetrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The text format of Prometheus that came before it.
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The commit that was built, if the build states it.
const COMMIT: Option<&str> = option_env!("PROMOX_COMMIT");

/// The state that the actuator reports.
pub(crate) struct Parts {
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
    pub(crate) levels: Levels,
    pub(crate) settings: Vec<Setting>,
    pub(crate) exchanges: Exchanges,
    pub(crate) jobs: JobLog,
    /// The address at which clients reach the server.
    pub(crate) public_url: String,
}

/// The actuator of the service `ops`.
pub(crate) struct Actuator {
    parts: Parts,
}

impl Actuator {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self { parts })
    }

    pub(crate) fn register(self: &Arc<Self>, registry: &mut Registry) {
        promox_kernel::register!(registry, self;
            GetLinks, GetHealth, GetLiveness, GetReadiness, GetHealthComponent, GetInfo, GetMetrics, GetMetric,
            GetPrometheus, GetLoggers, GetLogger, SetLogger, GetEnvironment, GetSetting, GetProperties, GetMappings,
            GetScheduledTasks, GetExchanges, GetThreads);
    }
}

fn state(up: bool) -> State {
    if up { State::Up } else { State::Down }
}

/// 503 for a part, or a server, that is down.
fn health_status(state: State) -> Option<u16> {
    (state == State::Down).then_some(503)
}

fn health(cx: &Cx, up: bool) -> Result<Document<HealthView>, Error> {
    let view = HealthView { status: state(up), components: BTreeMap::new(), groups: Vec::new() };
    let status = health_status(view.status);
    Ok(Document::of(cx, view)?.with_status(status))
}

/// The state of a part. Spring's tools expect its details as an object.
fn component(checked: Checked) -> ComponentView {
    match checked {
        Ok(details) => ComponentView { status: State::Up, details: Free(details) },
        Err(fault) => ComponentView { status: State::Down, details: Free(json!({ "error": fault })) },
    }
}

impl Handle<GetLinks> for Actuator {
    async fn handle(&self, cx: &Cx, _: GetLinks) -> Result<Document<Free>, Error> {
        Document::of(cx, Free(mappings::links(cx.node.registry()?, &self.parts.public_url)))
    }
}

impl Handle<GetHealth> for Actuator {
    async fn handle(&self, cx: &Cx, _: GetHealth) -> Result<Document<HealthView>, Error> {
        let checked = self.parts.health.check().await;
        let up = self.parts.health.is_ready() && checked.values().all(Result::is_ok);
        let components = checked.into_iter().map(|(name, checked)| (name, component(checked))).collect();
        let view = HealthView { status: state(up), components, groups: vec!["liveness", "readiness"] };
        let status = health_status(view.status);
        Ok(Document::of(cx, view)?.with_status(status))
    }
}

impl Handle<GetLiveness> for Actuator {
    async fn handle(&self, cx: &Cx, _: GetLiveness) -> Result<Document<HealthView>, Error> {
        health(cx, true)
    }
}

impl Handle<GetReadiness> for Actuator {
    async fn handle(&self, cx: &Cx, _: GetReadiness) -> Result<Document<HealthView>, Error> {
        health(cx, self.parts.health.is_ready())
    }
}

impl Handle<GetHealthComponent> for Actuator {
    async fn handle(&self, cx: &Cx, op: GetHealthComponent) -> Result<Document<ComponentView>, Error> {
        let checked = self.parts.health.check_one(&op.component).await;
        let view = component(checked.ok_or_else(|| Error::not_found("part"))?);
        let status = health_status(view.status);
        Ok(Document::of(cx, view)?.with_status(status))
    }
}

impl Handle<GetInfo> for Actuator {
    async fn handle(&self, cx: &Cx, _: GetInfo) -> Result<Document<InfoView>, Error> {
        let (name, version) = ("promox", env!("CARGO_PKG_VERSION"));
        let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
        let view = InfoView {
            name,
            version,
            now: cx.now,
            uptime_seconds: self.parts.metrics.uptime().as_secs(),
            build: Build { artifact: name, name, version, profile },
            git: COMMIT.map(|id| Git { commit: Commit { id } }),
            process: ProcessView { pid: std::process::id(), cpus: process::cpus() },
        };
        Document::of(cx, view)
    }
}

impl Handle<GetMetrics> for Actuator {
    async fn handle(&self, cx: &Cx, _: GetMetrics) -> Result<Document<MetricsView>, Error> {
        let (connections, in_flight) = self.parts.metrics.open();
        let names = meters::names(&self.parts.metrics.text().map_err(Error::internal)?);
        Document::of(cx, MetricsView { names, connections, in_flight, operations: self.parts.metrics.report() })
    }
}

impl Handle<GetMetric> for Actuator {
    async fn handle(&self, cx: &Cx, op: GetMetric) -> Result<Document<MetricView>, Error> {
        let text = self.parts.metrics.text().map_err(Error::internal)?;
        let view = meters::one(&text, &op.name, op.tag.as_deref().unwrap_or_default())?;
        Document::of(cx, view.ok_or_else(|| Error::not_found("metric"))?)
    }
}

impl Handle<GetPrometheus> for Actuator {
    async fn handle(&self, cx: &Cx, _: GetPrometheus) -> Result<Download, Error> {
        let text = self.parts.metrics.text().map_err(Error::internal)?;
        match cx.prefers(&[OPEN_METRICS, PLAIN])? {
            PLAIN => Ok(Download::bytes(PLAIN, super::exposition::plain(&text))),
            _ => Ok(Download::bytes(OPEN_METRICS, text)),
        }
    }
}

/// A level of the log as the actuator names it.
fn level(name: &str) -> Option<Level> {
    name.to_uppercase().parse().ok()
}

/// The name of a logger here for its name in a request: Spring's tools write `ROOT`.
fn target(name: &str) -> Result<&str, Error> {
    let is_target = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'-' | b'.');
    if name.eq_ignore_ascii_case(ROOT) {
        return Ok(ROOT);
    }
    if name.is_empty() || name.len() > 200 || !name.bytes().all(is_target) {
        return Err(Error::field("/name", "must be a target such as promox::http, or ROOT"));
    }
    Ok(name)
}

/// The level of a logger among those that have one of their own: its own, or that of the longest name before it.
fn logger(levels: &BTreeMap<String, String>, name: &str) -> LoggerView {
    let configured_level = levels.get(name).and_then(|text| level(text));
    let above = levels.iter().filter(|(target, _)| name.starts_with(target.as_str()));
    let nearest = above.max_by_key(|(target, _)| target.len()).or_else(|| levels.get_key_value(ROOT));
    let effective_level = nearest.and_then(|(_, text)| level(text)).unwrap_or(Level::Off);
    LoggerView { configured_level, effective_level }
}

impl Handle<GetLoggers> for Actuator {
    async fn handle(&self, cx: &Cx, _: GetLoggers) -> Result<Document<LoggersView>, Error> {
        let levels = self.parts.levels.list();
        let shown = |name: &String| if name == ROOT { "ROOT".to_owned() } else { name.clone() };
        let loggers = levels.keys().map(|name| (shown(name), logger(&levels, name))).collect();
        Document::of(cx, LoggersView { levels: Level::ALL.to_vec(), loggers, groups: Free(json!({})) })
    }
}

impl Handle<GetLogger> for Actuator {
    async fn handle(&self, cx: &Cx, op: GetLogger) -> Result<Document<LoggerView>, Error> {
        Document::of(cx, logger(&self.parts.levels.list(), target(&op.name)?))
    }
}

impl Handle<SetLogger> for Actuator {
    async fn handle(&self, cx: &Cx, op: SetLogger) -> Result<(), Error> {
        let name = target(&op.name)?;
        let level = op.configured_level.and_then(|level| level.as_str().to_lowercase().parse().ok());
        if !self.parts.levels.set(name, level) {
            return Err(Error::field("/configuredLevel", "ROOT needs a level, and logging must be on"));
        }
        tracing::warn!(by = cx.principal.name(), logger = name, ?level, "a log level was changed");
        Ok(())
    }
}

impl Handle<GetEnvironment> for Actuator {
    async fn handle(&self, cx: &Cx, _: GetEnvironment) -> Result<Document<Free>, Error> {
        Document::of(cx, Free(environment::environment(&self.parts.settings)))
    }
}

impl Handle<GetSetting> for Actuator {
    async fn handle(&self, cx: &Cx, op: GetSetting) -> Result<Document<Free>, Error> {
        let found = environment::one(&self.parts.settings, &op.key);
        Document::of(cx, Free(found.ok_or_else(|| Error::not_found("setting"))?))
    }
}

impl Handle<GetProperties> for Actuator {
    async fn handle(&self, cx: &Cx, _: GetProperties) -> Result<Document<Free>, Error> {
        Document::of(cx, Free(environment::properties(&self.parts.settings)))
    }
}

impl Handle<GetMappings> for Actuator {
    async fn handle(&self, cx: &Cx, _: GetMappings) -> Result<Document<Free>, Error> {
        Document::of(cx, Free(mappings::mappings(cx.node.registry()?)))
    }
}

impl Handle<GetScheduledTasks> for Actuator {
    async fn handle(&self, cx: &Cx, _: GetScheduledTasks) -> Result<Document<Free>, Error> {
        let task = |(name, job): (&'static str, crate::job_log::JobState)| {
            let last = job.started_at.map(|at| {
                json!({"status": if job.error.is_none() { "SUCCESS" } else { "ERROR" }, "time": at, "exception": job.error})
            });
            let every = job.every.as_millis();
            json!({"runnable": {"target": name}, "initialDelay": 0, "interval": every, "lastExecution": last})
        };
        let tasks: Vec<Value> = self.parts.jobs.list().into_iter().map(task).collect();
        Document::of(cx, Free(json!({"cron": [], "fixedDelay": tasks, "fixedRate": [], "custom": []})))
    }
}

impl Handle<GetExchanges> for Actuator {
    async fn handle(&self, cx: &Cx, _: GetExchanges) -> Result<Document<Free>, Error> {
        Document::of(cx, Free(self.parts.exchanges.document()))
    }
}

impl Handle<GetThreads> for Actuator {
    async fn handle(&self, cx: &Cx, _: GetThreads) -> Result<Document<Free>, Error> {
        Document::of(cx, Free(process::threads()))
    }
}
