//! Flash sale reservations of a single item with a limit per buyer, each answered when it is durable. The same check as
//! a Lua script in Redis, on the same disk in the same run, if `redis-server` is installed.

mod redis;
mod service;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::latency::Latencies;

/// Maximum units per buyer.
const LIMIT: u32 = 2;

/// Options of the benchmark.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Numbers of concurrent buyers, one measurement each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64, 512])]
    buyers: Vec<usize>,
    /// Units of each measurement, at most a million. The measurement ends early when they are sold out.
    #[arg(long, default_value_t = 1_000_000)]
    stock: u32,
    /// Where to put the files; a directory below it is created and removed.
    #[arg(long, default_value = "target")]
    dir: PathBuf,
}

impl Options {
    fn span(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// A line of the table, with a note when everything was sold before the time was up.
fn line(options: &Options, all: &mut Latencies, name: &str, took: Duration) -> String {
    let sold_out = all.count() >= options.stock as usize;
    let line = all.line(name, took);
    if sold_out { format!("{line}   all sold after {} ms", took.as_millis()) } else { line }
}

/// Runs the benchmark and prints its table.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_ends_when_the_sale_is_sold_out() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { seconds: 3_600, buyers: vec![1, 8], stock: 100, dir: dir.path().to_owned() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(service::run(&options, dir.path())).unwrap();
        let mut all = Latencies::default();
        (0..100).for_each(|_| all.add(Duration::from_millis(1)));
        assert!(line(&options, &mut all, "sold", Duration::from_millis(50)).contains("all sold after 50 ms"));
    }
}
