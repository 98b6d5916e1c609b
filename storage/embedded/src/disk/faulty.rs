//! A disk that fails on demand, layered over another disk. Tests choose what fails and when.

use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{DirLock, Disk, DiskFile};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A write fails with an input/output error.
    Write,
    /// A sync fails with an input/output error.
    Sync,
    /// A write that extends a file fails, as on a full disk.
    Full,
    /// Any write fails, as on a full disk with a copy-on-write file system.
    NoRoom,
    /// A read fails with an input/output error.
    Read,
    /// A sync does nothing, but reports success. This is the negative control of crash tests.
    SilentSync,
}

#[derive(Debug, Default)]
struct Plan {
    fault: Option<Fault>,
    /// The number of operations that succeed first.
    after: u64,
    /// The number of operations that fail after them.
    times: u64,
    /// The number of operations so far.
    seen: u64,
}

/// A disk that fails on demand. Clones share the same disk.
#[derive(Clone, Debug)]
pub struct FaultyDisk {
    inner: Arc<dyn Disk>,
    plan: Arc<Mutex<Plan>>,
}

impl FaultyDisk {
    /// Creates a disk over another one, which works until [`FaultyDisk::fail`] is called.
    pub fn over(inner: Arc<dyn Disk>) -> Self {
        Self { inner, plan: Arc::default() }
    }

    /// Lets `after` operations of a kind succeed, and then fails `times` of them.
    pub fn fail(&self, fault: Fault, after: u64, times: u64) {
        *self.plan.lock() = Plan { fault: Some(fault), after, times, seen: 0 };
    }

    /// Stops failing.
    pub fn stop_failing(&self) {
        *self.plan.lock() = Plan::default();
    }

    /// Returns the number of operations of the kind since [`FaultyDisk::fail`] was called.
    pub fn seen(&self) -> u64 {
        self.plan.lock().seen
    }
}

impl Plan {
    /// Counts an operation. Returns whether it fails.
    fn should_fail(&mut self, fault: Fault) -> bool {
        if self.fault != Some(fault) {
            return false;
        }
        self.seen += 1;
        self.seen > self.after && self.seen <= self.after.saturating_add(self.times)
    }
}

fn check(plan: &Mutex<Plan>, fault: Fault) -> io::Result<()> {
    match plan.lock().should_fail(fault) {
        false => Ok(()),
        true if matches!(fault, Fault::Full | Fault::NoRoom) => Err(io::ErrorKind::StorageFull.into()),
        true => Err(io::Error::other(format!("injected fault: {fault:?}"))),
    }
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(FaultyFile { inner: self.inner.open(path)?, plan: self.plan.clone() }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.inner.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.create_dir(dir)
    }

    fn make_private(&self, dir: &Path) -> io::Result<()> {
        self.inner.make_private(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.inner.exists(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        check(&self.plan, Fault::Write)?;
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        check(&self.plan, Fault::Sync)?;
        self.inner.sync_dir(dir)
    }

    fn free_space(&self, dir: &Path) -> io::Result<u64> {
        let full = { self.plan.lock().fault == Some(Fault::Full) };
        if full { Ok(0) } else { self.inner.free_space(dir) }
    }

    fn lock(&self, dir: &Path) -> io::Result<Result<DirLock, String>> {
        self.inner.lock(dir)
    }
}

#[derive(Debug)]
struct FaultyFile {
    inner: Arc<dyn DiskFile>,
    plan: Arc<Mutex<Plan>>,
}

impl DiskFile for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        check(&self.plan, Fault::Read)?;
        self.inner.read(offset, out)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        check(&self.plan, Fault::Write)?;
        check(&self.plan, Fault::NoRoom)?;
        if offset + bytes.len() as u64 > self.inner.len()? {
            check(&self.plan, Fault::Full)?;
        }
        self.inner.write(offset, bytes)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        check(&self.plan, Fault::Write)?;
        self.inner.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        check(&self.plan, Fault::Sync)?;
        if self.plan.lock().should_fail(Fault::SilentSync) { Ok(()) } else { self.inner.sync() }
    }
}
