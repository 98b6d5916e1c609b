//! `promox import`: a catalogue or past orders from a file into a closed store.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, Subcommand};
use promox_kernel::{Body, BodyReader, BodySender, Cx, Error};
use promox_order::{ImportOrders, ImportReport};

use super::{Common, progress};
use crate::exit::Exit;
use crate::log;
use crate::node::Promox;

/// How long an import may take.
const LIMIT: Duration = Duration::from_secs(6 * 3600);
/// Bytes that are read at a time.
const CHUNK: usize = 64 << 10;
/// Row errors that are printed.
const MOST_PRINTED: usize = 20;

/// Take a catalogue or past orders from a file.
#[derive(Debug, Args)]
pub(super) struct Import {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Past orders and credit notes, with the prices and dates they had: CSV with a row a line, or NDJSON.
    History {
        /// The file.
        file: PathBuf,
    },
}

impl Import {
    pub(super) fn run(self, common: &Common) -> Result<(), Exit> {
        let loaded = common.load(Vec::new())?;
        log::start(&loaded.settings.log);
        let What::History { file } = self.what;
        let opened = File::open(&file).map_err(|error| Exit::usage(format_args!("{}: {error}", file.display())))?;
        super::runtime(&loaded.settings)?.block_on(async {
            let promox = Promox::headless(&loaded)?;
            let done = history(&promox, &file, opened).await;
            promox.close().await;
            print_history(&done?);
            Ok(())
        })
    }
}

async fn history(promox: &Promox, path: &Path, file: File) -> Result<ImportReport, Exit> {
    let cx = Cx::system(promox.node(), "import", LIMIT);
    let body = stream(path, file)?;
    cx.call(ImportOrders { body }).await.map_err(refused)
}

/// The file as an operation's body, read on a thread of its own.
pub(super) fn stream(path: &Path, file: File) -> Result<Body, Exit> {
    let length = file.metadata().map_err(Exit::io)?.len();
    let lines = path.extension().is_some_and(|extension| extension == "ndjson" || extension == "jsonl");
    let media_type = if lines { "application/x-ndjson" } else { "text/csv" }.to_owned();
    let (sender, reader) = BodyReader::pair();
    std::thread::spawn(move || feed(file, length, &sender));
    Ok(Body { media_type, reader: Some(reader), headers: Vec::new() })
}

fn feed(mut file: File, length: u64, sender: &BodySender) {
    let bar = progress::bytes(length);
    let mut buffer = vec![0; CHUNK];
    loop {
        let chunk = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => Ok(Bytes::copy_from_slice(buffer.get(..read).unwrap_or_default())),
            Err(error) => Err(Error::internal(error)),
        };
        bar.inc(chunk.as_ref().map_or(0, |chunk| chunk.len() as u64));
        if chunk.is_err() | !sender.send_blocking(chunk) {
            break;
        }
    }
    bar.finish_and_clear();
}

/// An import that was refused as a whole.
pub(super) fn refused(error: Error) -> Exit {
    Exit::data(error)
}

fn print_history(report: &ImportReport) {
    let (orders, notes) = (&report.orders, &report.credit_notes);
    println!("{} orders with {} rows come to {}", orders.documents, orders.rows, orders.total);
    println!("{} credit notes with {} rows come to {}", notes.documents, notes.rows, notes.total);
    println!("{} new, {} changed, {} the same", report.created, report.updated, report.skipped);
    println!("{} rows were left out", report.failed);
    for error in report.errors.iter().take(MOST_PRINTED) {
        println!("  row {}: {} ({})", error.row, error.detail, error.code);
    }
    if report.errors.len() > MOST_PRINTED {
        println!("  …");
    }
}
