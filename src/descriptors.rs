//! File descriptors: their limit, and how many of them connections may use.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that connections leave to the store, the search index and outgoing connections.
const RESERVE: u64 = 256;

/// Raises the soft limit to the hard limit. Many systems start services with a soft limit of 1,024 for the sake of old
/// programs that use `select`; this one does not.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
    {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

/// The number of connections that may be open: `wanted`, or fewer if the limit of open files is too low for them.
pub(crate) fn connections(wanted: usize) -> usize {
    let most = possible_connections(getrlimit(Resource::Nofile).current);
    if most < wanted {
        tracing::warn!(
            connections = most,
            "limits.connections is {wanted}, but the limit of open files allows fewer; raise it, such as by LimitNOFILE \
             in the systemd unit"
        );
    }
    wanted.min(most)
}

/// The number of connections that a limit of open files allows; `None` is no limit.
pub(crate) fn possible_connections(limit: Option<u64>) -> usize {
    let Some(limit) = limit else { return usize::MAX };
    usize::try_from(limit.saturating_sub(RESERVE.max(limit / 4))).unwrap_or(usize::MAX).max(1)
}
