//! `promox journal`: the store's journal as text, for people who look for what happened.

use std::io::{BufWriter, Write as _};

use clap::{Args, Subcommand};
use promox_embedded::disk::RealDisk;
use promox_embedded::dump_journal;

use super::Common;
use crate::exit::Exit;

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
}

impl Journal {
    pub(super) fn run(self, common: &Common) -> Result<(), Exit> {
        let What::Dump = self.what;
        let loaded = common.load(Vec::new())?;
        let mut out = BufWriter::new(std::io::stdout().lock());
        dump_journal(&RealDisk, &loaded.settings.data.dir, &mut out)?;
        out.flush().map_err(Exit::io)
    }
}
