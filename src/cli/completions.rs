//! `promox completions`: a script that completes commands and options in a shell.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;
use crate::exit::Exit;

/// Print a completion script for a shell.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    #[allow(clippy::unnecessary_wraps, reason = "all commands return a result")]
    pub(super) fn run(self) -> Result<(), Exit> {
        clap_complete::generate(self.shell, &mut Cli::command(), "promox", &mut std::io::stdout());
        Ok(())
    }
}
