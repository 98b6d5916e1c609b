//! `promox man`: manual pages.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};

use super::Cli;
use crate::cli::output::say;
use crate::exit::Exit;

/// Write manual pages, one for each command.
#[derive(Debug, Args)]
pub(super) struct Man {
    /// The directory to write to, such as /usr/local/share/man/man1. It is created if it is missing.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

impl Man {
    pub(super) fn run(self) -> Result<(), Exit> {
        let fault = |error| Exit::io(format_args!("{}: {error}", self.dir.display()));
        std::fs::create_dir_all(&self.dir).map_err(fault)?;
        clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), &self.dir).map_err(fault)?;
        say!("Wrote the manual pages to {}", self.dir.display());
        Ok(())
    }
}
