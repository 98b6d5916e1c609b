//! `promox analytics`: rebuilds the figures of a store that no server has open.

use std::time::Duration;

use clap::{Args, Subcommand};
use promox_kernel::Cx;

use super::{Common, progress, refused};
use crate::exit::Exit;
use crate::log;

/// How long a rebuild may take.
const LIMIT: Duration = Duration::from_hours(24);

/// Maintain the analytics figures.
#[derive(Debug, Args)]
pub(super) struct Analytics {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Rebuild every figure from the event logs. The same events give the same figures.
    Rebuild,
}

impl Analytics {
    pub(super) fn run(self, common: &Common) -> Result<(), Exit> {
        let What::Rebuild = self.what;
        let loaded = common.load(Vec::new())?;
        log::start(&loaded.settings.log);
        super::runtime(&loaded.settings)?.block_on(async {
            let promox = super::opened(&loaded)?;
            let cx = Cx::system(promox.node(), "command line", LIMIT);
            let bar = progress::items(0, "events");
            let mut last = 0;
            let progress = |done, all| {
                last = all;
                bar.set_length(all);
                bar.set_position(done);
            };
            let done =
                promox.service::<promox_analytics::Analytics>().map_err(Exit::internal)?.rebuild(&cx, progress).await;
            promox.close().await;
            bar.finish_and_clear();
            done.map_err(refused)?;
            println!("Rebuilt the figures from {last} events.");
            Ok(())
        })
    }
}
