//! The embedded store: raw appends with sync, one-row transactions, checkout-shaped transactions with rising
//! concurrency, and the same transactions with redb's own commits, all on one disk in one run.

pub(crate) mod checkout;
pub(crate) mod postgres;
pub(crate) mod raw;
mod reads;
mod redb_group;
mod store;
mod writer;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::latency::Latencies;

/// Options of the benchmark.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Numbers of concurrent submitters, one measurement each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8, 64, 512])]
    submitters: Vec<usize>,
    /// Number of orders in the store before the first measurement.
    #[arg(long, default_value_t = 0)]
    orders: i64,
    /// Journal size in MiB after which a checkpoint begins.
    #[arg(long, default_value_t = 8)]
    checkpoint_mib: u64,
    /// Where to put the files; a directory below it is created and removed.
    #[arg(long, default_value = "target")]
    dir: PathBuf,
    /// Measure only the CPU time of the writer.
    #[arg(long)]
    cpu_only: bool,
    /// Measure only the store, not redb's own commits.
    #[arg(long)]
    store_only: bool,
}

impl Options {
    fn span(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// Runs the benchmark and prints its table.
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
