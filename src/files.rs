//! New files that appear under their names only when they are complete and synced, readable by this user alone.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Bytes that are collected before they are written.
const CHUNK: usize = 64 << 10;

/// Creates a file with what `fill` writes, and returns what `fill` returns. If anything fails, there is no file. An
/// existing file is replaced.
pub(crate) fn create<T>(path: &Path, fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<T>) -> io::Result<T> {
    let partial = partial_path(path);
    let filled = create_private(&partial).and_then(|file| {
        let mut out = BufWriter::with_capacity(CHUNK, file);
        let filled = fill(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&partial, path)?;
        sync_parent(path).map(|()| filled)
    });
    if filled.is_err() {
        let _ = fs::remove_file(&partial);
    }
    filled
}

/// Exports contain addresses, and backups contain password hashes.
fn create_private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// The name of a file until it is complete.
fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Makes a new directory entry durable.
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}
