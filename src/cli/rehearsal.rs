//! A rehearsal of the start, for `promox config check`: with a new store in a temporary directory, so that it finds what
//! `promox serve` would refuse and leaves the real store as it is.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use promox_embedded::DirectoryState;
use promox_kernel::Entropy;
use rustix::fs::{Access, access};

use crate::config::{Loaded, OptionalAddress};
use crate::exit::Exit;
use crate::http::{Server, ports};
use crate::log::Levels;
use crate::node::Promox;

/// The address of the administrator of the rehearsal, where none is configured.
const ADMIN: &str = "admin@example.com";

/// What the start would refuse, one message each. What depends on the contents of an existing store is not examined.
pub(super) fn faults(loaded: &Loaded) -> Result<Vec<String>, Exit> {
    let settings = &loaded.settings;
    let (state, directory) = directory(&settings.data.dir);
    let listeners = [("server.listen", settings.server.listen)].into_iter();
    let listeners =
        listeners.chain(ports::others(settings).into_iter().map(|(setting, address, _)| (setting, address)));
    let refused = listeners.filter_map(|(setting, wanted)| address(setting, wanted));
    let mut faults: Vec<String> = refused.chain(directory).collect();
    let has_store = matches!(state, Some(DirectoryState::Store));
    faults.extend(super::runtime(settings)?.block_on(start(loaded, has_store))?);
    Ok(faults.iter().map(|fault| loaded.hide_secrets(fault)).collect())
}

/// Why the server cannot listen on an address. A port that is in use is no fault of the settings: a server may be running.
fn address(setting: &str, wanted: SocketAddr) -> Option<String> {
    match TcpListener::bind(wanted) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            Some(format!("{setting}: cannot listen on {wanted}: {error}"))
        }
        _ => None,
    }
}

/// The state of the data directory, and why it cannot be used.
fn directory(dir: &Path) -> (Option<DirectoryState>, Option<String>) {
    let fault = |why: String| Some(format!("data.dir: {}: {why}", dir.display()));
    let state = match promox_embedded::inspect(dir) {
        Ok(state) => state,
        Err(error) => return (None, fault(error.to_string())),
    };
    let why = match &state {
        DirectoryState::OtherFiles(names) => fault(format!("has files that belong to no store: {}", names.join(", "))),
        DirectoryState::UnfinishedRestore => fault("a restore was interrupted: repeat it".to_owned()),
        DirectoryState::Empty | DirectoryState::UnfinishedStart | DirectoryState::Store => {
            unwritable(dir).and_then(fault)
        }
    };
    (Some(state), why)
}

/// Why a directory, or the nearest existing one above it, cannot be written to.
fn unwritable(dir: &Path) -> Option<String> {
    let above = dir.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let error = access(above, Access::WRITE_OK | Access::EXEC_OK).err()?;
    Some(format!("cannot write to {}: {}", above.display(), io::Error::from(error)))
}

/// Starts and stops a server on a temporary store and any port of loopback. Returns what refused the start.
async fn start(loaded: &Loaded, has_admin: bool) -> Result<Option<String>, Exit> {
    let dir = tempfile::Builder::new().prefix("promox-check-").tempdir().map_err(Exit::io)?;
    let mut loaded = loaded.clone();
    let settings = &mut loaded.settings;
    settings.data.dir = dir.path().to_owned();
    // A rehearsal must not touch the shop, so it has a store of its own and shares nothing.
    settings.postgres.url.clear();
    settings.redis.url.clear();
    settings.server.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    (settings.server.service_ports, settings.discovery.listen) = (false, OptionalAddress(None));
    if has_admin || settings.admin.email.is_empty() {
        // Only the first start needs the configured administrator, and without one it would print a token.
        ADMIN.clone_into(&mut settings.admin.email);
        settings.admin.password = Entropy::system().token();
    }
    let server = match Server::bind(&loaded, Levels::detached()).await {
        Ok(server) => server,
        Err(error) => return Ok(Some(Exit::from(error).to_string())),
    };
    let opened = Promox::open(&loaded, &server).await;
    server.shutdown().await;
    match opened {
        Ok(promox) => {
            promox.close().await;
            Ok(None)
        }
        Err(refused) => Ok(Some(refused.to_string())),
    }
}
