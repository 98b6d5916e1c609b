//! The state of a node's background work: sagas, events, consumers, dead letters, jobs.

use std::sync::Arc;
use std::time::Duration;

use promox_contract::audit::Audited;
use promox_contract::ids::OrderId;
use promox_contract::order::{ListRunningSagas, RunningSaga};
use promox_kernel::{Cursor, Cx, Error, Handle, Page};
use promox_storage::{Consumer, Database, Db, Event, EventLog, Tx, UnappliedEvent, replay};
use serde_json::json;

use crate::ops::Ops;
use crate::ops::state_api::{
    ConsumerView, DeadLetterView, EventView, JobView, ListConsumers, ListDeadLetters, ListEvents, ListJobs, ListSagas,
    LogName, ReplayDeadLetter, SagaView,
};

/// Dead letters of a consumer that are counted at most.
const MAX_COUNTED: usize = 1_000;

/// A consumer of the node, with the databases that it reads and writes.
#[derive(Clone)]
pub(crate) struct Watched {
    pub(crate) consumer: Arc<dyn Consumer>,
    pub(crate) source: Db,
    pub(crate) target: Db,
}

/// The whole state of the consumers, for the health of the node.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ConsumerTotals {
    pub(crate) consumers: usize,
    pub(crate) dead_letters: usize,
}

impl From<Database> for LogName {
    fn from(database: Database) -> Self {
        match database {
            Database::Ecommerce => Self::Ecommerce,
            Database::Promox => Self::Promox,
        }
    }
}

fn database(name: Option<LogName>) -> Database {
    match name {
        None | Some(LogName::Ecommerce) => Database::Ecommerce,
        Some(LogName::Promox) => Database::Promox,
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn letter_view(letter: UnappliedEvent) -> DeadLetterView {
    let UnappliedEvent { consumer, position, reason, at } = letter;
    DeadLetterView { id: format!("{consumer}:{position}"), consumer, position, reason, at }
}

fn event_view(event: Event) -> EventView {
    EventView {
        position: event.position,
        kind: event.kind,
        version: event.version,
        topic: event.topic,
        aggregate_id: event.aggregate_id,
        occurred_at: event.occurred_at,
        traceparent: event.traceparent,
        data: serde_json::from_str(&event.data).unwrap_or_default(),
    }
}

impl Watched {
    async fn view(&self) -> Result<ConsumerView, Error> {
        let name = self.consumer.name();
        let state = |tx: &Tx<'_>| Ok::<_, Error>((tx.consumer_position(name)?, tx.count_unapplied(name, MAX_COUNTED)?));
        let (position, dead_letters) = self.target.read(state).await?;
        let newest = EventLog::of(&self.source).last_position().await?;
        let (source, target) = (self.source.database().into(), self.target.database().into());
        Ok(ConsumerView { name: name.to_owned(), source, target, position, newest, dead_letters })
    }
}

impl Ops {
    /// The database with this name, if a consumer reads or writes it.
    fn database_of(&self, wanted: Database) -> Result<Db, Error> {
        let all = self.watched().iter().flat_map(|watched| [&watched.source, &watched.target]);
        let found = all.chain([&self.db]).find(|db| db.database() == wanted).cloned();
        found.ok_or_else(|| Error::not_found("database on this node"))
    }

    /// The number of consumers and of events that they could not apply.
    pub(crate) async fn consumer_totals(&self) -> Result<ConsumerTotals, Error> {
        let mut totals = ConsumerTotals::default();
        for watched in self.watched() {
            let name = watched.consumer.name();
            totals.consumers += 1;
            totals.dead_letters += watched.target.read(|tx| tx.count_unapplied(name, MAX_COUNTED)).await?;
        }
        Ok(totals)
    }
}

impl Handle<ListSagas> for Ops {
    async fn handle(&self, cx: &Cx, op: ListSagas) -> Result<Page<SagaView>, Error> {
        let fault = || Error::field("?cursor", "must be a cursor of this list; start again without one");
        let text = op.cursor.map(|cursor| String::from_utf8(cursor.0).map_err(|_| fault())).transpose()?;
        let after = text.map(|text| text.parse().map(OrderId).map_err(|_| fault())).transpose()?;
        let list = cx.call(ListRunningSagas { after, limit: op.limit.get() }).await?;
        let view = |saga: RunningSaga| SagaView {
            order_id: saga.order_id.0,
            step: saga.step,
            attempt: saga.attempt,
            tries: saga.tries,
            last_error: saga.last_error,
            due_at: saga.due_at,
            created_at: saga.created_at,
        };
        let next = list.next.map(|id| Cursor(id.0.to_string().into_bytes()));
        Ok(Page::new(list.items.into_iter().map(view).collect(), next))
    }
}

impl Handle<ListEvents> for Ops {
    async fn handle(&self, _: &Cx, op: ListEvents) -> Result<Page<EventView>, Error> {
        let db = self.database_of(database(op.database))?;
        Ok(db.read(|tx| tx.newest_events(op.limit, op.cursor.clone())).await?.map(event_view))
    }
}

impl Handle<ListConsumers> for Ops {
    async fn handle(&self, _: &Cx, _: ListConsumers) -> Result<Page<ConsumerView>, Error> {
        let mut views = Vec::new();
        for watched in self.watched() {
            views.push(watched.view().await?);
        }
        views.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Page::new(views, None))
    }
}

impl Handle<ListDeadLetters> for Ops {
    async fn handle(&self, _: &Cx, op: ListDeadLetters) -> Result<Page<DeadLetterView>, Error> {
        let db = self.database_of(database(op.database))?;
        Ok(db.read(|tx| tx.unapplied_events(op.limit, op.cursor.clone())).await?.map(letter_view))
    }
}

impl Handle<ReplayDeadLetter> for Ops {
    async fn handle(&self, cx: &Cx, op: ReplayDeadLetter) -> Result<DeadLetterView, Error> {
        let unknown = || Error::not_found("dead letter");
        let (name, position) = op.id.rsplit_once(':').ok_or_else(unknown)?;
        let position = position.parse().map_err(|_| unknown())?;
        let watched = self.watched().iter().find(|watched| watched.consumer.name() == name).ok_or_else(unknown)?;
        let replayed = replay(cx, &watched.consumer, &watched.source, &watched.target, position).await?;
        let (actor, subject) = (cx.principal.name(), format!("dead-letter:{}", op.id));
        let entry = Audited::new(actor, "ops.replay", subject, json!({"reason": replayed.reason}), ());
        self.db.write(cx, move |tx| Ok::<_, Error>(tx.emit(position, &entry)?)).await?;
        Ok(letter_view(replayed))
    }
}

impl Handle<ListJobs> for Ops {
    async fn handle(&self, _: &Cx, _: ListJobs) -> Result<Page<JobView>, Error> {
        let jobs = self.jobs.list().into_iter().map(|(name, job)| JobView {
            name: name.to_owned(),
            interval_millis: millis(job.every),
            runs: job.runs,
            failures: job.failures,
            started_at: job.started_at,
            took_millis: job.took.map(millis),
            error: job.error,
        });
        Ok(Page::new(jobs.collect(), None))
    }
}
