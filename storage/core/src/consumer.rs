//! Consumers apply the effects of events. A consumer's position moves in the same transaction as the effect.

use std::sync::Arc;
use std::time::Duration;

use promox_kernel::{Clock, Cx, Error, Node, Timestamp};

use crate::event::PARTITION;
use crate::system::{ConsumerPosition, DeadLetter};
use crate::{Database, Db, Event, Lane, StoreError, Tx};

/// Maximum events applied in one transaction.
const BATCH: usize = 256;
/// Maximum irrelevant events that a consumer skips before it stores its position.
const MAX_SKIPPED: i64 = 4_096;
/// The time limit of one batch.
const BATCH_LIMIT: Duration = Duration::from_secs(30);

/// Applies events to its service's tables, each exactly once.
pub trait Consumer: Send + Sync + 'static {
    /// The name under which its position is stored, such as `"inventory.post_holds"`. It must never change.
    fn name(&self) -> &'static str;

    /// The database whose events it reads.
    fn source(&self) -> Database;

    /// Whether the event is relevant.
    fn wants(&self, event: &Event) -> bool;

    /// Applies the events, in order. After a temporary error the batch is tried again later. After any other error, the
    /// events are applied one by one, and those that fail become dead letters.
    fn apply(&self, tx: &mut Tx<'_>, events: &[Arc<Event>]) -> Result<(), Error>;

    /// Called when a batch is durable, to notify tasks that wait for it.
    fn applied(&self) {}

    /// The minimum age of an event, for consumers that clean up what others did not finish. Zero means no minimum.
    fn delay(&self) -> Duration {
        Duration::ZERO
    }
}

/// Runs one consumer from `source`'s outbox into `target`'s tables.
pub struct ConsumerLoop {
    consumer: Arc<dyn Consumer>,
    source: Db,
    target: Db,
    position: Option<i64>,
    stored_position: i64,
    /// When the first event that is too young reaches the minimum age.
    wakes_at: Option<Timestamp>,
}

impl std::fmt::Debug for ConsumerLoop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {:?}", self.consumer.name(), self.position)
    }
}

impl ConsumerLoop {
    /// A loop that starts at the consumer's stored position.
    pub fn new(consumer: Arc<dyn Consumer>, source: Db, target: Db) -> Self {
        Self { consumer, source, target, position: None, stored_position: 0, wakes_at: None }
    }

    /// The consumer's name.
    pub fn name(&self) -> &'static str {
        self.consumer.name()
    }

    /// Returns a receiver that is signalled when there may be new events.
    pub fn subscribe(&self) -> flume::Receiver<()> {
        self.source.subscribe()
    }

    /// The position of the last event that it applied or skipped, which may not be stored yet.
    pub fn position(&self) -> i64 {
        self.position.unwrap_or(0)
    }

    /// Applies the next batch. Returns whether there may be more events.
    pub async fn turn(&mut self, node: &Arc<Node>) -> Result<bool, Error> {
        let cx = Cx::system(node, self.consumer.name(), BATCH_LIMIT);
        let position = self.start().await?;
        let mut events = self.source.events_after(position, BATCH).await?;
        let full = events.len() == BATCH;
        self.wakes_at = self.drop_young(&mut events, cx.now);
        let Some(last) = events.last().map(|event| event.position) else { return Ok(false) };
        let more = full && self.wakes_at.is_none();
        let relevant: Vec<Arc<Event>> = events.into_iter().filter(|event| self.consumer.wants(event)).collect();
        if !relevant.is_empty() {
            self.apply(&cx, relevant, last).await?;
            self.stored_position = last;
            self.consumer.applied();
        } else if last - self.stored_position >= MAX_SKIPPED {
            self.apply(&cx, relevant, last).await?;
            self.stored_position = last;
        }
        self.position = Some(last);
        Ok(more)
    }

    /// Removes the first event that is too young and all later ones. Returns when that event is old enough.
    fn drop_young(&self, events: &mut Vec<Arc<Event>>, now: Timestamp) -> Option<Timestamp> {
        let delay = self.consumer.delay();
        let young = |event: &Arc<Event>| self.consumer.wants(event) && event.occurred_at + delay > now;
        let first = if delay.is_zero() { None } else { events.iter().position(young) }?;
        let due = events.get(first).map(|event| event.occurred_at + delay);
        events.truncate(first);
        due
    }

    /// Waits for a signal, or for an event to reach the minimum age. Returns whether `signals` is still connected.
    pub async fn wait(&self, signals: &flume::Receiver<()>, clock: &Clock) -> bool {
        let Some(due) = self.wakes_at else { return signals.recv_async().await.is_ok() };
        // Newer events are even younger.
        clock.sleep_until(due).await;
        !signals.is_disconnected()
    }

    /// Returns the current position, which is read from the store on the first call.
    async fn start(&mut self) -> Result<i64, Error> {
        if let Some(position) = self.position {
            return Ok(position);
        }
        let name = self.consumer.name().to_owned();
        let position = self.target.read(|tx| tx.consumer_position(&name)).await?;
        self.position = Some(position);
        self.stored_position = position;
        Ok(position)
    }

    /// Applies a batch as a whole, or event by event if that fails.
    async fn apply(&self, cx: &Cx, events: Vec<Arc<Event>>, last: i64) -> Result<(), Error> {
        let Err(error) = self.commit(cx, events.clone(), last).await else { return Ok(()) };
        if error.is_transient() {
            return Err(error);
        }
        for event in events {
            let position = event.position;
            let Err(error) = self.commit(cx, vec![event], position).await else { continue };
            if error.is_transient() {
                return Err(error);
            }
            tracing::error!(
                consumer = self.consumer.name(), position, %error,
                "the consumer could not apply an event: it becomes a dead letter"
            );
            self.dead_letter(cx, position, error.to_string()).await?;
        }
        self.commit(cx, Vec::new(), last).await
    }

    async fn commit(&self, cx: &Cx, events: Vec<Arc<Event>>, last: i64) -> Result<(), Error> {
        let (consumer, source) = (self.consumer.clone(), self.source.database());
        let work = move |tx: &mut Tx<'_>| {
            if !events.is_empty() {
                consumer.apply(tx, &events)?;
            }
            Ok(tx.store_position(consumer.name(), source, last)?)
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
            Ok::<_, Error>(tx.store_position(consumer.name(), source, position)?)
        };
        self.target.write(cx, work).await
    }
}

impl Tx<'_> {
    /// Returns the stored position of a consumer that writes to this database; 0 if it has none yet.
    pub fn consumer_position(&self, consumer: &str) -> Result<i64, StoreError> {
        let stored = self.get::<ConsumerPosition>(&(self.database().number(), consumer.to_owned(), PARTITION))?;
        Ok(stored.map_or(0, |stored| stored.position))
    }

    fn store_position(&mut self, consumer: &str, source: Database, position: i64) -> Result<(), StoreError> {
        let (database, source) = (self.database().number(), Some(source.number()));
        self.put(&ConsumerPosition { database, consumer: consumer.to_owned(), partition: PARTITION, position, source })
    }
}

/// Follows an outbox with a position that is kept in memory only, for in-memory projections on every node.
#[derive(Debug)]
pub struct Follower {
    source: Db,
    position: i64,
}

impl Follower {
    /// Follows `source` from the event after `position` on.
    pub fn new(source: Db, position: i64) -> Self {
        Self { source, position }
    }

    /// The position of the last event that was returned.
    pub fn position(&self) -> i64 {
        self.position
    }

    /// Returns a receiver that is signalled when there may be new events.
    pub fn subscribe(&self) -> flume::Receiver<()> {
        self.source.subscribe()
    }

    /// Returns the next events, at most 256, or an empty list if there are none.
    pub async fn next(&mut self) -> Result<Vec<Arc<Event>>, StoreError> {
        let position = self.position;
        let events = self.source.events_after(position, BATCH).await?;
        self.position = events.last().map_or(position, |event| event.position);
        Ok(events)
    }
}
