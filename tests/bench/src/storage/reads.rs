//! Reads from snapshots: gets, short scans, and scans of an index.

use std::sync::Arc;
use std::time::{Duration, Instant};

use promox_embedded::EmbeddedEngine;
use promox_storage::{Engine, Stamp, StoreError, Tx};

use super::checkout::{DATABASE, Line, Order, OrderByUser, USERS};

/// Measures reads of one thread, each from a snapshot of its own, and prints their rates.
pub(crate) fn run(engine: &Arc<EmbeddedEngine>, orders: i64, span: Duration) -> Result<(), StoreError> {
    let orders = orders.max(2);
    let rate = |name: &str, read: &dyn Fn(&Tx<'_>, i64) -> Result<usize, StoreError>| {
        let (started, mut count, mut rows) = (Instant::now(), 0_u64, 0);
        while started.elapsed() < span {
            for _ in 0..64 {
                let snapshot = engine.snapshot(DATABASE);
                let tx = Tx::new(&*snapshot, DATABASE, Stamp::default());
                rows += read(&tx, (count.cast_signed() * 7919) % orders)?;
                count += 1;
            }
        }
        let per_second = u128::from(count) * 1_000_000 / started.elapsed().as_micros().max(1);
        println!("{name:<44} {per_second:>9}/s    ({rows} rows)");
        Ok::<_, StoreError>(())
    };
    rate("reads: get of an order", &|tx, id| Ok(usize::from(tx.get::<Order>(&id)?.is_some())))?;
    rate("reads: 20 lines in key order", &|tx, id| Ok(tx.scan::<Line>().from(id).collect(20)?.len()))?;
    rate("reads: 20 orders by user, newest first", &|tx, id| {
        Ok(tx.scan_by::<OrderByUser>().before(id % USERS).backward().collect(20)?.len())
    })
}
