//! `promox migrate`: moves an offline store between the embedded engine and PostgreSQL.

use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::Path;

use clap::{Args, ValueEnum};
use promox_embedded::{BackupError, Copied};
use promox_storage::{Database, Direction, KeyRange, Reader, Space, Tx};

use super::{Common, progress, restore};
use crate::cli::output::say;
use crate::config::Loaded;
use crate::exit::Exit;
use crate::node::Promox;
use crate::{engine, log, node};

/// The size of the buffers between reading and writing.
const CHUNK: usize = 1 << 20;

/// Move an offline store between the data directory and the configured PostgreSQL server.
#[derive(Debug, Args)]
pub(super) struct Migrate {
    /// Where the store moves to. The other place keeps its copy.
    #[arg(long, value_enum)]
    to: Target,
}

/// The engine that a store moves to.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Target {
    /// The databases of `postgres.url`, which must be empty.
    Postgres,
    /// The data directory, which must be empty.
    Embedded,
}

impl Migrate {
    pub(super) fn run(self, common: &Common) -> Result<(), Exit> {
        let loaded = common.load(Vec::new())?;
        log::start(&loaded.settings.log);
        if !loaded.settings.postgres.is_on() {
            return Err(Exit::usage("postgres.url is not set: name the server in the configuration"));
        }
        // The same settings with the embedded engine, and those of the server with a data directory for this command.
        let (mut embedded, mut on_server) = (loaded.clone(), loaded);
        embedded.settings.postgres.url.clear();
        let scratch = tempfile::tempdir().map_err(Exit::io)?;
        scratch.path().clone_into(&mut on_server.settings.data.dir);
        match self.to {
            Target::Postgres => {
                let source = super::open_existing(&embedded)?;
                let rows = copy(&source, &on_server)?;
                let target = Promox::headless(&on_server)?;
                compare(&*long_read(&source)?, &*long_read(&target)?)?;
                verify(&target)?;
                say!("{rows} rows are now on {}; serve with postgres.url set", on_server.settings.postgres.url);
            }
            Target::Embedded => {
                let source = super::open_existing(&on_server)?;
                let copied = copy_back(&source, &embedded)?;
                let target = Promox::headless(&embedded)?;
                compare(&*long_read(&source)?, &*long_read(&target)?)?;
                verify(&target)?;
                let dir = embedded.settings.data.dir.display();
                say!("{} rows and index entries are now in {dir}; serve without postgres.url", copied.items);
            }
        }
        Ok(())
    }
}

fn long_read(promox: &Promox) -> Result<Box<dyn Reader>, Exit> {
    promox.store().engine().long_read().map_err(Exit::data)
}

/// Copies all rows into the databases. Returns their number.
fn copy(source: &Promox, target: &Loaded) -> Result<u64, Exit> {
    let (reader, schema) = (long_read(source)?, node::schema()?);
    let mut load = engine::load(&target.settings, schema.clone())?;
    let bar = progress::waiting("copying rows");
    let mut rows = 0;
    for table in schema.tables() {
        for item in reader.scan(&KeyRange::all(table.space), Direction::Forward) {
            let (key, value) = item.map_err(Exit::data)?;
            load.add(table.space, &key, &value)?;
            rows += 1;
        }
        bar.set_message(format!("{rows} rows, {}", table.full_name()));
    }
    let last_event = |database| Tx::unbounded(&*reader, database).last_position().map_err(Exit::data);
    let events = [last_event(Database::Ecommerce)?, last_event(Database::Promox)?];
    load.finish(source.store().engine().last_commit(), events)?;
    bar.finish_and_clear();
    Ok(rows)
}

/// Copies all rows and index entries into the data directory.
fn copy_back(source: &Promox, target: &Loaded) -> Result<Copied, Exit> {
    let (input, output) = io::pipe().map_err(Exit::io)?;
    let store = source.store().clone();
    let writer = std::thread::spawn(move || {
        let mut out = BufWriter::with_capacity(CHUNK, output);
        store.backup(&mut out, |_| {})?;
        out.flush().map_err(BackupError::Io)
    });
    let mut input = BufReader::with_capacity(CHUNK, input);
    let (options, schema) = (engine::options(&target.settings), node::schema()?);
    let bar = progress::stream();
    let shown = Path::new("the rows on PostgreSQL");
    let restored = restore::fill(&target.settings.data.dir, || {
        promox_embedded::restore(&options, &schema, shown, &mut input, |copied| bar.set_position(copied.bytes))
    });
    drop(input);
    bar.finish_and_clear();
    let written = writer.join().map_err(|_| Exit::internal("the thread that reads the rows has failed"))?;
    let restored = restored?;
    written.map_err(Exit::data)?;
    Ok(restored)
}

/// Compares all rows and index entries of two stores by their checksums.
fn compare(source: &dyn Reader, target: &dyn Reader) -> Result<(), Exit> {
    for (space, name) in node::schema()?.space_names() {
        let (here, there) = (checksum(source, space)?, checksum(target, space)?);
        if here != there {
            return Err(Exit::data(format_args!(
                "{name} differs after the copy: {} entries instead of {}, or another content",
                there.0, here.0
            )));
        }
    }
    Ok(())
}

/// The number of entries of a table or an index, and the checksum of their keys and values.
fn checksum(reader: &dyn Reader, space: Space) -> Result<(u64, u32), Exit> {
    let (mut count, mut crc) = (0, 0);
    for item in reader.scan(&KeyRange::all(space), Direction::Forward) {
        let (key, value) = item.map_err(Exit::data)?;
        crc = crc32c::crc32c_append(crc32c::crc32c_append(crc, &key), &value);
        count += 1;
    }
    Ok((count, crc))
}

fn verify(promox: &Promox) -> Result<(), Exit> {
    let verdict = promox.auditor().run().map_err(Exit::data)?;
    match verdict.findings.first() {
        None => Ok(()),
        Some(found) => Err(Exit::data(format_args!("{}: {}", found.invariant, found.detail))),
    }
}
