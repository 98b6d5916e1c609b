//! `promox verify`: recomputes every invariant of a store, offline or through a running server, and prints the
//! violations.

use clap::Args;

use super::remote::{Remote, RemoteOptions};
use super::{Common, follow, progress};
use crate::cli::output::say;
use crate::config::Loaded;
use crate::exit::Exit;
use crate::log;
use crate::verify::Verdict;

/// Check every invariant of an offline store, or with `--url` of the store of a running server.
#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    server: RemoteOptions,
}

impl Verify {
    pub(super) fn run(self, common: &Common) -> Result<(), Exit> {
        let loaded = common.load(Vec::new())?;
        log::start(&loaded.settings.log);
        let verdict = match self.server.remote(common)? {
            Some(remote) => super::runtime(&loaded.settings)?.block_on(verify_online(&remote))?,
            None => verify_offline(&loaded)?,
        };
        for found in &verdict.findings {
            say!("{}: {}", found.invariant, found.detail);
        }
        say!("{} checks, {} violations", verdict.checks, verdict.broken);
        if verdict.clean { Ok(()) } else { Err(Exit::data("the store violates invariants; see the list above")) }
    }
}

fn verify_offline(loaded: &Loaded) -> Result<Verdict, Exit> {
    let promox = super::open_existing(loaded)?;
    let bar = progress::waiting("checking the books");
    let verdict = promox.auditor().run().map_err(Exit::data)?;
    bar.finish_and_clear();
    Ok(verdict)
}

async fn verify_online(remote: &Remote) -> Result<Verdict, Exit> {
    let (run, _) = follow::follow(remote, "VERIFY", "rows and index entries").await?;
    let verdict = run.get("verdict").cloned().unwrap_or_default();
    serde_json::from_value(verdict).map_err(|error| Exit::io(format_args!("the server's response: {error}")))
}
