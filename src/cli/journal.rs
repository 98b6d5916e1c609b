//! `promox journal`: prints the store's journal, and recovers from a damaged one.

use std::io::{BufWriter, Write as _};

use clap::{Args, Subcommand};
use promox_embedded::disk::RealDisk;
use promox_embedded::dump_journal;

use super::Common;
use crate::cli::output::say;
use crate::config::Loaded;
use crate::exit::Exit;
use crate::{engine, log, node};

/// Inspect the journal.
#[derive(Debug, Args)]
pub(super) struct Journal {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print every transaction group and change in the journal.
    Dump,
    /// Continue from the checkpoint when the journal is damaged. Without `--accept-loss` only the position of the
    /// checkpoint is reported.
    Reset {
        /// Start a new journal. Changes acknowledged after the checkpoint are lost; after a clean stop there are none.
        #[arg(long)]
        accept_loss: bool,
    },
}

impl Journal {
    pub(super) fn run(self, common: &Common) -> Result<(), Exit> {
        let loaded = common.load(Vec::new())?;
        if let Action::Reset { accept_loss } = self.action {
            return reset(&loaded, accept_loss);
        }
        let mut out = BufWriter::new(std::io::stdout().lock());
        dump_journal(&RealDisk, &loaded.settings.data.dir, &mut out)?;
        out.flush().map_err(Exit::io)
    }
}

fn reset(loaded: &Loaded, accept_loss: bool) -> Result<(), Exit> {
    log::start(&loaded.settings.log);
    let end = promox_embedded::reset_journal(&engine::options(&loaded.settings), &node::schema()?, accept_loss)?;
    say!(
        "The checkpoint contains every group up to number {}, of {}; after a clean stop there are no later ones.",
        end.group,
        end.time
    );
    if accept_loss {
        say!("Started a new journal after the checkpoint.");
    } else {
        say!("Nothing was changed. --accept-loss starts a new journal after the checkpoint; later changes are lost.");
    }
    Ok(())
}
