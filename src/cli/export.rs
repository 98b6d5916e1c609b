//! `promox export`: writes the catalog or past orders of an offline store to a file that `promox import` reads.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use promox_kernel::{Content, Cx, Download, Error};
use promox_order::{ExportHistory, HistoryFormat};
use promox_product::{ExportFormat, ExportProducts};

use super::{Common, transfer};
use crate::cli::output::say;
use crate::exit::Exit;
use crate::log;

/// The time limit of an export.
const LIMIT: Duration = Duration::from_hours(1);

/// Export the catalog or past orders to a file that `import` reads.
#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Export all products, as CSV if the file name ends in .csv, else as NDJSON.
    Catalog {
        /// The file to create.
        file: PathBuf,
    },
    /// Export all orders and credit notes, as CSV if the file name ends in .csv, else as NDJSON.
    History {
        /// The file to create.
        file: PathBuf,
    },
}

impl Export {
    pub(super) fn run(self, common: &Common) -> Result<(), Exit> {
        let loaded = common.load(Vec::new())?;
        log::start(&loaded.settings.log);
        super::runtime(&loaded.settings)?.block_on(async {
            let promox = super::open_existing(&loaded)?;
            let cx = Cx::system(promox.node(), "export", LIMIT);
            let done = self.write(&cx).await;
            promox.close().await;
            done
        })
    }

    async fn write(&self, cx: &Cx) -> Result<(), Exit> {
        let (Action::Catalog { file } | Action::History { file }) = &self.action;
        let result = match &self.action {
            Action::Catalog { file } => {
                let format = if is_csv(file) { ExportFormat::Csv } else { ExportFormat::Ndjson };
                cx.run(ExportProducts { format: Some(format) }).await
            }
            Action::History { .. } => {
                let format = if is_csv(file) { HistoryFormat::Csv } else { HistoryFormat::Ndjson };
                cx.run(ExportHistory { format: Some(format) }).await
            }
        };
        let length = save(result, file.clone()).await?;
        say!("Wrote {length} bytes to {}", file.display());
        Ok(())
    }
}

fn is_csv(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
}

/// Writes the stream that an export operation returned to a new file. Returns the length in bytes.
async fn save(result: Result<Download, Error>, file: PathBuf) -> Result<u64, Exit> {
    let Content::Stream(_, reader) = result.map_err(super::refusal_exit)?.content else {
        return Err(Exit::internal("the export operation did not return a stream"));
    };
    tokio::task::spawn_blocking(move || transfer::save(reader, &file)).await.map_err(Exit::internal)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser as _;

    const SALES: &str = "\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID
536365,85123A,HOLDER,6,2010-12-01T08:26:00,2.55,17850
536365,71053,LANTERN,6,2010-12-01T08:26:00,3.39,17850
C536379,D,Discount,-1,2010-12-01T09:41:00,27.50,14527
536366,,a blank code,1,2010-12-01T08:28:00,1.00,
";

    fn run(command: &str, dir: &Path, words: &[&str]) -> Result<(), Exit> {
        let dir = dir.to_str().unwrap();
        let all =
            ["promox", "--data-dir", dir, "--log-level", "error", command].into_iter().chain(words.iter().copied());
        let cli = Cli::try_parse_from(all).unwrap();
        cli.command.run(&cli.common)
    }

    #[test]
    fn an_exported_store_can_be_imported_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let text = |file: &Path| file.to_str().unwrap().to_owned();
        let sales = path("sales.csv");
        std::fs::write(&sales, SALES).unwrap();
        let (first, second) = (path("first"), path("second"));
        for kind in ["catalog", "history"] {
            // The last row has no SKU.
            run("import", &first, &[kind, &text(&sales), "--allow-refused"]).unwrap();
        }
        for (kind, file) in [
            ("catalog", "catalog.csv"),
            ("catalog", "catalog.ndjson"),
            ("history", "history.ndjson"),
            ("history", "history.csv"),
        ] {
            let (out, again) = (path(file), path(&format!("again-{file}")));
            run("export", &first, &[kind, &text(&out)]).unwrap();
            assert!(run("export", &first, &[kind, &text(&out)]).is_err(), "a file is never overwritten");
            run("import", &second, &[kind, &text(&out)]).unwrap();
            run("export", &second, &[kind, &text(&again)]).unwrap();
            let read = |file: &Path| std::fs::read_to_string(file).unwrap();
            assert_eq!(read(&out), read(&again), "{file}");
            assert!(read(&out).contains("LANTERN"), "{file}");
        }
        run("verify", &second, &[]).unwrap();
        assert!(run("import", &second, &["catalog", "/nowhere"]).is_err());
        let partly = path("partly.csv");
        std::fs::write(&partly, "sku,name,price\nlamp,Lamp,5\nbowl,Bowl,cheap\n").unwrap();
        let exit = run("import", &second, &["catalog", &text(&partly)]).unwrap_err();
        assert_eq!(exit.to_string(), format!("{}: 1 refused; the others were imported", partly.display()));
        run("import", &second, &["catalog", &text(&partly), "--allow-refused"]).unwrap();
    }
}
