//! The import: rows are committed in chunks of one transaction each. A faulty row is reported and does not affect
//! others.

use std::sync::Arc;

use promox_contract::codes;
use promox_contract::import::{ImportReport, RowError, RowOutcome, body_missing, is_row_fault};
use promox_contract::store::write_amounts;
use promox_kernel::{Body, Cx, Error, Patch};
use promox_storage::{Lane, StoreError, Tx};
use tokio::sync::mpsc;

use super::parse::{self, Parsed, RepeatedSkus, Row};
use crate::api::ImportProducts;
use crate::commands::{self, CatalogTx, CommandContext, ImportRow};
use crate::rules::Tree;
use crate::{Products, api};

/// Rows per transaction.
const CHUNK: usize = 200;
/// How a category that a row names is created.
const CREATE_CATEGORY: &str =
    "create it first, by POST /api/categories or by a line of the type CATEGORY before this one in NDJSON";
/// Maximum parsed chunks that wait to be committed.
const MAX_CHUNKS_AHEAD: usize = 2;

/// Imports the rows of a request's body, or reports what that would do.
pub(crate) async fn import(products: &Products, cx: &Cx, op: ImportProducts) -> Result<ImportReport, Error> {
    let context = products.context(cx).await?;
    let import = Import { products, cx, context: &context, is_dry: op.dry_run };
    if op.dry_run {
        return import.stream(op.body).await;
    }
    write_amounts(cx, context.currency, import.stream(op.body), may_have_products).await
}

/// Whether there may be products after an import: a failed one may have committed some chunks.
fn may_have_products(result: &Result<ImportReport, Error>) -> bool {
    result.as_ref().map_or(true, |report| report.created + report.updated + report.skipped > 0)
}

/// A running import.
struct Import<'a> {
    products: &'a Products,
    cx: &'a Cx,
    context: &'a CommandContext,
    /// Whether nothing is changed.
    is_dry: bool,
}

/// Why a transaction of an import has no outcomes.
enum Stopped {
    /// Its changes are dropped, because nothing is to be changed; these would be the outcomes and the categories.
    Rehearsed(Vec<Outcome>, Arc<Tree>),
    Failed(Error),
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

type Outcome = Result<RowOutcome, RowError>;

/// The report of a running import, and the categories that a dry one would have made so far.
#[derive(Default)]
struct Progress {
    report: ImportReport,
    planned: Option<Arc<Tree>>,
}

impl Import<'_> {
    /// Parses the rows on a blocking thread and commits them chunk by chunk.
    async fn stream(&self, body: Body) -> Result<ImportReport, Error> {
        let Some(reader) = body.reader else {
            return Err(body_missing());
        };
        let (sender, mut chunks) = mpsc::channel::<Vec<Parsed>>(MAX_CHUNKS_AHEAD);
        let (is_csv, currency) = (body.media_type == "text/csv", self.context.currency);
        let reading = tokio::task::spawn_blocking(move || {
            let (mut chunk, mut skus) = (Vec::with_capacity(CHUNK), RepeatedSkus::default());
            let send = |parsed: Parsed| {
                skus.note(&parsed);
                chunk.push(parsed);
                chunk.len() < CHUNK || sender.blocking_send(std::mem::take(&mut chunk)).is_ok()
            };
            let mut warnings = if is_csv {
                parse::csv(reader, currency, send)
            } else {
                parse::lines(reader, currency, send);
                Vec::new()
            };
            let _ = sender.blocking_send(chunk);
            warnings.append(&mut skus.warnings);
            warnings
        });
        let mut progress = Progress::default();
        while let Some(chunk) = chunks.recv().await {
            self.chunk(chunk, &mut progress).await?;
        }
        let mut report = progress.report;
        report.warnings = reading.await.map_err(Error::internal)?;
        report.errors.sort_by_key(|error| error.row);
        Ok(report)
    }

    /// Commits a chunk and adds its outcome to the report.
    async fn chunk(&self, chunk: Vec<Parsed>, progress: &mut Progress) -> Result<(), Error> {
        let mut rows = Vec::with_capacity(chunk.len());
        for parsed in chunk {
            match parsed {
                Ok(row) => rows.push(row),
                Err(error) => progress.report.refuse(error),
            }
        }
        self.rows(rows, progress).await
    }

    /// Commits rows. If they are refused as a whole, they are retried row by row.
    async fn rows(&self, rows: Vec<Row>, progress: &mut Progress) -> Result<(), Error> {
        let Err(error) = self.commit(rows.clone(), progress).await else { return Ok(()) };
        if error.is_transient() {
            return Err(error);
        }
        for row in rows {
            let number = row.number();
            if let Err(error) = self.commit(vec![row], progress).await {
                if error.is_transient() {
                    return Err(error);
                }
                progress.report.refuse(RowError::new(number, error.code(), error.message()));
            }
        }
        Ok(())
    }

    /// Commits rows in one transaction and adds their outcomes to the report. Each row sees what those before it have
    /// changed.
    async fn commit(&self, rows: Vec<Row>, progress: &mut Progress) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let (context, is_dry, planned) = (self.context.clone(), self.is_dry, progress.planned.clone());
        let run = move |tx: &mut Tx<'_>| {
            let mut catalog = match &planned {
                Some(tree) => context.open_on(tx, tree.clone())?,
                None => context.open(tx)?,
            };
            let mut outcomes = Vec::with_capacity(rows.len());
            for row in &rows {
                outcomes.push(upsert(tx, &mut catalog, row).map_err(Stopped::Failed)?);
            }
            if is_dry { Err(Stopped::Rehearsed(outcomes, catalog.tree().clone())) } else { Ok(outcomes) }
        };
        let outcomes = match self.products.db.write_in(self.cx, Lane::Bulk, run).await {
            Ok(outcomes) => outcomes,
            Err(Stopped::Rehearsed(outcomes, tree)) => {
                progress.planned = Some(tree);
                outcomes
            }
            Err(Stopped::Failed(error)) => return Err(error),
        };
        outcomes.into_iter().for_each(|outcome| progress.report.count(outcome));
        Ok(())
    }
}

/// Carries out a row. Fails only with what ends its transaction.
fn upsert(tx: &mut Tx<'_>, catalog: &mut CatalogTx<'_>, row: &Row) -> Result<Outcome, Error> {
    match row {
        Row::Category(number, line) => row_outcome(*number, commands::upsert_category(tx, catalog, line)),
        Row::Product(row) => match in_categories((**row).clone(), catalog.tree()) {
            Ok(found) => row_outcome(row.row, commands::upsert(tx, catalog, found)),
            Err(error) => Ok(Err(error)),
        },
    }
}

/// A row with the ids of the categories that it names.
fn in_categories(mut row: ImportRow, tree: &Tree) -> Result<ImportRow, RowError> {
    let Some(names) = row.categories.take() else { return Ok(row) };
    let mut ids = Vec::with_capacity(names.len());
    for name in names {
        let Some(category) = tree.find(&name) else {
            let detail = format!("categories: there is no category with the slug \"{name}\"; {CREATE_CATEGORY}");
            return Err(RowError::new(row.row, codes::INVALID_VALUE, detail));
        };
        ids.push(category.id);
    }
    row.change.category_ids = Patch::Set(ids);
    Ok(row)
}

/// The outcome of a row, or an error that ends its transaction.
fn row_outcome(row: u64, result: Result<RowOutcome, Error>) -> Result<Outcome, Error> {
    match result {
        Ok(outcome) => Ok(Ok(outcome)),
        Err(error) if is_row_fault(&error) => Ok(Err(RowError::of(row, &error))),
        Err(error) => Err(error),
    }
}

/// Imports rows that are already in memory.
pub(crate) async fn import_rows(
    products: &Products,
    cx: &Cx,
    rows: Vec<api::ProductChange>,
) -> Result<ImportReport, Error> {
    let context = products.context(cx).await?;
    let import = Import { products, cx, context: &context, is_dry: false };
    let work = async {
        let mut progress = Progress::default();
        let row = |(row, change)| Row::Product(Box::new(ImportRow { row, change, variant: None, categories: None }));
        let mut rows = (1_u64..).zip(rows).map(row).peekable();
        while rows.peek().is_some() {
            import.rows(rows.by_ref().take(CHUNK).collect(), &mut progress).await?;
        }
        Ok(progress.report)
    };
    write_amounts(cx, context.currency, work, may_have_products).await
}
