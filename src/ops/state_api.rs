//! Requests and replies about the state of a node's background work.

use promox_kernel::{Cursor, Limit, Page, Timestamp, json_reply, operation, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

text_enum! {
    /// One of the two databases.
    LogName {
        /// The shop's.
        Ecommerce = "ECOMMERCE",
        /// The promotion engine's.
        Promox = "PROMOX",
    }
}

/// Lists running sagas of orders: checkouts in progress, and orders that are being compensated.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListSagas {
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListSagas => Page<SagaView>, "ops.sagas", Get "/api/ops/sagas", Permission("ops:read"), 200,
    "Lists running checkouts and orders that are being compensated, by order."
}

/// A running saga.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SagaView {
    /// The order.
    pub order_id: i64,
    /// The next step, such as `PAYING`.
    pub step: String,
    /// Drivers that have taken it up.
    pub attempt: i64,
    /// Consecutive failures of the step.
    pub tries: i64,
    /// The latest failure.
    pub last_error: Option<String>,
    /// When it is taken up again, unless it is being driven.
    pub due_at: Timestamp,
    /// When it began.
    pub created_at: Timestamp,
}

/// Lists events, newest first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListEvents {
    /// The database whose events are listed.
    pub database: Option<LogName>,
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListEvents => Page<EventView>, "ops.events", Get "/api/ops/events", Permission("ops:read"), 200,
    "Lists the events of a database, newest first; by default the shop's."
}

/// An event.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventView {
    /// Its position in the log of its database.
    pub position: i64,
    /// The type, such as `ORDER_CONFIRMED`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The version of its data.
    pub version: u32,
    /// The kind of aggregate.
    pub topic: String,
    /// The id of the aggregate.
    pub aggregate_id: i64,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The trace of the request that caused it.
    pub traceparent: Option<String>,
    /// Its data.
    pub data: Map<String, Value>,
}

/// Lists consumers.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct ListConsumers {}
operation! {
    ListConsumers => Page<ConsumerView>, "ops.consumers", Get "/api/ops/consumers", Permission("ops:read"), 200,
    "Lists the consumers of events with their positions."
}

/// A consumer of events.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerView {
    /// Its name, such as `inventory.post_holds`.
    pub name: String,
    /// The database whose events it reads.
    pub source: LogName,
    /// The database that it writes to.
    pub target: LogName,
    /// The position of the last event that it has applied. Events that it does not need are skipped without moving it.
    pub position: i64,
    /// The position of the newest event.
    pub newest: i64,
    /// Events that it could not apply, at most 1,000.
    pub dead_letters: usize,
}

/// Lists dead letters.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListDeadLetters {
    /// The database that the consumers write to.
    pub database: Option<LogName>,
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListDeadLetters => Page<DeadLetterView>, "ops.dead_letters", Get "/api/ops/dead-letters", Permission("ops:read"),
    200, "Lists events that consumers could not apply; by default those of consumers that write to the shop's database."
}

/// An event that a consumer could not apply.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterView {
    /// Its id, by which it can be replayed.
    pub id: String,
    /// The consumer.
    pub consumer: String,
    /// The position of the event.
    pub position: i64,
    /// Why it could not be applied.
    pub reason: String,
    /// When it was tried last.
    pub at: Timestamp,
}
json_reply!(DeadLetterView);

/// Replays a dead letter.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct ReplayDeadLetter {
    /// Its id.
    pub id: String,
}
operation! {
    ReplayDeadLetter => DeadLetterView, "ops.replay", Post "/api/ops/dead-letters/{id}/replay",
    Permission("ops:write"), 200,
    "Makes the consumer apply the event again. 409 REPLAY_FAILED if it fails again, and the dead letter stays."
}

/// Lists jobs.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct ListJobs {}
operation! {
    ListJobs => Page<JobView>, "ops.jobs", Get "/api/ops/jobs", Permission("ops:read"), 200,
    "Lists the scheduled jobs of this node with their last runs."
}

/// A scheduled job.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobView {
    /// Its name, such as `inventory.expire_holds`.
    pub name: String,
    /// The interval between two runs, in milliseconds.
    pub interval_millis: u64,
    /// Batches since the start.
    pub runs: u64,
    /// Batches that failed since the start.
    pub failures: u64,
    /// When the last batch began.
    pub started_at: Option<Timestamp>,
    /// How long the last batch took, in milliseconds.
    pub took_millis: Option<u64>,
    /// Why the last batch failed; null if it did not.
    pub error: Option<String>,
}
