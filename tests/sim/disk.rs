//! The simulated disk of a node: it is in memory, fails on demand, and a power cut keeps an arbitrary part of unsynced
//! data.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use promox_embedded::disk::{Disk, DiskOp, FaultyDisk, MemoryDisk, Persisted};
use promox_kernel::Entropy;

/// The disk of one start of the node.
pub(crate) struct SimDisk {
    /// The state when the node started.
    before: MemoryDisk,
    /// The state as the node sees it, with a log of all operations since the start.
    now: MemoryDisk,
    faulty: FaultyDisk,
}

impl SimDisk {
    /// A disk with the contents that the previous start of the node has left.
    pub(crate) fn on(before: MemoryDisk) -> Self {
        let now = before.copy();
        now.record();
        let faulty = FaultyDisk::over(Arc::new(now.clone()));
        Self { before, now, faulty }
    }

    /// The disk to give to the engine.
    pub(crate) fn engine(&self) -> Arc<dyn Disk> {
        Arc::new(self.faulty.clone())
    }

    /// The handle that makes the disk fail.
    pub(crate) fn faulty(&self) -> &FaultyDisk {
        &self.faulty
    }

    /// The full contents, as after an orderly stop.
    pub(crate) fn whole(&self) -> MemoryDisk {
        self.now.copy()
    }

    /// The contents after a power cut at this moment: any part of unsynced writes is kept, and unsynced changes of
    /// names are kept up to one of them.
    pub(crate) fn after_power_cut(&self, entropy: &Entropy) -> MemoryDisk {
        let log = self.now.log();
        let (mut synced, mut names_synced) = (HashMap::new(), 0);
        for (number, op) in log.iter().enumerate() {
            match op {
                DiskOp::Sync(file) => drop(synced.insert(*file, number)),
                DiskOp::SyncDir => names_synced = number,
                _ => {}
            }
        }
        let (left, mut names_lost) = (self.before.copy(), false);
        for (number, op) in log.iter().enumerate() {
            let kept = match op {
                DiskOp::Write(file, _, bytes) if synced.get(file).is_none_or(|at| *at < number) => {
                    match entropy.below(3) {
                        0 => Persisted::Nothing,
                        1 => Persisted::First(usize::try_from(entropy.below(bytes.len() as u64)).unwrap()),
                        _ => Persisted::Whole,
                    }
                }
                DiskOp::Create(..) | DiskOp::Rename(..) | DiskOp::Remove(_) if names_synced < number => {
                    names_lost |= entropy.below(4) == 0;
                    if names_lost { Persisted::Nothing } else { Persisted::Whole }
                }
                _ => Persisted::Whole,
            };
            left.replay(op, kept);
        }
        left
    }
}

/// A digest of every byte on a disk.
pub(crate) fn digest(disk: &MemoryDisk) -> String {
    let mut context = Context::new(&SHA256);
    for (path, length) in disk.files() {
        let mut bytes = vec![0; length];
        disk.open(&path).unwrap().read(0, &mut bytes).unwrap();
        context.update(path.to_string_lossy().as_bytes());
        context.update(&bytes);
    }
    format!("{:02x?}", context.finish().as_ref())
}
