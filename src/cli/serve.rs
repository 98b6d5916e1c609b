//! `promox serve`: binds the port, opens the store and serves until it is stopped.

use std::net::SocketAddr;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::Common;
use crate::config::{Flag, Loaded, exposed};
use crate::exit::Exit;
use crate::http::Server;
use crate::log;
use crate::node::Promox;

/// Serve the shop.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Listen on this address and port.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

impl Serve {
    pub(super) fn run(self, common: &Common) -> Result<(), Exit> {
        let listen = self.listen.map(|value| Flag { name: "--listen", key: "server.listen", value });
        let loaded = common.load(listen.into_iter().collect())?;
        let levels = log::start(&loaded.settings.log);
        super::runtime(&loaded.settings)?.block_on(async {
            // Bind first, so that a busy port leaves the data untouched.
            let server = Server::bind(&loaded, levels).await?;
            serve(&loaded, server, |address| tracing::info!(%address, "ready")).await
        })
    }
}

/// Opens the store behind `server`, calls `ready`, and serves until SIGTERM or SIGINT.
pub(super) async fn serve(loaded: &Loaded, server: Server, ready: impl FnOnce(SocketAddr)) -> Result<(), Exit> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Exit::io)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Exit::io)?;
    let address = server.address();
    exposed(loaded).iter().for_each(|line| tracing::warn!("{line}"));
    let promox = Promox::open(loaded, &server).await?;
    ready(address);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!(
        "shutting down: no new connections are accepted; running requests finish, or end at once with a second signal"
    );
    tokio::select! {
        finished = server.shutdown() => if !finished {
            tracing::warn!("some requests did not finish in time");
        },
        _ = terminate.recv() => tracing::warn!("a second signal: running requests are not waited for"),
        _ = interrupt.recv() => tracing::warn!("a second signal: running requests are not waited for"),
    }
    promox.close().await;
    Ok(())
}
