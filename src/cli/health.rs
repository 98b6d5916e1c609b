//! `promox health`: asks a running server whether it is ready, for container and process supervisors.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::Common;
use super::remote::Remote;
use crate::cli::output::say;
use crate::exit::Exit;

/// How long the server may take to answer.
const LIMIT: Duration = Duration::from_secs(5);

/// Ask a running server whether it is ready. Exits with 0 if it is, otherwise with 74.
#[derive(Debug, Args)]
pub(super) struct Health {
    /// The address of the server. By default it is the one that the settings say.
    #[arg(long)]
    url: Option<String>,
    /// Also trust the certificate authorities in this file (PEM).
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Health {
    pub(super) fn run(self, common: &Common) -> Result<(), Exit> {
        let loaded = common.load(Vec::new())?;
        let remote = match &self.url {
            Some(url) => Remote::new(url, String::new(), self.ca.as_deref())?,
            None => Remote::local(&loaded.settings, self.ca.as_deref())?,
        };
        let status = super::runtime(&loaded.settings)?.block_on(readiness(&remote))?;
        say!("{status}");
        if status == "UP" { Ok(()) } else { Err(Exit::io("the server is not ready")) }
    }
}

/// The status of a server's readiness, such as `UP`.
pub(super) async fn readiness(remote: &Remote) -> Result<String, Exit> {
    let asked = tokio::time::timeout(LIMIT, remote.call("GET", "/actuator/health/readiness", None)).await;
    let late = |_| Exit::io(format_args!("the server did not answer within {} s", LIMIT.as_secs()));
    let (_, body) = asked.map_err(late)??;
    let text = |name: &str| body.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
    text("code").or_else(|| text("status")).ok_or_else(|| Exit::io("what answers there is not promox"))
}
