//! The latency of the disk itself.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::latency::Latencies;

/// Length of the preallocated file.
const LENGTH: u64 = 64 << 20;
const BLOCK: u64 = 4096;

/// Writes blocks of 4 KiB one after another to a preallocated file, with a sync each.
pub(crate) fn append_and_sync(dir: &Path, span: Duration) -> io::Result<Latencies> {
    let path = dir.join("raw");
    std::fs::write(&path, vec![0; usize::try_from(LENGTH).map_err(io::Error::other)?])?;
    let file = std::fs::OpenOptions::new().write(true).open(&path)?;
    file.sync_all()?;
    let (mut latencies, started, block, mut at) = (Latencies::default(), Instant::now(), [7; 4096], 0);
    while started.elapsed() < span {
        let write_started = Instant::now();
        file.write_all_at(&block, at)?;
        file.sync_data()?;
        latencies.add(write_started.elapsed());
        at = (at + BLOCK) % LENGTH;
    }
    std::fs::remove_file(&path)?;
    Ok(latencies)
}
