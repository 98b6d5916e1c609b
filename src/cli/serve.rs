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
use crate::systemd::{self, State};

/// Serve the shop.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Listen on this address and port.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

impl Serve {
    pub(super) fn run(self, common: &Common) -> Result<(), Exit> {
        let load = || {
            let listen = self.listen.clone().map(|value| Flag { name: "--listen", key: "server.listen", value });
            common.load(listen.into_iter().collect())
        };
        let loaded = load()?;
        let levels = log::start(&loaded.settings.log);
        super::runtime(&loaded.settings)?.block_on(async {
            // Bind first, so that a busy port leaves the data untouched.
            let server = Server::bind(&loaded, levels).await?;
            serve(&loaded, server, |address| tracing::info!(%address, "ready"), load).await
        })
    }
}

/// Opens the store behind `server`, calls `ready`, and serves until SIGTERM or SIGINT. On SIGHUP, certificate and log
/// levels are read again; `load` returns the settings.
pub(super) async fn serve(
    loaded: &Loaded,
    server: Server,
    ready: impl FnOnce(SocketAddr),
    load: impl Fn() -> Result<Loaded, Exit>,
) -> Result<(), Exit> {
    let listen = |kind| signal(kind).map_err(Exit::io);
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let mut hang_up = listen(SignalKind::hangup())?;
    let address = server.address();
    exposed(loaded).iter().for_each(|line| tracing::warn!("{line}"));
    let promox = Promox::open(loaded, &server).await?;
    ready(address);
    systemd::notify(State::Ready);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => {
                systemd::notify(State::Reloading);
                reload(&server, load());
                systemd::notify(State::Ready);
            }
        }
    }
    systemd::notify(State::Stopping);
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

/// Applies new log levels and a renewed certificate. Settings that cannot be read change nothing.
fn reload(server: &Server, loaded: Result<Loaded, Exit>) {
    match loaded {
        Ok(loaded) => {
            server.reload(&loaded.settings);
            tracing::info!("log levels and certificate are read again; other settings take effect with a restart");
        }
        Err(error) => tracing::warn!(%error, "the settings cannot be read again, so nothing has changed"),
    }
}
