//! Maintenance of the outbox: a job removes expired events, and the auditor checks that no others are missing.

use std::time::Duration;

use promox_kernel::{Error, Job};

use crate::event::{EventByEnd, PARTITION};
use crate::system::{ConsumerPosition, DeadLetter, RemovedEvents};
use crate::{Db, Event, Lane, Report, StoreError, Tx};

/// Maximum events removed in one batch.
const BATCH: usize = 1_000;
/// Maximum expired events examined in one batch. Some may not be removable yet, or belong to the other database.
const MAX_EXAMINED: usize = 2_000;
/// The interval between runs.
const INTERVAL: Duration = Duration::from_mins(1);

/// Creates a job that removes expired events of `source` in bounded batches.
///
/// It keeps events that some consumer has not passed yet; `targets` are the databases that the consumers write to. It
/// also keeps the newest event, because new positions are counted from it.
pub fn prune_events(name: &'static str, source: Db, targets: Vec<Db>) -> Job {
    Job::new(name, INTERVAL, move |cx| {
        let (source, targets) = (source.clone(), targets.clone());
        async move {
            let passed = passed_by_all(&source, &targets).await?;
            source.write_in(&cx, Lane::Bulk, move |tx| Ok(prune(tx, passed)?)).await
        }
    })
}

/// Returns the newest position that every consumer of `source` has passed.
async fn passed_by_all(source: &Db, targets: &[Db]) -> Result<i64, Error> {
    let (number, mut passed) = (source.database().number(), i64::MAX);
    for target in targets {
        let consumers = target.read(consumer_positions).await?;
        let consumers = consumers.into_iter().filter(|consumer| consumer.source.unwrap_or(consumer.database) == number);
        passed = consumers.map(|consumer| consumer.position).fold(passed, i64::min);
    }
    Ok(passed)
}

/// Removes one batch of events up to position `passed`. Returns whether there may be more.
fn prune(tx: &mut Tx<'_>, passed: i64) -> Result<bool, StoreError> {
    let number = tx.database().number();
    let last = tx.last_position()?;
    let expired = tx.scan_by::<EventByEnd>().before(Some(tx.now())).collect(MAX_EXAMINED)?;
    let removable = |event: &&Event| event.database == number && event.position <= passed && event.position < last;
    let positions: Vec<i64> = expired.iter().filter(removable).take(BATCH).map(|event| event.position).collect();
    for position in &positions {
        tx.delete::<Event>(&(number, PARTITION, *position))?;
    }
    if positions.is_empty() {
        return Ok(false);
    }
    let before = tx.get::<RemovedEvents>(&number)?.map_or(0, |removed| removed.count);
    let count = before + i64::try_from(positions.len()).unwrap_or(i64::MAX);
    tx.put(&RemovedEvents { database: number, count })?;
    Ok(positions.len() == BATCH)
}

/// Returns the positions of all consumers that write to this database.
fn consumer_positions(tx: &Tx<'_>) -> Result<Vec<ConsumerPosition>, StoreError> {
    tx.scan::<ConsumerPosition>().prefix(tx.database().number()).rows().collect()
}

impl Tx<'_> {
    /// Checks that every event up to the newest is stored or was removed after its expiry, and that there are no dead
    /// letters.
    pub fn audit_outbox(&self, report: &mut Report) -> Result<(), StoreError> {
        let number = self.database().number();
        let (mut count, mut last) = (0, 0);
        for event in self.scan::<Event>().prefix(Event::log_of(self.database())).rows() {
            last = event?.position;
            count += 1;
        }
        let removed = self.get::<RemovedEvents>(&number)?.map_or(0, |removed| removed.count);
        report.check("outbox: no position is missing", count + removed == last, || {
            format!("{count} stored and {removed} removed events do not add up to the last position, {last}")
        });
        for letter in self.scan::<DeadLetter>().prefix(number).rows() {
            let letter = letter?;
            report.check("outbox: no dead letters", false, || {
                format!("{} could not apply event {}: {}", letter.consumer, letter.position, letter.reason)
            });
        }
        Ok(())
    }
}
