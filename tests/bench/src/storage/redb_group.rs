//! Checkout-shaped transactions on redb alone: one thread commits all waiting transactions in one durable commit.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use promox_storage::{Direction, Item, KeyRange, Reader, Space, Stamp, StoreError, Tx};
use redb::{Database, ReadableTable, TableDefinition, WriteTransaction};
use tokio::sync::oneshot;

use super::Options;
use super::checkout::{DATABASE, USERS, place, schema, seed};
use crate::latency::Latencies;

type Failure = Box<dyn std::error::Error>;
type Job = (i64, oneshot::Sender<()>);

/// Reads from redb's open write transaction, so that the jobs of a group see each other's writes.
struct TransactionReader<'a>(&'a Mutex<WriteTransaction>);

fn name(space: Space) -> String {
    format!("t{}", space.0)
}

fn io(error: impl std::fmt::Display) -> StoreError {
    StoreError::Io(error.to_string())
}

impl Reader for TransactionReader<'_> {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let transaction = self.0.lock().map_err(io)?;
        let name = name(space);
        let table = transaction.open_table(TableDefinition::<&[u8], &[u8]>::new(&name)).map_err(io)?;
        let found = table.get(key).map_err(io)?;
        Ok(found.map(|value| Bytes::copy_from_slice(value.value())))
    }

    fn scan<'a>(&'a self, _: &KeyRange, _: Direction) -> Box<dyn Iterator<Item = Result<Item, StoreError>> + 'a> {
        Box::new(std::iter::empty())
    }
}

/// Runs work on an open transaction and writes its changes.
fn apply(
    transaction: &Mutex<WriteTransaction>,
    work: impl Fn(&mut Tx<'_>) -> Result<(), StoreError>,
) -> Result<(), Failure> {
    let reader = TransactionReader(transaction);
    let mut tx = Tx::new(&reader, DATABASE, Stamp::default());
    work(&mut tx)?;
    let batch = tx.finish()?;
    let transaction = transaction.lock().map_err(|_| "poisoned")?;
    for write in batch.writes {
        let name = name(write.space);
        let mut table = transaction.open_table(TableDefinition::<&[u8], &[u8]>::new(&name))?;
        match write.value {
            Some(value) => drop(table.insert(&write.key[..], &value[..])?),
            None => drop(table.remove(&write.key[..])?),
        }
    }
    Ok(())
}

/// Runs work in a write transaction and commits it.
fn group(
    database: &Database,
    run: impl FnOnce(&Mutex<WriteTransaction>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let transaction = Mutex::new(database.begin_write()?);
    run(&transaction)?;
    transaction.into_inner().map_err(|_| "poisoned")?.commit()?;
    Ok(())
}

/// Measures redb's group commit and prints its lines.
pub(crate) fn run(options: &Options, dir: &Path) -> Result<(), Failure> {
    let database = Database::builder().set_cache_size(64 << 20).create(dir.join("group.redb"))?;
    group(&database, |transaction| {
        for (space, _) in schema()?.space_names() {
            let name = name(space);
            transaction.lock().map_err(|_| "poisoned")?.open_table(TableDefinition::<&[u8], &[u8]>::new(&name))?;
        }
        (0..USERS).step_by(1_000).try_for_each(|from| apply(transaction, |tx| seed(tx, from, from + 1_000)))
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let next = Arc::new(AtomicI64::new(1));
    for submitters in &options.submitters {
        let (queue, jobs) = flume::bounded::<Job>(8_192);
        let (mut latencies, took) = std::thread::scope(|scope| {
            let writer = scope.spawn(|| serve(&database, &jobs).map_err(|error| error.to_string()));
            let result = runtime.block_on(load(*submitters, options, queue, next.clone()));
            writer.join().map_err(|_| "the writer panicked")??;
            result
        })?;
        println!("{}", latencies.line(&format!("redb's group commit, {submitters} at once"), took));
    }
    Ok(())
}

/// Executes jobs in groups until all senders are gone.
fn serve(database: &Database, jobs: &flume::Receiver<Job>) -> Result<(), Failure> {
    while let Ok(first) = jobs.recv() {
        let waiting: Vec<Job> = std::iter::once(first).chain(jobs.try_iter().take(1_023)).collect();
        group(database, |transaction| waiting.iter().try_for_each(|(id, _)| apply(transaction, |tx| place(tx, *id))))?;
        for (_, answer) in waiting {
            let _ = answer.send(());
        }
    }
    Ok(())
}

/// Submits orders from concurrent tasks, and returns their latencies and the duration.
async fn load(
    submitters: usize,
    options: &Options,
    queue: flume::Sender<Job>,
    next: Arc<AtomicI64>,
) -> Result<(Latencies, std::time::Duration), Failure> {
    let (started, span) = (Instant::now(), options.span());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..submitters {
        let (queue, next) = (queue.clone(), next.clone());
        tasks.spawn(async move {
            let mut latencies = Latencies::default();
            while started.elapsed() < span {
                let submitted = Instant::now();
                let (answer, answered) = oneshot::channel();
                if queue.try_send((next.fetch_add(1, Ordering::Relaxed), answer)).is_err() || answered.await.is_err() {
                    break;
                }
                latencies.add(submitted.elapsed());
            }
            latencies
        });
    }
    drop(queue);
    let mut all = Latencies::default();
    while let Some(done) = tasks.join_next().await {
        all.merge(done?);
    }
    Ok((all, started.elapsed()))
}
