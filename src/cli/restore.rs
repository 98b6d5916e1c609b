//! `promox restore`: a store from a backup. All of it is checked before there is a store.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::Args;
use promox_embedded::Copied;

use super::{Common, progress, transfer};
use crate::config::Loaded;
use crate::exit::Exit;
use crate::{log, node, store};

/// The file that a data directory with a store in it has.
const STORE: &str = "store";
/// Bytes that are read at a time.
const CHUNK: usize = 1 << 20;

/// Make a store in an empty data directory from a backup.
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The backup.
    file: PathBuf,
}

impl Restore {
    pub(super) fn run(self, common: &Common) -> Result<(), Exit> {
        let loaded = common.load(Vec::new())?;
        log::start(&loaded.settings.log);
        let copied = restore(&loaded, &self.file)?;
        let dir = loaded.settings.data.dir.display();
        println!(
            "{dir} has the store of {}: {} rows and index entries, all checked",
            self.file.display(),
            copied.items
        );
        Ok(())
    }
}

/// Restores into the data directory of the settings.
pub(super) fn restore(loaded: &Loaded, path: &Path) -> Result<Copied, Exit> {
    let file = transfer::open(path)?;
    let dir = &loaded.settings.data.dir;
    if dir.join(STORE).exists() {
        return Err(Exit::usage(format_args!("{} has a store already; name an empty directory", dir.display())));
    }
    let bar = progress::bytes(file.metadata().map_err(Exit::io)?.len());
    let (options, schema) = (store::options(&loaded.settings), node::schema()?);
    let mut input = BufReader::with_capacity(CHUNK, file);
    let restored =
        promox_embedded::restore(&options, &schema, path, &mut input, |copied| bar.set_position(copied.bytes));
    bar.finish_and_clear();
    Ok(restored?)
}
