//! Computes the sums of periods from few rows: those of whole months, days and hours, and single entries where a period
//! begins or ends within an hour. Work that is too much for one read continues in the next.

use promox_kernel::{Error, Timestamp};
use promox_storage::{StoreError, Tx};

use super::EntryCursor;
use super::sums::{Sums, Wanted};
use crate::Analytics;
use crate::commands::generations;
use crate::records::{Entry, Rollup};
use crate::rules::cover::{Level, Piece, cover};
use crate::rules::period::Period;

/// The number of rows after which a read ends and another one continues.
const ROWS_PER_READ: usize = 6_000;

/// All levels, from coarse to fine.
const LEVELS: [Level; 3] = [Level::Month, Level::Day, Level::Hour];

/// A part of the work on several periods.
#[derive(Clone)]
enum Task {
    /// Divides the period with this index into pieces.
    Plan(usize),
    /// Reads a piece of the period with this index, from a cursor on if a part of it is done.
    Read(usize, Piece, Option<EntryCursor>),
}

impl Analytics {
    /// The sums of each period, in the order given.
    pub(crate) async fn sums(&self, periods: &[Period], wanted: Wanted) -> Result<Vec<Sums>, Error> {
        let mut sums: Vec<Sums> = periods.iter().map(|_| Sums::of(wanted)).collect();
        let mut tasks: Vec<Task> = (0..periods.len()).rev().map(Task::Plan).collect();
        let generation = self.db.read(generations::current).await?;
        let Some(generation) = generation.map(|row| row.id) else { return Ok(sums) };
        while !tasks.is_empty() {
            let read = |tx: &Tx<'_>| {
                let (mut tasks, mut sums) = (tasks.clone(), sums.clone());
                run_tasks(tx, generation, periods, &mut tasks, &mut sums)?;
                Ok::<_, StoreError>((tasks, sums))
            };
            (tasks, sums) = self.db.read(read).await?;
            if !tasks.is_empty() {
                tokio::task::yield_now().await;
            }
        }
        Ok(sums)
    }

    /// The number of points that customers held at each of the times: the sum of all months before the time, and of the
    /// part of its month.
    pub(crate) async fn points_held(&self, times: &[Timestamp]) -> Result<Vec<i64>, Error> {
        let month = |at: &Timestamp| Period { from: Level::Month.floor(*at), to: *at };
        let periods: Vec<Period> = times.iter().map(month).collect();
        let sums = self.sums(&periods, Wanted::default()).await?;
        let before = |tx: &Tx<'_>| periods.iter().map(|period| held_before(tx, period.from)).collect();
        let before: Vec<i64> = self.db.read::<_, StoreError, _>(before).await?;
        Ok(sums.iter().zip(before).map(|(sums, before)| sums.measures.points_held() + before).collect())
    }

    /// The sums of one period.
    pub(crate) async fn sum(&self, period: Period, wanted: Wanted) -> Result<Sums, Error> {
        Ok(self.sums(&[period], wanted).await?.pop().unwrap_or_default())
    }
}

/// The number of points that customers held when a month began.
fn held_before(tx: &Tx<'_>, month: Timestamp) -> Result<i64, StoreError> {
    let Some(generation) = generations::current(tx)? else { return Ok(0) };
    let months = tx.scan::<Rollup>().prefix((generation.id, Level::Month)).before(month);
    months.rows().map(|row| row.map(|row| row.measures.points_held())).sum()
}

/// Runs tasks until all are done or enough rows have been read.
fn run_tasks(
    tx: &Tx<'_>,
    generation: u32,
    periods: &[Period],
    tasks: &mut Vec<Task>,
    sums: &mut [Sums],
) -> Result<(), StoreError> {
    let mut rows = 0;
    while rows < ROWS_PER_READ {
        let (index, piece, cursor) = match tasks.pop() {
            None => break,
            Some(Task::Read(index, piece, cursor)) => (index, piece, cursor),
            Some(Task::Plan(index)) => {
                let pieces =
                    periods.get(index).map_or_else(|| Ok(Vec::new()), |period| plan(tx, generation, *period))?;
                rows += LEVELS.len() * 2;
                tasks.extend(pieces.into_iter().rev().map(|piece| Task::Read(index, piece, None)));
                continue;
            }
        };
        let Some(sums) = sums.get_mut(index) else { continue };
        let before = sums.rows;
        if let Some(cursor) = sums.add(tx, generation, piece, cursor)? {
            tasks.push(Task::Read(index, piece, Some(cursor)));
        }
        rows += sums.rows - before + 1;
    }
    Ok(())
}

/// The pieces of a period. It is extended to whole buckets if the extension contains no entries.
fn plan(tx: &Tx<'_>, generation: u32, period: Period) -> Result<Vec<Piece>, StoreError> {
    let entries = || tx.scan::<Entry>().prefix(generation);
    let (Some(first), Some(last)) = (entries().first()?, entries().backward().first()?) else { return Ok(Vec::new()) };
    let is_empty = |from: Timestamp, to: Timestamp| Ok(entries().from(from).before(to).first()?.is_none());
    let from = period.from.max(Level::Month.floor(first.at));
    let to = period.to.min(Level::Month.next(Level::Month.floor(last.at)));
    if from >= to {
        return Ok(Vec::new());
    }
    let (mut start, mut end) = (from, to);
    for level in LEVELS {
        if is_empty(level.floor(from), from)? {
            start = level.floor(from);
            break;
        }
    }
    for level in LEVELS {
        if is_empty(to, level.ceil(to))? {
            end = level.ceil(to);
            break;
        }
    }
    Ok(cover(start, end))
}
