//! Consumers: apply the effects of events. A consumer's position moves in the transaction of its effect.

use std::sync::Arc;
use std::time::Duration;

use promox_kernel::{Clock, Cx, Error, Node, Timestamp};

use crate::event::PARTITION;
use crate::system::{DeadLetter, Place};
use crate::{Database, Db, Event, Lane, StoreError, Tx};

/// Events applied in one transaction at most.
const BATCH: usize = 256;
/// Events that a consumer may skip before it stores its position.
const PASSED_OVER: i64 = 4_096;
/// The time limit of one batch.
const BATCH_LIMIT: Duration = Duration::from_secs(30);

/// Applies events to its service's tables, each exactly once.
pub trait Consumer: Send + Sync + 'static {
    /// The name of its position, `"inventory.post_holds"`. Never renamed.
    fn name(&self) -> &'static str;

    /// The database whose events it reads.
    fn source(&self) -> Database;

    /// Whether the event is relevant.
    fn wants(&self, event: &Event) -> bool;

    /// Applies the events, in order. An error drops the batch's effect; an event that fails alone goes to the dead
    /// letters.
    fn apply(&self, tx: &mut Tx<'_>, events: &[Event]) -> Result<(), Error>;

    /// Called when a batch is durable, to notify waiters.
    fn applied(&self) {}

    /// The minimum age of an event, for consumers that clean up what others did not finish; zero for none.
    fn delay(&self) -> Duration {
        Duration::ZERO
    }
}

/// Runs one consumer from `source`'s outbox into `target`'s tables.
pub struct ConsumerLoop {
    consumer: Arc<dyn Consumer>,
    source: Db,
    target: Db,
    place: Option<i64>,
    written: i64,
    /// When the first event that is too young reaches the minimum age.
    wakes_at: Option<Timestamp>,
}

impl std::fmt::Debug for ConsumerLoop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {:?}", self.consumer.name(), self.place)
    }
}

impl ConsumerLoop {
    /// A loop that starts at the consumer's stored position.
    pub fn new(consumer: Arc<dyn Consumer>, source: Db, target: Db) -> Self {
        Self { consumer, source, target, place: None, written: 0, wakes_at: None }
    }

    /// The consumer's name.
    pub fn name(&self) -> &'static str {
        self.consumer.name()
    }

    /// Signals when there may be new events.
    pub fn subscribe(&self) -> flume::Receiver<()> {
        self.source.subscribe()
    }

    /// Its in-memory position.
    pub fn place(&self) -> i64 {
        self.place.unwrap_or(0)
    }

    /// Applies the next batch; whether there may be more.
    pub async fn turn(&mut self, node: &Arc<Node>) -> Result<bool, Error> {
        let cx = Cx::system(node, self.consumer.name(), BATCH_LIMIT);
        let place = self.start(&cx).await?;
        let mut events = self.source.read(|tx| tx.events_after(place, BATCH)).await?;
        let full = events.len() == BATCH;
        self.wakes_at = self.drop_young(&mut events, cx.now);
        let Some(last) = events.last().map(|event| event.position) else { return Ok(false) };
        let more = full && self.wakes_at.is_none();
        let wanted: Vec<Event> = events.into_iter().filter(|event| self.consumer.wants(event)).collect();
        if !wanted.is_empty() {
            self.apply(&cx, wanted, last).await?;
            self.written = last;
            self.consumer.applied();
        } else if last - self.written >= PASSED_OVER {
            self.apply(&cx, wanted, last).await?;
            self.written = last;
        }
        self.place = Some(last);
        Ok(more)
    }

    /// Removes the events from the first one that is too young; returns when that one is old enough.
    fn drop_young(&self, events: &mut Vec<Event>, now: Timestamp) -> Option<Timestamp> {
        let delay = self.consumer.delay();
        let young = |event: &Event| self.consumer.wants(event) && event.occurred_at + delay > now;
        let first = if delay.is_zero() { None } else { events.iter().position(young) }?;
        let due = events.get(first).map(|event| event.occurred_at + delay);
        events.truncate(first);
        due
    }

    /// Waits for a signal, or for an event to reach the minimum age. Whether `signals` continue.
    pub async fn wait(&self, signals: &flume::Receiver<()>, clock: &Clock) -> bool {
        let Some(due) = self.wakes_at else { return signals.recv_async().await.is_ok() };
        // Newer events are even younger.
        clock.sleep_until(due).await;
        !signals.is_disconnected()
    }

    async fn start(&mut self, _cx: &Cx) -> Result<i64, Error> {
        if let Some(place) = self.place {
            return Ok(place);
        }
        let name = self.consumer.name().to_owned();
        let place = self.target.read(|tx| tx.consumer_place(&name)).await?;
        self.place = Some(place);
        self.written = place;
        Ok(place)
    }

    /// Applies a batch as a whole, or, when it fails, event by event.
    async fn apply(&self, cx: &Cx, events: Vec<Event>, last: i64) -> Result<(), Error> {
        let Err(error) = self.commit(cx, events.clone(), last).await else { return Ok(()) };
        if error.will_pass() {
            return Err(error);
        }
        for event in events {
            let position = event.position;
            let Err(error) = self.commit(cx, vec![event], position).await else { continue };
            if error.will_pass() {
                return Err(error);
            }
            tracing::error!(consumer = self.consumer.name(), position, %error, "moving an event to the dead letters");
            self.dead_letter(cx, position, error.to_string()).await?;
        }
        self.commit(cx, Vec::new(), last).await
    }

    async fn commit(&self, cx: &Cx, events: Vec<Event>, last: i64) -> Result<(), Error> {
        let (consumer, source) = (self.consumer.clone(), self.source.database());
        let work = move |tx: &mut Tx<'_>| {
            if !events.is_empty() {
                consumer.apply(tx, &events)?;
            }
            Ok(tx.move_place(consumer.name(), source, last)?)
        };
        self.target.write_in(cx, Lane::Bulk, work).await
    }

    async fn dead_letter(&self, cx: &Cx, position: i64, reason: String) -> Result<(), Error> {
        let (consumer, source) = (self.consumer.clone(), self.source.database());
        let work = move |tx: &mut Tx<'_>| {
            let (database, at) = (tx.database().number(), tx.now());
            let letter =
                DeadLetter { database, consumer: consumer.name().to_owned(), position, reason: reason.clone(), at };
            tx.put(&letter)?;
            Ok::<_, Error>(tx.move_place(consumer.name(), source, position)?)
        };
        self.target.write(cx, work).await
    }
}

impl Tx<'_> {
    /// The position of a consumer of this database.
    pub fn consumer_place(&self, consumer: &str) -> Result<i64, StoreError> {
        let place = self.get::<Place>(&(self.database().number(), consumer.to_owned(), PARTITION))?;
        Ok(place.map_or(0, |place| place.position))
    }

    fn move_place(&mut self, consumer: &str, source: Database, position: i64) -> Result<(), StoreError> {
        let (database, source) = (self.database().number(), Some(source.number()));
        self.put(&Place { database, consumer: consumer.to_owned(), partition: PARTITION, position, source })
    }
}

/// Follows an outbox with a local position that may be lost: for in-memory projections on every node.
#[derive(Debug)]
pub struct Follower {
    source: Db,
    place: i64,
}

impl Follower {
    /// Follows from a position on.
    pub fn new(source: Db, place: i64) -> Self {
        Self { source, place }
    }

    /// The current position.
    pub fn place(&self) -> i64 {
        self.place
    }

    /// Signals when there may be new events.
    pub fn subscribe(&self) -> flume::Receiver<()> {
        self.source.subscribe()
    }

    /// The next events, at most 256; empty when there are none.
    pub async fn next(&mut self) -> Result<Vec<Event>, StoreError> {
        let place = self.place;
        let events = self.source.read(|tx| tx.events_after(place, BATCH)).await?;
        self.place = events.last().map_or(place, |event| event.position);
        Ok(events)
    }
}
