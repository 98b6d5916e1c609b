//! The command line: each command has a file and a variant of `Command`.

mod analytics;
mod backup;
mod completions;
mod config;
mod demo;
mod doctor;
mod export;
mod follow;
mod health;
mod import;
mod journal;
mod man;
mod migrate;
mod output;
mod progress;
mod rehearsal;
mod remote;
mod restore;
mod serve;
mod transfer;
mod user;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use promox_embedded::DirectoryState;
use tokio::runtime::Runtime;

use crate::config::{Examined, Faults, Flag, Loaded, Settings, examine};
use crate::descriptors;
use crate::exit::Exit;
use crate::node::Promox;

/// A complete commerce backend with a promotion engine, in one binary.
#[derive(Debug, Parser)]
#[command(name = "promox", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
struct Common {
    /// Read settings from this TOML file.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Store data in this directory.
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// Log level: error, warn, info, debug, or per target such as info,promox=debug.
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the shop.
    Serve(serve::Serve),
    /// Serve a new sample shop.
    Demo(demo::Demo),
    /// Import a catalog or past orders from a file.
    Import(import::Import),
    /// Export the catalog or past orders to a file that `import` reads.
    Export(export::Export),
    /// Back up a store, offline or through a running server.
    Backup(backup::Backup),
    /// Move a store to or from PostgreSQL.
    Migrate(migrate::Migrate),
    /// Restore a store from a backup.
    Restore(restore::Restore),
    /// Check every invariant of a store, offline or through a running server.
    Verify(verify::Verify),
    /// Maintain the analytics figures.
    Analytics(analytics::Analytics),
    /// Manage accounts.
    User(user::User),
    /// Check or print the settings.
    Config(config::Config),
    /// Examine settings, disk, clock, permissions, port and backups.
    Doctor(doctor::Doctor),
    /// Ask a running server whether it is ready.
    Health(health::Health),
    /// Inspect the journal.
    Journal(journal::Journal),
    /// Print a completion script for a shell.
    Completions(completions::Completions),
    /// Write manual pages.
    Man(man::Man),
}

impl Command {
    fn run(self, common: &Common) -> Result<(), Exit> {
        match self {
            Self::Serve(command) => command.run(common),
            Self::Demo(command) => command.run(common),
            Self::Import(command) => command.run(common),
            Self::Export(command) => command.run(common),
            Self::Backup(command) => command.run(common),
            Self::Migrate(command) => command.run(common),
            Self::Restore(command) => command.run(common),
            Self::Verify(command) => command.run(common),
            Self::Analytics(command) => command.run(common),
            Self::User(command) => command.run(common),
            Self::Config(command) => command.run(common),
            Self::Doctor(command) => command.run(common),
            Self::Health(command) => command.run(common),
            Self::Journal(command) => command.run(common),
            Self::Completions(command) => command.run(),
            Self::Man(command) => command.run(),
        }
    }
}

impl Common {
    /// Loads the settings from file, environment and flags. `flags` are those of the command itself.
    fn load(&self, flags: Vec<Flag>) -> Result<Loaded, Exit> {
        match self.examine(flags)? {
            Examined { loaded: Some(loaded), faults } if faults.is_empty() => Ok(loaded),
            Examined { faults, .. } => Err(Faults(faults).into()),
        }
    }

    /// Finds every fault of the settings from file, environment and flags.
    fn examine(&self, flags: Vec<Flag>) -> Result<Examined, Exit> {
        let own = [
            self.data_dir.clone().map(|value| Flag { name: "--data-dir", key: "data.dir", value }),
            self.log_level.clone().map(|value| Flag { name: "--log-level", key: "log.level", value }),
        ];
        let flags: Vec<Flag> = own.into_iter().flatten().chain(flags).collect();
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        };
        Ok(examine(self.config.as_deref(), std::env::vars_os().filter_map(text), &flags)?)
    }
}

/// A password hashing thread ends after this idle time and returns its memory. It must exceed the allocator's own delay
/// of a second, or the memory is kept.
const THREAD_IDLE: Duration = Duration::from_millis(1_500);

/// The runtime that requests run on.
fn runtime(settings: &Settings) -> Result<Runtime, Exit> {
    descriptors::raise_limit();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if settings.server.workers > 0 {
        builder.worker_threads(settings.server.workers);
    }
    builder.enable_all().thread_name("promox").thread_keep_alive(THREAD_IDLE).build().map_err(Exit::io)
}

/// Opens an existing store. A command that inspects a store must not create one in a directory whose name was mistyped.
fn open_existing(loaded: &Loaded) -> Result<Promox, Exit> {
    if loaded.settings.postgres.is_on() {
        return Promox::headless(loaded);
    }
    let dir = &loaded.settings.data.dir;
    match promox_embedded::inspect(dir)? {
        DirectoryState::Empty | DirectoryState::UnfinishedStart => {
            Err(Exit::data(format_args!("there is no store in {}: name its directory with --data-dir", dir.display())))
        }
        DirectoryState::Store | DirectoryState::UnfinishedRestore | DirectoryState::OtherFiles(_) => {
            Promox::headless(loaded)
        }
    }
}

/// Converts a refusal to an exit with its first fault, or else its message.
fn refusal_exit(error: promox_kernel::Error) -> Exit {
    let detail = error.errors().first().map_or(error.message(), |fault| &fault.detail);
    match error.cause() {
        Some(cause) => Exit::data(format_args!("{detail} ({cause})")),
        None => Exit::data(detail),
    }
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::usage(error).code() } else { ExitCode::SUCCESS };
        }
    };
    match cli.command.run(&cli.common) {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => {
            eprintln!("promox: {exit}");
            exit.code()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_is_documented() {
        let document = include_str!("../../docs/operations.md");
        for command in Cli::command().get_subcommands() {
            assert!(document.contains(&format!("| `promox {}", command.get_name())), "{}", command.get_name());
        }
    }
}
