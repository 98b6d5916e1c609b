//! Flash reservations: one hot item, a limit a buyer, each answered when it is durable; and the same check as a Lua script
//! in Redis on the same disk in the same run, where `redis-server` is installed.

mod redis;
mod service;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::latency::Latencies;

/// What one buyer may have.
const LIMIT: u32 = 2;
/// What there is: more than is reserved in any run.
const STOCK: u32 = 1_000_000;

/// What to measure.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How many reserve at once, one measurement each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64, 512])]
    buyers: Vec<usize>,
    /// Where to put the files; a directory below it is made and removed.
    #[arg(long, default_value = "target")]
    dir: PathBuf,
}

impl Options {
    fn span(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir_in(&options.dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!("{}", Latencies::heading());
    runtime.block_on(async {
        service::run(options, dir.path()).await?;
        for policy in ["always", "everysec"] {
            redis::run(options, dir.path(), policy).await?;
        }
        Ok(())
    })
}
