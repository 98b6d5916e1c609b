//! Reads files as request bodies and writes streams to files.
//!
//! An output file appears under its name only when it is complete and synced.

use std::fs::File;
use std::io::{self, BufWriter, Read};
use std::path::Path;

use bytes::Bytes;
use indicatif::ProgressBar;
use promox_kernel::{Body, BodyReader, BodySender, Error};

use super::progress;
use crate::exit::Exit;
use crate::files;

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

/// Writes a stream to a new file and returns its length in bytes. A stream that ends early is an error.
pub(super) fn save(mut reader: BodyReader, path: &Path) -> Result<u64, Exit> {
    let length = reader.length();
    let bar = length.map_or_else(progress::stream, progress::bytes);
    let saved = create(path, |out| {
        let copied = io::copy(&mut bar.wrap_read(&mut reader), out)?;
        if length.is_some_and(|length| length != copied) {
            Err(io::ErrorKind::UnexpectedEof.into())
        } else {
            Ok(copied)
        }
    });
    bar.finish_and_clear();
    saved
}

/// Fails if a file exists.
pub(super) fn check_new(path: &Path) -> Result<(), Exit> {
    if path.exists() {
        return Err(Exit::usage(format_args!("{} already exists: nothing was written", path.display())));
    }
    Ok(())
}

/// Creates a file with what `fill` writes, and returns its length in bytes. An existing file is never overwritten.
pub(super) fn create(path: &Path, fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<u64>) -> Result<u64, Exit> {
    check_new(path)?;
    files::create(path, fill).map_err(|error| Exit::io(format_args!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn an_incomplete_file_is_never_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("out.ndjson");
        let stream = |text: &'static [u8]| {
            let (sender, reader) = BodyReader::pair();
            assert!(sender.send_blocking(Ok(Bytes::from_static(text))));
            reader
        };
        assert_eq!(save(stream(b"one\n"), &file).unwrap(), 4);
        assert!(save(stream(b"two\n"), &file).is_err(), "a file is never overwritten");
        let cut = dir.path().join("cut");
        assert!(save(stream(b"half").with_length(8), &cut).is_err(), "the stream is shorter than stated");
        assert_eq!(fs::read(&file).unwrap(), b"one\n");
        let (sender, reader) = BodyReader::pair();
        assert!(sender.send_blocking(Ok(Bytes::from_static(b"half"))));
        assert!(sender.send_blocking(Err(Error::internal("the disk"))));
        let broken = dir.path().join("broken");
        assert!(save(reader, &broken).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
