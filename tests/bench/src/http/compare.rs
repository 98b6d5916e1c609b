//! The cost of a change: compares the server built here with another binary. Both servers have the same data, run the
//! whole time, and take turns under the same load, so that a slower machine slows both.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::server::Program;
use super::shop::{Kind, Shop, Turn};

/// Distance between the request numbers of two turns, so that no number is used twice.
const TURN_STRIDE: u64 = 1 << 32;

/// Options of the benchmark.
#[derive(Args)]
pub(crate) struct Options {
    /// The binary to compare with, such as one built from the commit before a change.
    #[arg(long, value_name = "OLD_BINARY")]
    compare: PathBuf,
    /// Pairs of turns of each line; use an odd number, so that the median is one of them.
    #[arg(long, default_value_t = 21, value_parser = clap::value_parser!(u64).range(1..))]
    pairs: u64,
    /// Seconds of each turn.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Only lines whose name contains this.
    #[arg(long, default_value = "", hide_default_value = true)]
    only: String,
    /// A setting of the new server, such as storage.memory_mib=512; an empty value removes one that benchmarks set.
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// A setting of the old server.
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    old_set: Vec<(String, String)>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(table(options))
}

/// A line of the comparison: a kind of request, the number of connections, and the figures to print.
struct Line {
    kind: Kind,
    connections: usize,
    figures: &'static [Figure],
}

/// Reads come first, because orders cause mail to be sent in the background.
const LINES: [Line; 6] = [
    Line { kind: Kind::Product, connections: 64, figures: &[Figure::Rate, Figure::Cpu] },
    Line { kind: Kind::List, connections: 64, figures: &[Figure::Rate, Figure::Cpu] },
    Line { kind: Kind::Cart, connections: 64, figures: &[Figure::Rate, Figure::Cpu] },
    Line { kind: Kind::NewCart, connections: 1, figures: &[Figure::P50, Figure::Cpu] },
    Line { kind: Kind::Checkout, connections: 1, figures: &[Figure::P50, Figure::Cpu] },
    Line { kind: Kind::Checkout, connections: 64, figures: &[Figure::Rate, Figure::P50, Figure::P99, Figure::Cpu] },
];

#[derive(Clone, Copy)]
enum Figure {
    /// Requests per second; the only figure of which more is better.
    Rate,
    P50,
    P99,
    /// The server's CPU time per request.
    Cpu,
}

impl Figure {
    fn name(self) -> &'static str {
        match self {
            Self::Rate => "requests/s",
            Self::P50 => "p50 µs",
            Self::P99 => "p99 µs",
            Self::Cpu => "CPU µs",
        }
    }

    /// The figure of a turn, in tenths of its unit.
    fn of(self, turn: &mut Turn) -> u64 {
        let count = turn.latencies.count() as u128;
        let tenths = match self {
            Self::Rate => count * 10_000_000_000 / turn.took.as_nanos().max(1),
            Self::P50 => turn.latencies.per_mille(500).as_nanos() / 100,
            Self::P99 => turn.latencies.per_mille(990).as_nanos() / 100,
            Self::Cpu => turn.cpu.as_nanos() / 100 / count.max(1),
        };
        u64::try_from(tenths).unwrap_or(u64::MAX)
    }
}

async fn table(options: &Options) -> Result<(), Box<dyn Error>> {
    let old = shop(Program::at(&options.compare)?, &options.old_set).await?;
    let new = shop(Program::built_here()?, &options.set).await?;
    let shops = Shops { old, new };
    println!("{} pairs of turns of {} s, old: {}", options.pairs, options.seconds, options.compare.display());
    println!(
        "{:<38} {:<10} {:>10} {:>10} {:>8} {:>15} {:>15}",
        "medians, and new ÷ old of the pairs", "", "old", "new", "ratio", "quartiles", "all"
    );
    let mut from = 0;
    for line in LINES {
        let name = format!("{} × {}", line.kind.name(), line.connections);
        if name.contains(&options.only) {
            let pairs = shops.compare(&line, options, &mut from).await?;
            line.figures.iter().zip(pairs).for_each(|(figure, pairs)| println!("{}", row(&name, *figure, &pairs)));
        }
    }
    Ok(())
}

async fn shop(mut program: Program, settings: &[(String, String)]) -> Result<Shop, Box<dyn Error>> {
    settings.iter().for_each(|(key, value)| program.set(key, value));
    Shop::open(program).await
}

/// A figure of a pair of turns: of the old server and of the new one.
type Pair = (u64, u64);

struct Shops {
    old: Shop,
    new: Shop,
}

impl Shops {
    /// Measures a line and returns the pairs of each of its figures.
    async fn compare(&self, line: &Line, options: &Options, from: &mut u64) -> Result<Vec<Vec<Pair>>, Box<dyn Error>> {
        let mut measured: Vec<Vec<Pair>> = line.figures.iter().map(|_| Vec::new()).collect();
        // The first pair is a warm-up.
        for number in 0..=options.pairs {
            *from += TURN_STRIDE;
            let turn = |shop| turn(shop, line, options, *from);
            // Which shop goes first alternates, so that neither always follows the other's load.
            let (mut old, mut new) = if number % 2 == 0 {
                let old = turn(&self.old).await?;
                (old, turn(&self.new).await?)
            } else {
                let new = turn(&self.new).await?;
                (turn(&self.old).await?, new)
            };
            if number > 0 {
                for (figure, pairs) in line.figures.iter().zip(&mut measured) {
                    pairs.push((figure.of(&mut old), figure.of(&mut new)));
                }
            }
        }
        Ok(measured)
    }
}

async fn turn(shop: &Shop, line: &Line, options: &Options, from: u64) -> Result<Turn, Box<dyn Error>> {
    shop.turn(line.kind, line.connections, Duration::from_secs(options.seconds), from).await
}

/// A row of the table: the medians of both sides; the median, the quartiles, the minimum and the maximum of the pairs'
/// ratios.
fn row(name: &str, figure: Figure, pairs: &[Pair]) -> String {
    let [_, _, old, _, _] = quartiles(pairs.iter().map(|(old, _)| *old).collect());
    let [_, _, new, _, _] = quartiles(pairs.iter().map(|(_, new)| *new).collect());
    let [min, low, median, high, max] = quartiles(pairs.iter().map(|(old, new)| new * 1_000 / (*old).max(1)).collect());
    let tenths = |value: u64| format!("{}.{}", value / 10, value % 10);
    let ratio = |thousandths: u64| format!("{}.{:03}", thousandths / 1_000, thousandths % 1_000);
    let [quartiles, all] = [(low, high), (min, max)].map(|(low, high)| format!("{} – {}", ratio(low), ratio(high)));
    format!(
        "{name:<38} {:<10} {:>10} {:>10} {:>8} {quartiles:>15} {all:>15}",
        figure.name(),
        tenths(old),
        tenths(new),
        ratio(median)
    )
}

/// Minimum, first quartile, median, third quartile and maximum.
fn quartiles(mut values: Vec<u64>) -> [u64; 5] {
    values.sort_unstable();
    let last = values.len().saturating_sub(1);
    [0, 1, 2, 3, 4].map(|quarter| values.get((last * quarter + 2) / 4).copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_medians_of_each_side_and_the_spread_of_ratios() {
        let pairs = [(1_000, 1_100), (2_000, 1_000), (4_000, 4_000), (1_000, 2_000), (1_000, 900)];
        let row = row("line", Figure::Rate, &pairs);
        let words: Vec<_> = row.split_whitespace().collect();
        assert_eq!(words.join(" "), "line requests/s 100.0 110.0 1.000 0.900 – 1.100 0.500 – 2.000");
    }
}
