//! The division of `storage.memory_mib`. Every cache and table that grows has a share here.
//!
//! Password hashing and the search index's writer get a fixed amount. Of the rest, rows that wait for a checkpoint get
//! half, the cache a sixteenth, and the pages of the checkpoint file what remains.

use std::fmt;
use std::thread::available_parallelism;

use super::Storage;

const MIB: usize = 1 << 20;
/// The memory for hashing one password with argon2id.
const HASH_BYTES: usize = 19 * MIB;
/// The write buffer of the search index, with its overhead.
const SEARCH_BYTES: usize = 16 * MIB;
/// Uncheckpointed rows must have room for this many checkpoints' worth of journal.
const CHECKPOINTS: usize = 2;

/// The shares, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Pages of the checkpoint file.
    pub pages: usize,
    /// Committed rows that wait for a checkpoint.
    pub table: usize,
    /// The search index.
    pub search: usize,
    /// The cache.
    pub cache: usize,
    /// The number of passwords that may be hashed at once.
    pub max_concurrent_hashes: usize,
}

impl Shares {
    /// The shares on this machine.
    pub fn of(storage: &Storage) -> Self {
        Self::on(storage, available_parallelism().map_or(1, usize::from))
    }

    /// The shares on a machine with this many cores: one password per core at a time, within a quarter of the memory.
    fn on(storage: &Storage, cores: usize) -> Self {
        let memory = usize::try_from(storage.memory_mib).unwrap_or(usize::MAX).saturating_mul(MIB);
        let max_concurrent_hashes = (memory / 4 / HASH_BYTES).clamp(1, cores.max(1));
        let rest = memory.saturating_sub(SEARCH_BYTES + max_concurrent_hashes * HASH_BYTES);
        let (table, cache) = (rest / 2, rest / 16);
        Self { pages: rest - table - cache, table, search: SEARCH_BYTES, cache, max_concurrent_hashes }
    }

    /// The minimum of `storage.memory_mib` for these settings.
    pub(super) fn minimum_mib(storage: &Storage) -> u64 {
        let table = storage.checkpoint_mib.saturating_mul(CHECKPOINTS as u64);
        ((SEARCH_BYTES + HASH_BYTES) / MIB) as u64 + table.saturating_mul(2)
    }

    /// Bytes for hashing passwords.
    fn hashing(&self) -> usize {
        self.max_concurrent_hashes * HASH_BYTES
    }
}

impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: usize| bytes / MIB;
        let (table, pages, cache) = (mib(self.table), mib(self.pages), mib(self.cache));
        let (hashing, search) = (mib(self.hashing()), mib(self.search));
        write!(
            f,
            "pages {pages}, uncheckpointed rows {table}, password hashing {hashing}, search {search}, cache {cache} MiB"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(memory_mib: u64, checkpoint_mib: u64) -> Storage {
        Storage { memory_mib, checkpoint_mib, ..Storage::default() }
    }

    #[test]
    fn shares_add_up_to_the_configured_memory() {
        for (memory, cores, shown) in [
            (256, 2, "pages 88, uncheckpointed rows 101, password hashing 38, search 16, cache 12 MiB"),
            (256, 64, "pages 80, uncheckpointed rows 91, password hashing 57, search 16, cache 11 MiB"),
            (67, 2, "pages 14, uncheckpointed rows 16, password hashing 19, search 16, cache 2 MiB"),
            (4096, 8, "pages 1718, uncheckpointed rows 1964, password hashing 152, search 16, cache 245 MiB"),
        ] {
            let shares = Shares::on(&storage(memory, 8), cores);
            assert_eq!(shares.to_string(), shown);
            let total = shares.pages + shares.table + shares.search + shares.cache + shares.hashing();
            assert_eq!(total as u64, memory << 20);
        }
    }

    #[test]
    fn the_minimum_is_enough_for_every_share() {
        for checkpoint in [1, 2, 8, 64, 1024] {
            let minimum = Shares::minimum_mib(&storage(0, checkpoint));
            let shares = Shares::on(&storage(minimum, checkpoint), 1);
            assert!(shares.table as u64 >= (2 * checkpoint) << 20, "{shares}");
            assert!(shares.pages >= MIB && shares.cache >= MIB / 8, "{shares}");
        }
    }
}
