//! Computes the sums of periods from few rows: those of whole months, days and hours, and single entries where a period
//! begins or ends within an hour. Work that is too much for one read continues in the next.

use promox_kernel::{Error, Timestamp};
use promox_storage::{StoreError, Tx};

use super::EntryCursor;
use super::sums::{Part, Sums, Wanted};
use crate::Analytics;
use crate::commands::generations;
use crate::records::{Entry, Generation, Rollup};
use crate::rules::cover::{Level, cover, signed_cover, whole_hours};
use crate::rules::period::Period;
use crate::rules::sum::Sign;

/// The number of rows after which a read ends and another one continues.
const ROWS_PER_READ: usize = 6_000;

/// All levels, from coarse to fine.
const LEVELS: [Level; 3] = [Level::Month, Level::Day, Level::Hour];

/// A part of the work on several periods.
#[derive(Clone)]
enum Task {
    /// Divides the period with this index into parts.
    Plan(usize),
    /// Reads a part of the period with this index.
    Read(usize, Part),
}

impl Analytics {
    /// The sums of each period, in the order given.
    pub(crate) async fn sums(&self, periods: &[Period], wanted: Wanted) -> Result<Vec<Sums>, Error> {
        match self.sums_by(periods, wanted, true).await? {
            Some(sums) => Ok(sums),
            None => Ok(self.sums_by(periods, wanted, false).await?.unwrap_or_default()),
        }
    }

    /// The sums of each period. With `subtracting`, buckets are also subtracted, which takes fewer of them but needs one
    /// state of all: `None` if the figures changed between two reads.
    async fn sums_by(&self, periods: &[Period], wanted: Wanted, subtracting: bool) -> Result<Option<Vec<Sums>>, Error> {
        let mut sums: Vec<Sums> = periods.iter().map(|_| Sums::of(wanted)).collect();
        let mut tasks: Vec<Task> = (0..periods.len()).rev().map(Task::Plan).collect();
        let Some(generation) = self.db.read(generations::current).await? else { return Ok(Some(sums)) };
        while !tasks.is_empty() {
            let read = |tx: &Tx<'_>| {
                let (mut tasks, mut sums) = (tasks.clone(), sums.clone());
                // Every change of a figure moves a position in the same transaction.
                let changed = tx.get::<Generation>(&generation.id)?.as_ref() != Some(&generation);
                if !(subtracting && changed) {
                    run_tasks(tx, &Plan { generation: generation.id, periods, subtracting }, &mut tasks, &mut sums)?;
                }
                Ok::<_, StoreError>((tasks, sums, changed))
            };
            let changed;
            (tasks, sums, changed) = self.db.read(read).await?;
            if subtracting && changed {
                return Ok(None);
            }
            if !tasks.is_empty() {
                tokio::task::yield_now().await;
            }
        }
        sums.iter_mut().for_each(Sums::remove_empty);
        Ok(Some(sums))
    }

    /// The number of points that customers held at a time: the sum of all months before it, and of the part of its month.
    pub(crate) async fn points_held(&self, at: Timestamp) -> Result<i64, Error> {
        let month = Level::Month.floor(at);
        let sums = self.sum(Period { from: month, to: at }, Wanted::default()).await?;
        let before: i64 = self.db.read::<_, StoreError, _>(|tx| held_before(tx, month)).await?;
        Ok(sums.measures.points_held() + before)
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

/// What is summed, and how.
struct Plan<'p> {
    generation: u32,
    periods: &'p [Period],
    /// Whether buckets are subtracted where that takes fewer of them.
    subtracting: bool,
}

/// Runs tasks until all are done or enough rows have been read.
fn run_tasks(tx: &Tx<'_>, plan: &Plan<'_>, tasks: &mut Vec<Task>, sums: &mut [Sums]) -> Result<(), StoreError> {
    let mut rows = 0;
    while rows < ROWS_PER_READ {
        match tasks.pop() {
            None => break,
            Some(Task::Plan(index)) => {
                let (Some(period), Some(sums)) = (plan.periods.get(index), sums.get(index)) else { continue };
                let parts = plan.parts(tx, *period, sums)?;
                rows += LEVELS.len() * 2;
                tasks.extend(parts.into_iter().rev().map(|part| Task::Read(index, part)));
            }
            Some(Task::Read(index, part)) => {
                let Some(sums) = sums.get_mut(index) else { continue };
                let (read, rest) = sums.add(tx, plan.generation, part)?;
                rows += read + 1;
                tasks.extend(rest.map(|part| Task::Read(index, part)));
            }
        }
    }
    Ok(())
}

impl Plan<'_> {
    /// The parts of a period. It is extended to whole buckets if the extension contains no entries.
    fn parts(&self, tx: &Tx<'_>, period: Period, sums: &Sums) -> Result<Vec<Part>, StoreError> {
        let entries = || tx.scan::<Entry>().prefix(self.generation);
        let (first, last) = (entries().first()?, entries().backward().first()?);
        let (Some(first), Some(last)) = (first, last) else { return Ok(Vec::new()) };
        let is_empty =
            |from: Timestamp, to: Timestamp| Ok(from >= to || entries().from(from).before(to).first()?.is_none());
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
        let (hours_start, hours_end) = whole_hours(start, end);
        let edges = [(start, hours_start), (hours_end, end)].into_iter().filter(|(from, to)| from < to);
        let mut parts: Vec<Part> = edges.map(|(from, to)| Part::Entries(EntryCursor::at(from), to)).collect();
        let plain = cover(hours_start, hours_end);
        let signed = if self.subtracting {
            signed_cover(hours_start, hours_end)
        } else {
            plain.iter().map(|run| (Sign::Plus, *run)).collect()
        };
        sums.wanted.each_table(&signed, &plain, |part| parts.push(part));
        Ok(parts)
    }
}
