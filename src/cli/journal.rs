//! `promox journal`: the store's journal as text, for people who look for what happened.

use std::io::{BufWriter, Write as _};

use clap::{Args, Subcommand};
use promox_embedded::disk::RealDisk;
use promox_embedded::dump_journal;

use super::Common;
use crate::config::Loaded;
use crate::exit::Exit;
use crate::{engine, log, node};

/// Look into the journal.
#[derive(Debug, Args)]
pub(super) struct Journal {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print every group and every change that the journal still holds.
    Dump,
    /// Go on from the checkpoint when the journal is damaged: says how far the checkpoint goes, and changes nothing without
    /// `--accept-loss`.
    Reset {
        /// Begin the journal anew. What was acknowledged after the checkpoint is lost: nothing after a clean stop.
        #[arg(long)]
        accept_loss: bool,
    },
}

impl Journal {
    pub(super) fn run(self, common: &Common) -> Result<(), Exit> {
        let loaded = common.load(Vec::new())?;
        if let What::Reset { accept_loss } = self.what {
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
    println!(
        "The checkpoint has every group to number {}, of {}; after a clean stop that is all.",
        end.group, end.time
    );
    if accept_loss {
        println!("The journal begins anew after it.");
    } else {
        println!("Nothing was changed. With --accept-loss the journal begins anew after it: what is later is lost.");
    }
    Ok(())
}
