//! `promox verify`: recomputes every invariant of an offline store and prints the violations.

use clap::Args;

use super::{Common, progress};
use crate::exit::Exit;
use crate::log;

/// Check every invariant of a store that no server has open.
#[derive(Debug, Args)]
pub(super) struct Verify {}

impl Verify {
    pub(super) fn run(self, common: &Common) -> Result<(), Exit> {
        let Self {} = self;
        let loaded = common.load(Vec::new())?;
        log::start(&loaded.settings.log);
        let promox = super::open_existing(&loaded)?;
        let bar = progress::waiting("checking the books");
        let verdict = promox.auditor().run().map_err(Exit::data)?;
        bar.finish_and_clear();
        for found in &verdict.findings {
            println!("{}: {}", found.invariant, found.detail);
        }
        println!("{} checks, {} violations", verdict.checks, verdict.broken);
        if verdict.clean { Ok(()) } else { Err(Exit::data("the store violates invariants; see the list above")) }
    }
}
