//! Keeping the outbox: events whose time is over are removed, and the auditor counts that nothing else is missing.

use promox_kernel::{Cx, Error};

use crate::event::EventByEnd;
use crate::system::{DeadLetter, Place, Removed};
use crate::{Db, Event, Lane, Report, StoreError, Tx};

/// Events that one batch removes.
const BATCH: usize = 1_000;

impl Db {
    /// Removes events whose time is over, one bounded batch; whether there may be more.
    ///
    /// What a consumer of this database has not passed stays, and so does the newest event, which carries the position on.
    pub async fn prune_events(&self, cx: &Cx) -> Result<bool, Error> {
        self.write_in(cx, Lane::Bulk, |tx| Ok(prune(tx)?)).await
    }
}

fn prune(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    let number = tx.database().number();
    let behind = places(tx)?.into_iter().map(|place| place.position).min().unwrap_or(i64::MAX);
    let last = tx.last_position()?;
    let over = tx.scan_by::<EventByEnd>().before(Some(tx.now())).collect(BATCH)?;
    let gone = |event: &&Event| event.database == number && event.position <= behind && event.position < last;
    let positions: Vec<i64> = over.iter().filter(gone).map(|event| event.position).collect();
    for position in &positions {
        tx.delete::<Event>(&(number, *position))?;
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
    /// Every position is there or was removed when its time was over, and nothing went to the dead letters.
    pub fn audit_outbox(&self, report: &mut Report) -> Result<(), StoreError> {
        let number = self.database().number();
        let (mut count, mut last) = (0, 0);
        for event in self.scan::<Event>().prefix(number).rows() {
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
