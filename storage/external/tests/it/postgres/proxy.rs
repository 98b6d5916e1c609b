//! A socket between a node and the server that can cut connections.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tempfile::TempDir;

/// Passes connections on to a server.
pub(super) struct Proxy {
    dir: TempDir,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Whether the next answer is lost with its connection.
    armed: AtomicBool,
    /// The number of answers that were lost.
    cut: AtomicUsize,
}

impl Proxy {
    /// Starts a proxy to the server with this socket directory.
    pub(super) fn start(server: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join(".s.PGSQL.5432")).unwrap();
        let (server, state) = (server.join(".s.PGSQL.5432"), Arc::<State>::default());
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                connect(client, &server, &shared);
            }
        });
        Self { dir, state }
    }

    /// The directory of its socket.
    pub(super) fn socket(&self) -> &Path {
        self.dir.path()
    }

    /// Loses the next answer of the server, after the server has done what was asked.
    pub(super) fn lose_next_answer(&self) {
        self.state.armed.store(true, Ordering::SeqCst);
    }

    /// The number of answers that were lost.
    pub(super) fn lost_answers(&self) -> usize {
        self.state.cut.load(Ordering::SeqCst)
    }
}

fn connect(client: UnixStream, server: &PathBuf, state: &Arc<State>) {
    let Ok(server) = UnixStream::connect(server) else { return };
    let (from_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || pass(from_client, to_server, None));
    let state = state.clone();
    std::thread::spawn(move || pass(server, client, Some(&state)));
}

/// Passes bytes on until one side ends.
fn pass(mut from: UnixStream, mut to: UnixStream, state: Option<&State>) {
    let mut buffer = [0; 16 << 10];
    loop {
        let length = from.read(&mut buffer).unwrap_or(0);
        // Only commits are long enough for the armed cut to be worth a test, and they end with "ready, idle".
        let committed = buffer[..length].ends_with(b"Z\x00\x00\x00\x05I") && contains(&buffer[..length], b"INSERT 0 1");
        let lost = committed && state.is_some_and(|state| state.armed.swap(false, Ordering::SeqCst));
        if lost && let Some(state) = state {
            state.cut.fetch_add(1, Ordering::SeqCst);
        }
        if length == 0 || lost || to.write_all(&buffer[..length]).is_err() {
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
