//! CPU time of the writer and the checkpointer for a checkout: both are stepped, the disk is in memory, and the best of
//! many windows counts, so that results are comparable on a machine with other load.

use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use promox_embedded::disk::MemoryDisk;
use promox_embedded::{Assembled, EmbeddedEngine, Options as StoreOptions};
use promox_kernel::{Clock, Cx, Entropy, Node, Timestamp};
use promox_storage::Db;

use super::checkout::{DATABASE, USERS, place, schema, seed};

/// Transactions in a group.
const GROUP: i64 = 64;
/// Groups in a window.
const GROUPS: i64 = 30;
/// Number of windows.
const WINDOWS: usize = 40;

/// Runs the measurement and prints its lines.
pub(crate) fn run() -> Result<(), Box<dyn std::error::Error>> {
    let options = StoreOptions { disk: Arc::new(MemoryDisk::new()), ..StoreOptions::new("/store") };
    let mut parts = EmbeddedEngine::assemble(options, &schema()?)?;
    let node = Node::new(Clock::real(Timestamp::EPOCH), Entropy::system());
    let cx = Cx::system(&node, "bench", Duration::from_secs(3600));
    let db = parts.engine.database(DATABASE);
    for from in (0..USERS).step_by(1_000) {
        group(&db, &cx, &mut parts, std::iter::once(from), |tx, from| seed(tx, from, from + 1_000))?;
    }
    let (mut writer, mut checkpoint, mut next) = (Vec::new(), Vec::new(), 1);
    for _ in 0..WINDOWS {
        let started = Instant::now();
        for _ in 0..GROUPS {
            group(&db, &cx, &mut parts, next..next + GROUP, place)?;
            next += GROUP;
        }
        writer.push(started.elapsed());
        let started = Instant::now();
        if parts.engine.metrics().checkpoints < next.unsigned_abs() {
            parts.checkpointer.turn(Duration::ZERO);
        }
        checkpoint.push(started.elapsed());
    }
    let each = |spans: &mut Vec<Duration>, at: usize| {
        spans.sort_unstable();
        let nanos = spans.get(at).map_or(0, Duration::as_nanos) / u128::from((GROUP * GROUPS).unsigned_abs());
        format!("{}.{:02}", nanos / 1000, nanos % 1000 / 10)
    };
    println!(
        "writer: CPU of a checkout, submitted and answered: best {} us, median {} us",
        each(&mut writer, 0),
        each(&mut writer, WINDOWS / 2)
    );
    let longest = checkpoint.iter().max().copied().unwrap_or_default();
    println!("    the longest checkpoint turn took {} ms", longest.as_millis());
    Ok(())
}

/// Submits work for each id, steps the writer once, and collects the results.
fn group(
    db: &Db,
    cx: &Cx,
    parts: &mut Assembled,
    ids: impl Iterator<Item = i64>,
    work: impl Fn(&mut promox_storage::Tx<'_>, i64) -> Result<(), promox_storage::StoreError> + Send + Copy + 'static,
) -> Result<(), promox_storage::StoreError> {
    let mut context = Context::from_waker(Waker::noop());
    let mut waiting: Vec<_> = ids.map(|id| Box::pin(db.write(cx, move |tx| work(tx, id)))).collect();
    for one in &mut waiting {
        let _ = one.as_mut().poll(&mut context);
    }
    parts.writer.turn(Duration::ZERO);
    for one in &mut waiting {
        if let std::task::Poll::Ready(done) = one.as_mut().poll(&mut context) {
            done?;
        }
    }
    Ok(())
}
