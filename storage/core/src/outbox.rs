//! Maintenance of the outbox: expired events are removed, and the auditor checks that no others are missing.

use std::time::Duration;

use promox_kernel::{Error, Job};

use crate::event::{EventByEnd, PARTITION};
use crate::system::{DeadLetter, Place, Removed};
use crate::{Db, Event, Lane, Report, StoreError, Tx};

/// Events removed by one batch.
const BATCH: usize = 1_000;
/// Events examined by one batch: events of the other database may have expired too.
const MAX_SEEN: usize = 2_000;
/// The interval between runs.
const EVERY: Duration = Duration::from_mins(1);

/// Removes expired events of `source`, in bounded batches.
///
/// Events that a consumer writing into one of `targets` has not passed stay, and so does the newest event, which
/// carries the position.
pub fn prune_events(name: &'static str, source: Db, targets: Vec<Db>) -> Job {
    Job::new(name, EVERY, move |cx| {
        let (source, targets) = (source.clone(), targets.clone());
        async move {
            let passed = passed(&source, &targets).await?;
            source.write_in(&cx, Lane::Bulk, move |tx| Ok(prune(tx, passed)?)).await
        }
    })
}

/// The position that every consumer of `source` has passed.
async fn passed(source: &Db, targets: &[Db]) -> Result<i64, Error> {
    let (number, mut passed) = (source.database().number(), i64::MAX);
    for target in targets {
        let places = target.read(places).await?;
        let here = places.into_iter().filter(|place| place.source.unwrap_or(place.database) == number);
        passed = here.map(|place| place.position).fold(passed, i64::min);
    }
    Ok(passed)
}

fn prune(tx: &mut Tx<'_>, passed: i64) -> Result<bool, StoreError> {
    let number = tx.database().number();
    let last = tx.last_position()?;
    let over = tx.scan_by::<EventByEnd>().before(Some(tx.now())).collect(MAX_SEEN)?;
    let gone = |event: &&Event| event.database == number && event.position <= passed && event.position < last;
    let positions: Vec<i64> = over.iter().filter(gone).take(BATCH).map(|event| event.position).collect();
    for position in &positions {
        tx.delete::<Event>(&(number, PARTITION, *position))?;
    }
    if positions.is_empty() {
        return Ok(false);
    }
    let before = tx.get::<Removed>(&number)?.map_or(0, |removed| removed.count);
    let count = before + i64::try_from(positions.len()).unwrap_or(i64::MAX);
    tx.put(&Removed { database: number, count })?;
    Ok(positions.len() == BATCH)
}

fn places(tx: &Tx<'_>) -> Result<Vec<Place>, StoreError> {
    tx.scan::<Place>().prefix(tx.database().number()).rows().collect()
}

impl Tx<'_> {
    /// Every position exists or was removed after its expiry, and there are no dead letters.
    pub fn audit_outbox(&self, report: &mut Report) -> Result<(), StoreError> {
        let number = self.database().number();
        let (mut count, mut last) = (0, 0);
        for event in self.scan::<Event>().prefix(Event::log_of(self.database())).rows() {
            last = event?.position;
            count += 1;
        }
        let removed = self.get::<Removed>(&number)?.map_or(0, |removed| removed.count);
        report.check("outbox: no position is missing", count + removed == last, || {
            format!("{count} events and {removed} removed, the last position is {last}")
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
