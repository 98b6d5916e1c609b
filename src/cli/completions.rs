//! `promox completions`: a script that completes commands and options in a shell.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;
use crate::cli::output;
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
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "promox", &mut script);
        output::print(format_args!("{}", String::from_utf8_lossy(&script)));
        Ok(())
    }
}
