//! Instructions of the server per request, counted by Callgrind: unlike times, they do not depend on what else the
//! machine does.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Args;
use tempfile::TempDir;

use super::client;
use super::floors::{Figure, order, orders};
use super::server::Program;
use super::shop::{Kind, Shop};

/// Reads that are counted.
const READS: u64 = 500;
/// Orders that are counted.
const ORDERS: u64 = 640;
/// Requests before the count, so that caches are filled.
const WARM_UP: u64 = 64;
/// Orders on so many connections share transaction groups.
const CONNECTIONS: usize = 16;
/// How long what follows a change may take under Callgrind, with its checkpoint.
const SETTLE: Duration = Duration::from_secs(15);
/// The functions in which mail is written, rendered, stored and recorded, as parts of their names. None calls another.
const MAIL: [&str; 4] = [
    "promox_notification::jobs::send_due",
    "promox_notification::transport::write_file::{{closure}}::{{closure}}",
    "promox_notification::commands::record",
    "promox_notification::events::WriteDeliveries as promox_storage::consumer::Consumer>::apply",
];

/// The table of instructions. It needs `valgrind`.
#[derive(Args)]
pub(crate) struct Options {
    /// Another binary, whose instructions are counted too. It must have its symbols.
    #[arg(long, value_name = "OLD_BINARY")]
    compare: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let new = runtime.block_on(Counts::of(Program::built_here()?))?;
    if let Some(old) = &options.compare {
        let old = runtime.block_on(Counts::of(Program::at(old)?))?;
        println!("{:<40} {:>12} {:>12} {:>8}", "instructions", "old", "new", "new÷old");
        for ((name, old), (_, new)) in old.lines().into_iter().zip(new.lines()) {
            let thousandths = new * 1_000 / old.max(1);
            println!("{name:<40} {old:>12} {new:>12} {:>4}.{:03}", thousandths / 1_000, thousandths % 1_000);
        }
        println!();
    }
    for (name, count) in new.lines() {
        println!("{name:<66} {count:>12}");
    }
    Figure::at_most("an order without its mail, instructions", new.order * 100, 90_000_000).print();
    Figure::at_most("a mail, instructions", new.mail * 100, 15_000_000).print();
    Ok(())
}

/// Instructions per request.
struct Counts {
    reads: Vec<(&'static str, u64)>,
    order: u64,
    mail: u64,
}

impl Counts {
    async fn of(mut program: Program) -> Result<Self, Box<dyn Error>> {
        // The catalog is in the checkpoint before orders are counted, and the rows of the orders before the count ends.
        program.set("storage.checkpoint_seconds", "5");
        let dir = tempfile::tempdir()?;
        let shop = Shop::open(program.under_callgrind(&dir.path().join("counts"))).await?;
        tokio::time::sleep(SETTLE).await;
        let mut callgrind = Callgrind { dir, process: shop.server.id(), counts: 0 };
        let mut reads = Vec::new();
        for kind in [Kind::Product, Kind::List, Kind::Cart] {
            callgrind.control("--instr=on")?;
            shop.send(kind, 1, WARM_UP, 0).await?;
            callgrind.control("--zero")?;
            shop.send(kind, 1, READS, WARM_UP).await?;
            let file = callgrind.stop()?;
            reads.push((kind.name(), total(&file)? / READS));
        }
        let server = &shop.server;
        callgrind.control("--instr=on")?;
        // Code that runs for the first time under Callgrind is so slow that an order may be refused.
        client::load(server.address, CONNECTIONS, Duration::MAX, WARM_UP, &order).await?;
        tokio::time::sleep(SETTLE).await;
        callgrind.control("--zero")?;
        orders(server, CONNECTIONS, Duration::MAX, ORDERS, 1 << 40).await?;
        tokio::time::sleep(SETTLE).await;
        let file = callgrind.stop()?;
        let mail = inclusive(&file, &MAIL)? / ORDERS;
        Ok(Self { reads, order: (total(&file)? / ORDERS).saturating_sub(mail), mail })
    }

    fn lines(&self) -> Vec<(&'static str, u64)> {
        let mut lines = self.reads.clone();
        lines.extend([("an order of 2 lines, without its mail", self.order), ("a mail", self.mail)]);
        lines
    }
}

/// Callgrind, counting the instructions of a process.
struct Callgrind {
    dir: TempDir,
    process: u32,
    /// Counts so far.
    counts: u32,
}

impl Callgrind {
    /// Ends a count. Returns the file with it.
    fn stop(&mut self) -> Result<PathBuf, Box<dyn Error>> {
        self.control("--dump")?;
        self.control("--instr=off")?;
        self.counts += 1;
        Ok(self.dir.path().join(format!("counts.{}", self.counts)))
    }

    fn control(&self, action: &str) -> Result<(), Box<dyn Error>> {
        let process = self.process.to_string();
        let status = Command::new("callgrind_control")
            .args([action, &process])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if status.success() { Ok(()) } else { Err(format!("callgrind_control {action} failed").into()) }
    }
}

/// All instructions of a count.
fn total(file: &Path) -> Result<u64, Box<dyn Error>> {
    let text = std::fs::read_to_string(file)?;
    Ok(text.lines().find_map(|line| line.strip_prefix("totals: ")).ok_or("the count has no total")?.trim().parse()?)
}

/// The instructions of a count inside these functions and what they call.
fn inclusive(file: &Path, names: &[&str]) -> Result<u64, Box<dyn Error>> {
    let output =
        Command::new("callgrind_annotate").args(["--inclusive=yes", "--threshold=100"]).arg(file).output()?.stdout;
    let text = String::from_utf8_lossy(&output);
    let mut sum = 0;
    for name in names {
        // The lines are in descending order: the outermost function comes first.
        let line = text.lines().find(|line| line.contains(name) && line.contains('%'));
        let line = line.ok_or_else(|| format!("{name} was not called, or the binary has no symbols"))?;
        let number = line.split_whitespace().next().unwrap_or_default().replace(',', "");
        sum += number.parse::<u64>()?;
    }
    Ok(sum)
}
