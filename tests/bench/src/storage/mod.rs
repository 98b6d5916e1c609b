//! The store's benchmark: raw append and sync, a one-row transaction, checkout-shaped transactions at rising concurrency,
//! and the same through redb's own group commit, all on one disk in one run.

pub(crate) mod checkout;
mod raw;
mod reads;
mod redb_group;
mod store;
mod writer;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::latency::Latencies;

/// What to measure.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How many submit at once, one measurement each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 64, 512])]
    submitters: Vec<usize>,
    /// Orders that are in the store before the first measurement.
    #[arg(long, default_value_t = 0)]
    orders: i64,
    /// Journal that begins a checkpoint, in MiB.
    #[arg(long, default_value_t = 8)]
    checkpoint_mib: u64,
    /// Where to put the files; a directory below it is made and removed.
    #[arg(long, default_value = "target")]
    dir: PathBuf,
    /// Only what the writer costs in CPU.
    #[arg(long)]
    cpu_only: bool,
    /// Only the store itself.
    #[arg(long)]
    store_only: bool,
}

impl Options {
    fn span(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir_in(&options.dir)?;
    writer::run()?;
    if options.cpu_only {
        return Ok(());
    }
    println!("{}", Latencies::heading());
    let mut raw = raw::append_and_sync(dir.path(), options.span())?;
    println!("{}", raw.line("raw: append 4 KiB, fdatasync", options.span()));
    store::run(options, dir.path(), raw.per_mille(500))?;
    if !options.store_only {
        redb_group::run(options, dir.path())?;
    }
    Ok(())
}
