//! What the disk itself takes.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::latency::Latencies;

/// A preallocated file's length.
const LENGTH: u64 = 64 << 20;
const BLOCK: u64 = 4096;

/// Appends blocks of 4 KiB to a file that was filled with zeros, with a sync each.
pub(crate) fn append_and_sync(dir: &Path, span: Duration) -> io::Result<Latencies> {
    let path = dir.join("raw");
    std::fs::write(&path, vec![0; usize::try_from(LENGTH).map_err(io::Error::other)?])?;
    let file = std::fs::OpenOptions::new().write(true).open(&path)?;
    file.sync_all()?;
    let (mut latencies, started, block, mut at) = (Latencies::default(), Instant::now(), [7; 4096], 0);
    while started.elapsed() < span {
        let begun = Instant::now();
        file.write_all_at(&block, at)?;
        file.sync_data()?;
        latencies.add(begun.elapsed());
        at = (at + BLOCK) % LENGTH;
    }
    std::fs::remove_file(&path)?;
    Ok(latencies)
}
