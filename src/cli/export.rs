//! `promox export`: the catalogue or past orders of a closed store into a file that `promox import` reads back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use promox_kernel::{Content, Cx, Download, Error};
use promox_order::ExportHistory;
use promox_product::{ExportFormat, ExportProducts};

use super::{Common, transfer};
use crate::exit::Exit;
use crate::log;
use crate::node::Promox;

/// How long an export may take.
const LIMIT: Duration = Duration::from_hours(1);

/// Write the catalogue or past orders to a file that the import reads back.
#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Every product: CSV by the file's ending, else NDJSON.
    Catalog {
        /// The file; it must not be there yet.
        file: PathBuf,
    },
    /// Every order that was sold and every credit note, as NDJSON.
    History {
        /// The file; it must not be there yet.
        file: PathBuf,
    },
}

impl Export {
    pub(super) fn run(self, common: &Common) -> Result<(), Exit> {
        let loaded = common.load(Vec::new())?;
        log::start(&loaded.settings.log);
        super::runtime(&loaded.settings)?.block_on(async {
            let promox = Promox::headless(&loaded)?;
            let cx = Cx::system(promox.node(), "export", LIMIT);
            let done = self.write(&cx).await;
            promox.close().await;
            done
        })
    }

    async fn write(&self, cx: &Cx) -> Result<(), Exit> {
        let (What::Catalog { file } | What::History { file }) = &self.what;
        let asked = match &self.what {
            What::Catalog { file } => cx.call(ExportProducts { format: Some(format(file)) }).await,
            What::History { .. } => cx.call(ExportHistory {}).await,
        };
        let length = save(asked, file.clone()).await?;
        println!("{} has {length} bytes", file.display());
        Ok(())
    }
}

fn format(file: &Path) -> ExportFormat {
    let is_csv = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    if is_csv { ExportFormat::Csv } else { ExportFormat::Ndjson }
}

/// Writes what an operation streams into a new file.
async fn save(asked: Result<Download, Error>, file: PathBuf) -> Result<u64, Exit> {
    let Content::Stream(_, reader) = asked.map_err(super::refused)?.content else {
        return Err(Exit::internal("an export is a stream"));
    };
    tokio::task::spawn_blocking(move || transfer::save(reader, &file)).await.map_err(Exit::internal)?
}
