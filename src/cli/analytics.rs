//! `promox analytics`: rebuilds the analytics figures of an offline store.

use std::time::Duration;

use clap::{Args, Subcommand};
use promox_kernel::Cx;

use super::{Common, progress, refusal_exit};
use crate::cli::output::say;
use crate::exit::Exit;
use crate::log;

/// The time limit of a rebuild.
const LIMIT: Duration = Duration::from_hours(24);

/// Maintain the analytics figures.
#[derive(Debug, Args)]
pub(super) struct Analytics {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Rebuild every figure from the event logs.
    Rebuild,
}

impl Analytics {
    pub(super) fn run(self, common: &Common) -> Result<(), Exit> {
        let Action::Rebuild = self.action;
        let loaded = common.load(Vec::new())?;
        log::start(&loaded.settings.log);
        super::runtime(&loaded.settings)?.block_on(async {
            let promox = super::open_existing(&loaded)?;
            let cx = Cx::system(promox.node(), "command line", LIMIT);
            let bar = progress::items(0, "events");
            let mut events = 0;
            let progress = |done, total| {
                events = total;
                bar.set_length(total);
                bar.set_position(done);
            };
            let done =
                promox.service::<promox_analytics::Analytics>().map_err(Exit::internal)?.rebuild(&cx, progress).await;
            promox.close().await;
            bar.finish_and_clear();
            done.map_err(refusal_exit)?;
            say!("Rebuilt the figures from {events} events.");
            Ok(())
        })
    }
}
