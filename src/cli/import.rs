//! `promox import`: reads a catalog or past orders from a file into an offline store.

use std::fmt::Display;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use promox_contract::import::ImportReport;
use promox_contract::inventory::{SetStock, StockCount};
use promox_kernel::{Cx, Error};
use promox_order::ImportOrders;
use promox_product::online_retail::{self, CatalogReport, ProductRow};
use promox_product::{ImportProducts, Products};

use super::{Common, progress, refusal_exit, transfer};
use crate::cli::output::say;
use crate::exit::Exit;
use crate::log;
use crate::node::Promox;

/// The time limit of an import.
const LIMIT: Duration = Duration::from_hours(6);
/// The maximum number of row errors that are printed.
const MAX_PRINTED: usize = 20;
/// Products imported between two updates of the progress bar.
const STEP: usize = 200;

/// Import a catalog or past orders from a file.
///
/// A refused row costs no other. If rows were refused, the exit code is 65 after the others have been imported.
#[derive(Debug, Args)]
pub(super) struct Import {
    #[command(subcommand)]
    action: Action,
    /// Exit with 0 although rows were refused, if any row was imported.
    #[arg(long, global = true)]
    allow_refused: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Import products from promox's CSV or NDJSON, or derive a catalog from the sales of the Online Retail data set.
    Catalog {
        /// The file to read.
        file: PathBuf,
        /// Only report what would be imported. Not for the Online Retail data set.
        #[arg(long)]
        dry_run: bool,
    },
    /// Import past orders and credit notes with their original prices and dates, from NDJSON or from CSV with one row
    /// per line item.
    History {
        /// The file to read.
        file: PathBuf,
    },
}

impl Import {
    pub(super) fn run(self, common: &Common) -> Result<(), Exit> {
        let loaded = common.load(Vec::new())?;
        log::start(&loaded.settings.log);
        let (Action::Catalog { file: path, .. } | Action::History { file: path }) = &self.action;
        let file = transfer::open(path)?;
        super::runtime(&loaded.settings)?.block_on(async {
            let promox = Promox::headless_writing(&loaded).await?;
            let cx = Cx::system(promox.node(), "import", LIMIT);
            let counted = match &self.action {
                Action::Catalog { dry_run, .. } => catalog(&promox, &cx, (path, file), *dry_run).await,
                Action::History { .. } => history(&cx, path, file).await,
            };
            promox.close().await;
            counted?.check(path, self.allow_refused)
        })
    }
}

/// What became of a file's rows.
struct Counted {
    /// The rows that were imported, or would change nothing.
    taken: u64,
    refused: u64,
}

impl Counted {
    fn of(report: &ImportReport) -> Self {
        Self { taken: report.created + report.updated + report.skipped, refused: report.failed }
    }

    /// Fails if rows of the file were refused, unless that is allowed, and if all were.
    fn check(&self, path: &Path, allow_refused: bool) -> Result<(), Exit> {
        let (path, refused) = (path.display(), self.refused);
        match (refused, self.taken) {
            (0, _) => Ok(()),
            (_, 0) => Err(Exit::data(format_args!("{path}: none of its rows could be imported"))),
            _ if allow_refused => Ok(()),
            _ => Err(Exit::data(format_args!("{path}: {refused} refused; the others were imported"))),
        }
    }
}

async fn catalog(promox: &Promox, cx: &Cx, (path, file): (&Path, File), dry_run: bool) -> Result<Counted, Exit> {
    let mut file = file;
    if !transfer::is_ndjson(path) && is_online_retail(&mut file).map_err(Exit::io)? {
        if dry_run {
            return Err(Exit::usage("--dry-run is not for the Online Retail data set"));
        }
        return online_retail(promox, cx, file).await;
    }
    let body = transfer::body(path, file)?;
    let report = cx.run(ImportProducts { body, dry_run }).await.map_err(refusal_exit)?;
    if dry_run {
        say!("dry run: nothing was changed");
    }
    print_report(&report);
    Ok(Counted::of(&report))
}

/// Whether the file's first line has the columns of the Online Retail data set. Leaves the file at its start.
fn is_online_retail(file: &mut File) -> std::io::Result<bool> {
    let mut header = String::new();
    let read = BufReader::new(&*file).read_line(&mut header);
    file.rewind()?;
    Ok(read.is_ok() && ["InvoiceNo", "StockCode", "UnitPrice"].iter().all(|column| header.contains(column)))
}

async fn online_retail(promox: &Promox, cx: &Cx, file: File) -> Result<Counted, Exit> {
    let bar = progress::bytes(file.metadata().map_err(Exit::io)?.len());
    let reading = tokio::task::spawn_blocking(move || online_retail::catalog(bar.wrap_read(file)));
    let (rows, read) = reading.await.map_err(Exit::internal)?;
    let report = import_products(promox, cx, &rows).await.map_err(refusal_exit)?;
    let items = rows.iter().map(|row| StockCount { sku: row.sku.clone(), on_hand: row.stock }).collect();
    let counted = cx.run(SetStock { items }).await.map_err(refusal_exit)?;
    print_catalog_report(&read);
    print_report(&report);
    let refused = counted.refused.len();
    let unchanged = refused.saturating_add(usize::try_from(counted.kept).unwrap_or(usize::MAX));
    let set = rows.len().saturating_sub(unchanged);
    say!("{set} stock counts set, {} kept, {refused} refused", counted.kept);
    let Counted { taken, refused: products } = Counted::of(&report);
    let stock = u64::try_from(refused).unwrap_or(u64::MAX);
    Ok(Counted { taken, refused: read.failed.saturating_add(products).saturating_add(stock) })
}

async fn import_products(promox: &Promox, cx: &Cx, rows: &[ProductRow]) -> Result<ImportReport, Error> {
    let bar = progress::items(rows.len() as u64, "products");
    let mut total = ImportReport::default();
    let products = promox.service::<Products>()?;
    for chunk in rows.chunks(STEP) {
        let part = products.import_catalog(cx, chunk).await?;
        total.created += part.created;
        total.updated += part.updated;
        total.skipped += part.skipped;
        total.failed += part.failed;
        total.errors.extend(part.errors);
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    Ok(total)
}

async fn history(cx: &Cx, path: &Path, file: File) -> Result<Counted, Exit> {
    let body = transfer::body(path, file)?;
    let report = cx.run(ImportOrders { body }).await.map_err(refusal_exit)?;
    let (orders, notes) = (&report.orders, &report.credit_notes);
    say!("orders: {}, rows: {}, total {}", orders.documents, orders.rows, orders.total);
    say!("credit notes: {}, rows: {}, total {}", notes.documents, notes.rows, notes.total);
    print_report(&report.report);
    Ok(Counted::of(&report.report))
}

fn print_catalog_report(read: &CatalogReport) {
    say!("{} rows read: {} sales, {} ignored (returns and rows without a price)", read.rows, read.sales, read.skipped);
    if read.failed > 0 {
        say!("{} rows could not be read", read.failed);
    }
    print_errors(read.errors.iter().map(|error| (error.row, &error.detail, &error.code)));
}

fn print_report(report: &ImportReport) {
    print_counts(report.created, report.updated, report.skipped, report.failed);
    print_errors(report.errors.iter().map(|error| (error.row, &error.detail, &error.code)));
    report.warnings.iter().for_each(|warning| say!("  warning: {}", warning.detail));
}

fn print_counts(created: u64, updated: u64, skipped: u64, failed: u64) {
    say!("{created} created, {updated} updated, {skipped} unchanged");
    say!("{failed} refused");
}

fn print_errors(errors: impl ExactSizeIterator<Item = (u64, impl Display, impl Display)>) {
    let more = errors.len() > MAX_PRINTED;
    for (row, detail, code) in errors.take(MAX_PRINTED) {
        say!("  row {row}: {detail} ({code})");
    }
    if more {
        say!("  …");
    }
}
