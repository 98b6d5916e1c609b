//! Consumers as an operator sees them: their positions, and the events that they could not apply, which can be replayed.

use std::sync::Arc;

use promox_kernel::{Cursor, Cx, Error, Limit, Page, Timestamp, codes};

use crate::event::PARTITION;
use crate::system::DeadLetter;
use crate::{Consumer, Database, Db, Event, StoreError, Tx};

/// An event that a consumer could not apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnappliedEvent {
    /// The consumer.
    pub consumer: String,
    /// The position of the event in the log that the consumer reads.
    pub position: i64,
    /// Why it could not be applied.
    pub reason: String,
    /// When it was tried last.
    pub at: Timestamp,
}

impl From<DeadLetter> for UnappliedEvent {
    fn from(letter: DeadLetter) -> Self {
        let DeadLetter { consumer, position, reason, at, .. } = letter;
        Self { consumer, position, reason, at }
    }
}

impl Tx<'_> {
    /// A page of the events that consumers which write to this database could not apply, by consumer and position.
    pub fn unapplied_events(&self, limit: Limit, cursor: Option<Cursor>) -> Result<Page<UnappliedEvent>, Error> {
        let page = self.scan::<DeadLetter>().prefix(self.database().number()).page(limit, cursor)?;
        Ok(page.map(UnappliedEvent::from))
    }

    /// The number of events that a consumer could not apply, at most `max`.
    pub fn count_unapplied(&self, consumer: &str, max: usize) -> Result<usize, StoreError> {
        let letters = self.scan::<DeadLetter>().prefix((self.database().number(), consumer));
        letters.rows().take(max).try_fold(0, |count, letter| letter.map(|_| count + 1))
    }

    /// A page of this database's events, newest first.
    pub fn newest_events(&self, limit: Limit, cursor: Option<Cursor>) -> Result<Page<Event>, Error> {
        self.scan::<Event>().prefix(Event::log_of(self.database())).backward().page(limit, cursor)
    }

    /// The event at a position; `None` if it has expired and was removed.
    pub fn event_at(&self, position: i64) -> Result<Option<Event>, StoreError> {
        self.get::<Event>(&(self.database().number(), PARTITION, position))
    }
}

/// Makes a consumer apply an event that it could not apply. 404 if there is none at this position, 409 `REPLAY_FAILED` if it
/// fails again, and 409 `EVENT_REMOVED` if the event has expired.
pub async fn replay(
    cx: &Cx,
    consumer: &Arc<dyn Consumer>,
    source: &Db,
    target: &Db,
    position: i64,
) -> Result<UnappliedEvent, Error> {
    let key = |database: Database| (database.number(), consumer.name().to_owned(), position);
    let letter = target.read(|tx| tx.get::<DeadLetter>(&key(tx.database()))).await?;
    letter.ok_or_else(|| Error::not_found("dead letter"))?;
    let event = source.read(|tx| tx.event_at(position)).await?;
    let removed = || Error::conflict(codes::EVENT_REMOVED, "The event has expired and was removed.");
    let event = Arc::new(event.ok_or_else(removed)?);
    let (consumer, key) = (consumer.clone(), key(target.database()));
    let applying = consumer.clone();
    let work = move |tx: &mut Tx<'_>| {
        let letter = tx.get::<DeadLetter>(&key)?.ok_or_else(|| Error::not_found("dead letter"))?;
        applying.apply(tx, std::slice::from_ref(&event)).map_err(failed_again)?;
        tx.delete::<DeadLetter>(&key)?;
        Ok::<_, Error>(letter.into())
    };
    let replayed = target.write(cx, work).await?;
    consumer.applied();
    Ok(replayed)
}

/// The error of an event that fails again. A temporary one stays as it is.
fn failed_again(error: Error) -> Error {
    if error.is_transient() {
        return error;
    }
    Error::conflict(codes::REPLAY_FAILED, format!("The event could not be applied again: {error}"))
}
