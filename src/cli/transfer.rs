//! Reads files as request bodies and writes streams to files.
//!
//! An output file appears under its name only when it is complete and synced.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Read};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use indicatif::ProgressBar;
use promox_kernel::{Body, BodyReader, BodySender, Error};

use super::progress;
use crate::exit::Exit;

/// Bytes read at a time.
const CHUNK: usize = 64 << 10;

/// Opens a file named on the command line.
pub(super) fn open(path: &Path) -> Result<File, Exit> {
    File::open(path).map_err(|error| Exit::usage(format_args!("{}: {error}", path.display())))
}

/// The file as a request body, read on a thread of its own. Its media type is NDJSON or CSV, by the file's extension.
pub(super) fn body(path: &Path, file: File) -> Result<Body, Exit> {
    let length = file.metadata().map_err(Exit::io)?.len();
    let media_type = if is_ndjson(path) { "application/x-ndjson" } else { "text/csv" }.to_owned();
    let (sender, reader) = BodyReader::pair();
    std::thread::spawn(move || feed(file, &progress::bytes(length), &sender));
    Ok(Body { media_type, reader: Some(reader), headers: Vec::new() })
}

/// Whether the file name has an NDJSON extension.
pub(super) fn is_ndjson(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "ndjson" || extension == "jsonl")
}

fn feed(mut file: File, bar: &ProgressBar, sender: &BodySender) {
    let mut buffer = vec![0; CHUNK];
    loop {
        let chunk = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => Ok(Bytes::copy_from_slice(buffer.get(..read).unwrap_or_default())),
            Err(error) => Err(Error::internal(error)),
        };
        bar.inc(chunk.as_ref().map_or(0, |chunk| chunk.len() as u64));
        if chunk.is_err() | !sender.send_blocking(chunk) {
            break;
        }
    }
    bar.finish_and_clear();
}

/// Writes a stream to a new file and returns its length in bytes.
pub(super) fn save(mut reader: impl Read, path: &Path) -> Result<u64, Exit> {
    let bar = progress::stream();
    let saved = create(path, |out| io::copy(&mut bar.wrap_read(&mut reader), out));
    bar.finish_and_clear();
    saved
}

/// Creates a file with what `fill` writes, and returns its length in bytes. An existing file is never overwritten.
pub(super) fn create(path: &Path, fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<u64>) -> Result<u64, Exit> {
    if path.exists() {
        return Err(Exit::usage(format_args!("{} already exists: nothing was written", path.display())));
    }
    let partial = partial_path(path);
    let filled = create_private(&partial).and_then(|file| {
        let mut out = BufWriter::with_capacity(CHUNK, file);
        let length = fill(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&partial, path)?;
        sync_parent(path).map(|()| length)
    });
    filled.map_err(|error| {
        let _ = fs::remove_file(&partial);
        Exit::io(format_args!("{}: {error}", path.display()))
    })
}

/// Creates a file that only this user can read: exports contain addresses, and backups contain password hashes.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incomplete_file_is_never_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("out.ndjson");
        assert_eq!(save(&b"one\n"[..], &file).unwrap(), 4);
        assert!(save(&b"two\n"[..], &file).is_err(), "a file is never overwritten");
        assert_eq!(fs::read(&file).unwrap(), b"one\n");
        let (sender, reader) = BodyReader::pair();
        assert!(sender.send_blocking(Ok(Bytes::from_static(b"half"))));
        assert!(sender.send_blocking(Err(Error::internal("the disk"))));
        let broken = dir.path().join("broken");
        assert!(save(reader, &broken).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
