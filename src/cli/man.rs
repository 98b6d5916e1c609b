//! `promox man`: manual pages.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory as _};

use super::Cli;
use crate::cli::output::say;
use crate::exit::{Exit, STATUSES};

/// The environment variables that commands read, with what they do.
const VARIABLES: [(&str, &str); 5] = [
    (
        "PROMOX_SECTION__KEY",
        "sets section.key, such as PROMOX_SERVER__LISTEN for server.listen; overrides the file that --config names",
    ),
    ("PROMOX_SECTION__KEY_FILE", "names a file from which the value of section.key is read, for secrets"),
    ("PROMOX_ADMIN_EMAIL", "the e-mail address of the administrator that the first start creates"),
    ("PROMOX_ADMIN_PASSWORD", "that administrator's password, and the one that user add-admin sets"),
    ("PROMOX_TOKEN", "the API key or access token for backup and verify with --url"),
];

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
        let mut root = Cli::command().disable_help_subcommand(true);
        root.build();
        write_pages(&root, &self.dir).map_err(fault)?;
        say!("Wrote the manual pages to {}", self.dir.display());
        Ok(())
    }
}

/// Writes the page of a command and of those below it.
fn write_pages(command: &clap::Command, dir: &Path) -> io::Result<()> {
    for below in command.get_subcommands() {
        write_pages(below, dir)?;
    }
    let page = clap_mangen::Man::new(command.clone());
    let mut text = Vec::new();
    page.render(&mut text)?;
    section(&mut text, "ENVIRONMENT", VARIABLES)?;
    section(&mut text, "EXIT STATUS", STATUSES)?;
    std::fs::write(dir.join(page.get_filename()), text)
}

/// Writes a section with a list of names and their meanings.
fn section<N: std::fmt::Display>(
    out: &mut Vec<u8>,
    title: &str,
    entries: impl IntoIterator<Item = (N, &'static str)>,
) -> io::Result<()> {
    writeln!(out, ".SH \"{title}\"")?;
    for (name, meaning) in entries {
        writeln!(out, ".TP\n\\fB{name}\\fR\n{meaning}")?;
    }
    Ok(())
}
