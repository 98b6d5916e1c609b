//! `promox user`: manages the accounts of an offline store.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::time::Duration;

use clap::{Args, Subcommand};
use promox_kernel::Cx;
use promox_user::{EnsuredAdmin, Users};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::Common;
use crate::cli::output::say;
use crate::config::Flag;
use crate::exit::Exit;
use crate::log;
use crate::node::Promox;

/// The time limit of a command.
const LIMIT: Duration = Duration::from_secs(60);
/// The environment variables that set the password.
const VARIABLES: [&str; 3] = ["PROMOX_ADMIN_PASSWORD", "PROMOX_ADMIN_PASSWORD_FILE", "PROMOX_ADMIN__PASSWORD"];

/// Manage accounts.
#[derive(Debug, Args)]
pub(super) struct User {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make the account with this e-mail address an administrator, creating it if needed. The password is read from
    /// `PROMOX_ADMIN_PASSWORD`, else prompted for.
    AddAdmin {
        /// The e-mail address.
        email: String,
    },
}

impl User {
    pub(super) fn run(self, common: &Common) -> Result<(), Exit> {
        let Action::AddAdmin { email } = self.action;
        let mut flags = vec![Flag { name: "EMAIL", key: "admin.email", value: email.clone() }];
        if !VARIABLES.iter().any(|name| std::env::var_os(name).is_some()) {
            let value = read_password().map_err(Exit::io)?;
            if value.is_empty() {
                return Err(Exit::usage(
                    "a password is needed: set PROMOX_ADMIN_PASSWORD, or write it to standard input",
                ));
            }
            flags.push(Flag { name: "standard input", key: "admin.password", value });
        }
        let loaded = common.load(flags)?;
        log::start(&loaded.settings.log);
        super::runtime(&loaded.settings)?.block_on(async {
            let promox = Promox::headless_writing(&loaded).await?;
            let cx = Cx::system(promox.node(), "command line", LIMIT);
            let admin = &loaded.settings.admin;
            let users = promox.service::<Users>().map_err(Exit::internal)?;
            let done = users.ensure_admin(&cx, &admin.email, &admin.password).await;
            drop(users);
            promox.close().await;
            match done.map_err(|error| Exit::usage(super::refusal_exit(error)))? {
                EnsuredAdmin::Created => say!("{email} is now an administrator."),
                EnsuredAdmin::Promoted => {
                    say!("{email} is now an administrator with this password; its sessions have ended.");
                }
            }
            Ok(())
        })
    }
}

/// Reads a password from standard input. On a terminal it prompts for it and switches echo off.
fn read_password() -> io::Result<String> {
    let input = io::stdin();
    let before = if input.is_terminal() { tcgetattr(&input).ok() } else { None };
    if let Some(before) = &before {
        eprint!("Password: ");
        io::stderr().flush()?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&input, OptionalActions::Flush, &quiet)?;
    }
    let mut line = String::new();
    let read = input.lock().read_line(&mut line);
    if let Some(before) = &before {
        tcsetattr(&input, OptionalActions::Flush, before)?;
        eprintln!();
    }
    read?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}
