//! The storage backend of redb. A write on a full disk waits for space, because redb would refuse everything after an
//! error, including reads. Waiting is harmless: on a full disk transactions are refused, and none waits for a
//! checkpoint.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redb::StorageBackend;

use crate::disk::{DiskFile, is_full};

/// The retry interval of a write that waits for space.
const AGAIN: Duration = Duration::from_millis(50);

/// Whether the disk has space, and whether to keep waiting for it.
#[derive(Debug, Default)]
pub(crate) struct Room {
    full: AtomicBool,
    scarce: AtomicBool,
    closing: AtomicBool,
}

impl Room {
    /// Whether so little space is left that long reads end. While one is open, the checkpoint file grows instead of
    /// reusing pages.
    pub(crate) fn is_scarce(&self) -> bool {
        self.scarce.load(Ordering::Acquire)
    }

    pub(crate) fn set_scarce(&self, scarce: bool) {
        self.scarce.store(scarce, Ordering::Release);
    }

    /// Whether the disk is full. If it is, writes are refused and reads continue.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    pub(crate) fn set_full(&self, full: bool) {
        if self.full.swap(full, Ordering::AcqRel) == full {
            return;
        }
        if full {
            tracing::error!("the disk is full or nearly full: writes are refused until there is space, reads continue");
        } else {
            tracing::info!("the disk has space again: writes are accepted");
        }
    }

    /// Ends all waiting for space, now and later.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Repeats a write until it does not fail for lack of space, or the engine is closing.
    fn wait(&self, mut write: impl FnMut() -> io::Result<()>) -> io::Result<()> {
        loop {
            match write() {
                Err(error) if is_full(&error) && !self.is_closing() => {
                    self.set_full(true);
                    std::thread::sleep(AGAIN);
                }
                done => return done,
            }
        }
    }
}

#[derive(Debug)]
pub(crate) struct Backend {
    file: Arc<dyn DiskFile>,
    room: Arc<Room>,
}

impl Backend {
    pub(crate) fn new(file: Arc<dyn DiskFile>, room: Arc<Room>) -> Self {
        Self { file, room }
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let read = self.file.read(offset, out)?;
        if read == out.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.room.wait(|| self.file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.room.wait(|| self.file.write(offset, data))
    }
}
