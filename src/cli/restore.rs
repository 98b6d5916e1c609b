//! `promox restore`: creates a store from a backup. The whole backup is verified before the store exists.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::Args;
use promox_embedded::{Copied, DirectoryState, OpenError};

use super::{Common, progress, transfer};
use crate::cli::output::say;
use crate::config::Loaded;
use crate::exit::Exit;
use crate::{engine, log, node};

/// Bytes read at a time.
const CHUNK: usize = 1 << 20;

/// Restore a backup into an empty data directory, or into empty databases on the configured PostgreSQL server.
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The backup file.
    file: PathBuf,
}

impl Restore {
    pub(super) fn run(self, common: &Common) -> Result<(), Exit> {
        let loaded = common.load(Vec::new())?;
        log::start(&loaded.settings.log);
        if loaded.settings.postgres.is_on() {
            let copied = restore_to_postgres(&loaded, &self.file)?;
            let (postgres, file) = (&loaded.settings.postgres, self.file.display());
            say!(
                "{} and {} now contain the store from {file}: {} rows and index entries were read. \
                 promox verify checks them",
                postgres.ecommerce_db,
                postgres.promox_db,
                copied.items
            );
            return Ok(());
        }
        let copied = restore(&loaded, &self.file)?;
        let dir = loaded.settings.data.dir.display();
        say!(
            "{dir} now contains the store from {}: {} rows and index entries, all verified",
            self.file.display(),
            copied.items
        );
        Ok(())
    }
}

/// Restores the backup at `path` into the databases of the settings, which must be empty. If it is interrupted, it goes
/// on after the last whole table when it is repeated.
fn restore_to_postgres(loaded: &Loaded, path: &Path) -> Result<Copied, Exit> {
    let file = transfer::open(path)?;
    let bar = progress::bytes(file.metadata().map_err(Exit::io)?.len());
    let mut input = BufReader::with_capacity(CHUNK, file);
    let mut backup = promox_embedded::BackupReader::open(path, &mut input)?;
    let mut load = engine::load(&loaded.settings, node::schema()?)?;
    while let Some(items) = backup.items()? {
        for (space, key, value) in items {
            load.add(space, &key, &value)?;
        }
        bar.set_position(backup.copied().bytes);
    }
    load.finish(backup.time(), backup.events())?;
    bar.finish_and_clear();
    Ok(backup.copied())
}

/// Restores the backup at `path` into the data directory of the settings. A failed restore leaves no files behind.
pub(super) fn restore(loaded: &Loaded, path: &Path) -> Result<Copied, Exit> {
    let file = transfer::open(path)?;
    let dir = &loaded.settings.data.dir;
    let bar = progress::bytes(file.metadata().map_err(Exit::io)?.len());
    let (options, schema) = (engine::options(&loaded.settings), node::schema()?);
    let mut input = BufReader::with_capacity(CHUNK, file);
    let restored = fill(dir, || {
        promox_embedded::restore(&options, &schema, path, &mut input, |copied| bar.set_position(copied.bytes))
    });
    bar.finish_and_clear();
    restored
}

/// Runs a restore into a directory that has no store. The files of a failed one are removed.
pub(super) fn fill(dir: &Path, restore: impl FnOnce() -> Result<Copied, OpenError>) -> Result<Copied, Exit> {
    if promox_embedded::inspect(dir)? == DirectoryState::Store {
        return Err(Exit::usage(format_args!("{} already has a store; name an empty directory", dir.display())));
    }
    let before = Snapshot::of(dir);
    let restored = restore();
    if restored.is_err() {
        before.remove_new_files();
    }
    Ok(restored?)
}

/// The names in the data directory before the restore, so that the files of a failed one can be removed.
struct Snapshot<'a> {
    dir: &'a Path,
    /// The outermost ancestor of `dir`, or `dir` itself, that did not exist.
    missing: Option<&'a Path>,
    names: HashSet<OsString>,
}

impl<'a> Snapshot<'a> {
    fn of(dir: &'a Path) -> Self {
        let missing = dir.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).last();
        Self { dir, missing, names: file_names(dir) }
    }

    /// Removes what the restore created. A store that appeared in the meantime belongs to another process.
    fn remove_new_files(&self) {
        if !matches!(promox_embedded::inspect(self.dir), Ok(DirectoryState::Empty | DirectoryState::OtherFiles(_))) {
            return;
        }
        let new: Vec<PathBuf> = match self.missing {
            Some(missing) => vec![missing.to_owned()],
            None => file_names(self.dir).difference(&self.names).map(|name| self.dir.join(name)).collect(),
        };
        for path in new {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            if let Err(error) = removed {
                tracing::warn!(path = %path.display(), %error, "the files of a failed restore could not be removed");
            }
        }
    }
}

fn file_names(dir: &Path) -> HashSet<OsString> {
    fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.file_name())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_backup_leaves_no_files_behind() {
        let temporary = tempfile::tempdir().unwrap();
        let file = temporary.path().join("backup");
        fs::write(&file, b"promox backup, cut off").unwrap();
        let (new, empty) = (temporary.path().join("deep/new"), temporary.path().join("empty"));
        fs::create_dir(&empty).unwrap();
        fs::write(empty.join("mine"), b"").unwrap();
        for dir in [&new, &empty] {
            let named = ("PROMOX_DATA__DIR".into(), dir.display().to_string());
            let loaded = crate::config::load(None, [named], &[]).unwrap();
            assert!(restore(&loaded, &file).is_err());
        }
        assert!(!temporary.path().join("deep").exists(), "new directories are removed");
        assert_eq!(file_names(&empty), HashSet::from(["mine".into()]), "existing files are kept");
    }
}
