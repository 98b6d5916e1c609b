//! Power cuts. The disk records every change, and the states that a power cut could leave are opened again.

use std::sync::Arc;

use promox_embedded::disk::{Disk, DiskOp, Fault, FaultyDisk, MemoryDisk, Persisted};
use promox_kernel::Entropy;
use promox_storage::StoreError;

use crate::rows::{Account, account};
use crate::stepped::Stepped;

/// The number of accounts at the start of a run.
pub(crate) const ACCOUNTS: i64 = 4;
/// The sum of all balances, which transfers do not change.
const TOTAL: i64 = ACCOUNTS * 100;

/// The rows after an acknowledged transaction.
struct Acknowledged {
    /// The number of recorded changes at the time of the acknowledgement.
    changes: usize,
    rows: Vec<(i64, i64)>,
}

/// The recorded changes of a run, and what it acknowledged.
pub(crate) struct Run {
    log: Vec<DiskOp>,
    acknowledged: Vec<Acknowledged>,
}

impl Run {
    /// Returns the rows that may be found after the first `changes` changes, with the next one in progress: those of
    /// the last acknowledgement, or of the next one.
    fn allowed(&self, changes: usize) -> (&[(i64, i64)], Option<&[(i64, i64)]>) {
        let next = self.acknowledged.partition_point(|point| point.changes <= changes);
        let rows = |at: usize| self.acknowledged.get(at).map(|point| point.rows.as_slice());
        (rows(next.wrapping_sub(1)).unwrap_or_default(), rows(next))
    }

    /// Checks the rows that were found after the first `changes` changes.
    fn check(&self, changes: usize, found: &[(i64, i64)], what: &str) {
        let (newest, next) = self.allowed(changes);
        assert!(found == newest || Some(found) == next, "{what}: {found:?}, not {newest:?} or {next:?}");
        let total: i64 = found.iter().map(|(_, balance)| balance).sum();
        assert!(found.is_empty() || total == TOTAL, "{what}: only a part of a transaction");
    }
}

/// Moves money between accounts with `transfer`, and writes some checkpoints. `wrap` may put another disk between the
/// engine and the recording disk.
pub(crate) async fn run(
    transactions: i64,
    wrap: impl Fn(MemoryDisk) -> Arc<dyn Disk>,
    transfer: impl AsyncFn(&mut Stepped, i64) -> Result<(), StoreError>,
) -> Run {
    let disk = MemoryDisk::recording();
    let mut store = Stepped::open(wrap(disk.clone())).unwrap();
    let mut acknowledged = Vec::new();
    for number in 0..transactions {
        let done = if number == 0 { begin(&mut store).await } else { transfer(&mut store, number).await };
        done.unwrap();
        acknowledged.push(Acknowledged { changes: disk.log_len(), rows: store.balances().await });
        if number % 5 == 3 {
            store.freeze();
            store.checkpoint();
        }
    }
    Run { log: disk.log(), acknowledged }
}

/// Creates the accounts.
async fn begin(store: &mut Stepped) -> Result<(), StoreError> {
    store.write(|tx| (1..=ACCOUNTS).try_for_each(|id| tx.insert(&account(id, 100)))).await
}

/// Moves money between two accounts in one transaction.
async fn transfer(store: &mut Stepped, number: i64) -> Result<(), StoreError> {
    let (from, to) = (number % ACCOUNTS + 1, (number + 1) % ACCOUNTS + 1);
    let change = move |tx: &mut promox_storage::Tx<'_>, id: i64, by: i64| {
        let balance = tx.get::<Account>(&id)?.map_or(0, |row| row.balance);
        tx.put(&account(id, balance + by))
    };
    store
        .write(move |tx| {
            change(tx, from, -number)?;
            change(tx, to, number)
        })
        .await
}

/// Returns the numbers of the files that are journal segments.
fn journals(log: &[DiskOp]) -> Vec<usize> {
    let created = log.iter().filter_map(|op| match op {
        DiskOp::Create(path, file) if path.to_string_lossy().contains("journal") => Some(*file),
        _ => None,
    });
    created.collect()
}

/// Returns where to cut a change: a write to the journal at every byte, anything else at a few places.
fn cuts(op: &DiskOp, journals: &[usize]) -> Vec<usize> {
    match op {
        DiskOp::Write(file, _, bytes) if journals.contains(file) && bytes.iter().any(|byte| *byte != 0) => {
            (0..bytes.len()).collect()
        }
        DiskOp::Write(_, _, bytes) => (0..bytes.len()).step_by((bytes.len() / 2).max(1)).collect(),
        _ => vec![0],
    }
}

async fn reopened(disk: MemoryDisk) -> Vec<(i64, i64)> {
    Stepped::open(Arc::new(disk)).expect("a power cut must not look like damage").balances().await
}

#[tokio::test]
async fn a_power_cut_at_any_byte_of_the_journal_loses_no_acknowledged_change() {
    cut_at_every_byte(&run(12, |disk| Arc::new(disk), transfer).await).await;
}

/// Opens what a power cut at every byte of the journal leaves, and checks that the acknowledged transactions are there.
pub(crate) async fn cut_at_every_byte(run: &Run) {
    let journals = journals(&run.log);
    let mut checked = 0;
    for (changes, op) in run.log.iter().enumerate() {
        let before = MemoryDisk::rebuild(&run.log[..changes], |_, _| Persisted::Whole);
        for cut in cuts(op, &journals) {
            let disk = before.copy();
            disk.replay(op, Persisted::First(cut));
            run.check(changes, &reopened(disk).await, &format!("cut at byte {cut} of change {changes}"));
            checked += 1;
        }
    }
    assert!(checked > 2_000, "{checked} cuts");
    run.check(run.log.len(), &reopened(MemoryDisk::rebuild(&run.log, |_, _| Persisted::Whole)).await, "no cut");
}

#[tokio::test]
async fn a_power_cut_during_recovery_loses_no_acknowledged_change() {
    let run = run(12, |disk| Arc::new(disk), transfer).await;
    for changes in (0..run.log.len()).step_by(7) {
        let left = MemoryDisk::rebuild(&run.log[..changes], |_, _| Persisted::Whole);
        left.record();
        drop(Stepped::open(Arc::new(left.clone())).unwrap());
        let recovery = left.log();
        for second in (0..recovery.len()).step_by(3) {
            let disk = MemoryDisk::rebuild(&run.log[..changes], |_, _| Persisted::Whole);
            recovery.iter().take(second).for_each(|op| disk.replay(op, Persisted::Whole));
            run.check(changes, &reopened(disk).await, &format!("change {changes}, then change {second} of recovery"));
        }
    }
}

/// Simulates a power cut, which may keep any part of what was not synced. Of unsynced writes a random part is kept, and
/// of unsynced changes of names a random number of the first ones.
fn power_cut(log: &[DiskOp], entropy: &Entropy) -> MemoryDisk {
    let synced = |number: usize, file: usize| log.iter().skip(number).any(|op| *op == DiskOp::Sync(file));
    let names_synced = |number: usize| log.iter().skip(number).any(|op| *op == DiskOp::SyncDir);
    let mut names_lost = false;
    MemoryDisk::rebuild(log, |number, op| match op {
        DiskOp::Write(file, _, bytes) if !synced(number, *file) => match entropy.below(3) {
            0 => Persisted::Nothing,
            1 => Persisted::First(usize::try_from(entropy.below(bytes.len() as u64)).unwrap()),
            _ => Persisted::Whole,
        },
        DiskOp::Create(..) | DiskOp::Rename(..) | DiskOp::Remove(_) if !names_synced(number) => {
            names_lost |= entropy.below(4) == 0;
            if names_lost { Persisted::Nothing } else { Persisted::Whole }
        }
        _ => Persisted::Whole,
    })
}

#[tokio::test]
async fn a_power_cut_with_any_unsynced_part_lost_loses_no_acknowledged_change() {
    let run = run(12, |disk| Arc::new(disk), transfer).await;
    let entropy = Entropy::seeded(11);
    for changes in 0..=run.log.len() {
        for _ in 0..4 {
            let disk = power_cut(&run.log[..changes], &entropy);
            run.check(changes, &reopened(disk).await, &format!("power cut after change {changes}"));
        }
    }
}

/// The negative control: without syncs, the same check must find losses.
#[tokio::test]
async fn a_store_that_never_syncs_is_detected() {
    let never_syncs = |disk| -> Arc<dyn Disk> {
        let faulty = FaultyDisk::over(Arc::new(disk));
        faulty.fail(Fault::SilentSync, 0, u64::MAX);
        Arc::new(faulty)
    };
    let run = run(12, never_syncs, transfer).await;
    let entropy = Entropy::seeded(11);
    let lost = (0..=run.log.len()).filter(|changes| {
        let disk = power_cut(&run.log[..*changes], &entropy);
        let newest = run.allowed(*changes).0;
        match Stepped::open(Arc::new(disk)) {
            Ok(store) => {
                let found = poll_ready(store.balances());
                found != newest && Some(found.as_slice()) != run.allowed(*changes).1
            }
            Err(_) => true,
        }
    });
    assert!(lost.count() > 0, "the crash test cannot tell a store that never syncs");
}

/// Polls a future that is ready at once.
fn poll_ready<T>(work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match work.as_mut().poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => unreachable!("the future is not ready"),
    }
}
