//! `promox user`: what has to be done to accounts of a closed store.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::time::Duration;

use clap::{Args, Subcommand};
use promox_kernel::Cx;
use promox_user::{EnsuredAdmin, Users};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::Common;
use crate::config::Flag;
use crate::exit::Exit;
use crate::log;
use crate::node::Promox;

/// How long it may take.
const LIMIT: Duration = Duration::from_secs(60);
/// Where the password may come from; each is a setting.
const VARIABLES: [&str; 3] = ["PROMOX_ADMIN_PASSWORD", "PROMOX_ADMIN_PASSWORD_FILE", "PROMOX_ADMIN__PASSWORD"];

/// Look after accounts.
#[derive(Debug, Args)]
pub(super) struct User {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make somebody an administrator: a new account, or the one that has this address. The password comes from
    /// `PROMOX_ADMIN_PASSWORD`, else it is asked for.
    AddAdmin {
        /// The address.
        email: String,
    },
}

impl User {
    pub(super) fn run(self, common: &Common) -> Result<(), Exit> {
        let What::AddAdmin { email } = self.what;
        let mut flags = vec![Flag { name: "EMAIL", key: "admin.email", value: email.clone() }];
        if !VARIABLES.iter().any(|name| std::env::var_os(name).is_some()) {
            flags.push(Flag { name: "standard input", key: "admin.password", value: ask().map_err(Exit::io)? });
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
            match done.map_err(|error| Exit::usage(super::refused(error)))? {
                EnsuredAdmin::Created => println!("{email} is an administrator now."),
                EnsuredAdmin::Promoted => {
                    println!("{email} is an administrator now, with this password; its logins have ended.");
                }
            }
            Ok(())
        })
    }
}

/// Reads a password from standard input; at a terminal it asks, and does not show what is typed.
fn ask() -> io::Result<String> {
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
