//! `promox analytics`: makes the figures of a closed store anew.

use std::time::Duration;

use clap::{Args, Subcommand};
use promox_kernel::Cx;

use super::{Common, progress, refused};
use crate::exit::Exit;
use crate::log;

/// How long a rebuild may take.
const LIMIT: Duration = Duration::from_hours(24);

/// Look after the figures.
#[derive(Debug, Args)]
pub(super) struct Analytics {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make every figure anew from the event logs; the same events make the same figures.
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
            let told = |done, all| {
                last = all;
                bar.set_length(all);
                bar.set_position(done);
            };
            let done =
                promox.service::<promox_analytics::Analytics>().map_err(Exit::internal)?.rebuild(&cx, told).await;
            promox.close().await;
            bar.finish_and_clear();
            done.map_err(refused)?;
            println!("The figures of {last} events were made anew.");
            Ok(())
        })
    }
}
