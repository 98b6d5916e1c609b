//! The import: rows are committed in chunks of one transaction each. A faulty row is reported and does not affect
//! others.

use promox_contract::codes;
use promox_contract::import::{ImportReport, RowError, is_row_fault};
use promox_contract::store::write_amounts;
use promox_kernel::{Body, Cx, Error, Kind};
use promox_storage::{Lane, Tx};
use tokio::sync::mpsc;

use super::parse::{self, Parsed};
use crate::commands::{self, CommandContext, ImportRow};
use crate::queries::epochs;
use crate::{Products, api};

/// Rows per transaction.
const CHUNK: usize = 200;
/// Maximum parsed chunks that wait to be committed.
const MAX_CHUNKS_AHEAD: usize = 2;

/// Imports the rows of a request's body.
pub(crate) async fn import(products: &Products, cx: &Cx, body: Body) -> Result<ImportReport, Error> {
    let context = products.context(cx).await?;
    write_amounts(cx, context.currency, import_stream(products, cx, &context, body), may_have_products).await
}

/// Whether there may be products after an import: a failed one may have committed some chunks.
fn may_have_products(result: &Result<ImportReport, Error>) -> bool {
    result.as_ref().map_or(true, |report| report.created + report.updated + report.skipped > 0)
}

/// Parses the rows on a blocking thread and commits them chunk by chunk.
async fn import_stream(
    products: &Products,
    cx: &Cx,
    context: &CommandContext,
    body: Body,
) -> Result<ImportReport, Error> {
    let Some(reader) = body.reader else {
        return Err(Error::new(Kind::Malformed, codes::BODY_MISSING, "Send the rows as the body."));
    };
    let tree = products.db.read(|tx| products.trees.at(tx, &epochs(tx)?)).await?;
    let (sender, mut chunks) = mpsc::channel::<Vec<Parsed>>(MAX_CHUNKS_AHEAD);
    let is_csv = body.media_type == "text/csv";
    let reading = tokio::task::spawn_blocking(move || {
        let mut chunk = Vec::with_capacity(CHUNK);
        let send = |parsed: Parsed| {
            chunk.push(parsed);
            chunk.len() < CHUNK || sender.blocking_send(std::mem::take(&mut chunk)).is_ok()
        };
        if is_csv {
            parse::csv(reader, &tree, send);
        } else {
            parse::lines(reader, send);
        }
        let _ = sender.blocking_send(chunk);
    });
    let mut report = ImportReport::default();
    while let Some(chunk) = chunks.recv().await {
        import_chunk(products, cx, context, chunk, &mut report).await?;
    }
    reading.await.map_err(Error::internal)?;
    report.errors.sort_by_key(|error| error.row);
    Ok(report)
}

/// Imports rows that are already in memory.
pub(crate) async fn import_rows(
    products: &Products,
    cx: &Cx,
    rows: Vec<api::ProductChange>,
) -> Result<ImportReport, Error> {
    let context = products.context(cx).await?;
    let work = async {
        let mut report = ImportReport::default();
        let mut rows = (1_u64..).zip(rows).map(|(row, change)| Ok(ImportRow { row, change, variant: None })).peekable();
        while rows.peek().is_some() {
            import_chunk(products, cx, &context, rows.by_ref().take(CHUNK).collect(), &mut report).await?;
        }
        Ok(report)
    };
    write_amounts(cx, context.currency, work, may_have_products).await
}

/// Commits a chunk and adds its outcome to the report. A chunk that is refused as a whole is retried row by row.
async fn import_chunk(
    products: &Products,
    cx: &Cx,
    context: &CommandContext,
    chunk: Vec<Parsed>,
    report: &mut ImportReport,
) -> Result<(), Error> {
    let mut rows = Vec::with_capacity(chunk.len());
    for parsed in chunk {
        match parsed {
            Ok(row) => rows.push(row),
            Err(error) => report.refuse(error),
        }
    }
    let Err(error) = commit(products, cx, context, rows.clone(), report).await else { return Ok(()) };
    if error.is_transient() {
        return Err(error);
    }
    for row in rows {
        let number = row.row;
        if let Err(error) = commit(products, cx, context, vec![row], report).await {
            if error.is_transient() {
                return Err(error);
            }
            report.refuse(RowError::new(number, error.code(), error.message()));
        }
    }
    Ok(())
}

/// Commits rows in one transaction and adds their outcomes to the report.
async fn commit(
    products: &Products,
    cx: &Cx,
    context: &CommandContext,
    rows: Vec<ImportRow>,
    report: &mut ImportReport,
) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let context = context.clone();
    let work = move |tx: &mut Tx<'_>| {
        let catalog = context.open(tx)?;
        let mut outcomes = Vec::with_capacity(rows.len());
        for row in &rows {
            outcomes.push(match commands::upsert(tx, &catalog, row.clone()) {
                Ok(outcome) => Ok(outcome),
                Err(error) if is_row_fault(&error) => Err(RowError::of(row.row, &error)),
                Err(error) => return Err(error),
            });
        }
        Ok(outcomes)
    };
    products.db.write_in(cx, Lane::Bulk, work).await?.into_iter().for_each(|outcome| report.count(outcome));
    Ok(())
}
