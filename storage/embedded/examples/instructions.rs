//! Repeats one operation many times, without threads or a real disk, to count the instructions that it needs:
//!
//! `perf stat -e instructions:u target/release/examples/instructions write 200000`
//!
//! Subtract the count of a run with half as many repetitions, to leave out the start. The operations are `write`,
//! `read` and `scan`.

use std::sync::Arc;
use std::time::Duration;

use promox_embedded::disk::MemoryDisk;
use promox_embedded::{Assembled, EmbeddedEngine, Options};
use promox_kernel::{Clock, Cx, Entropy, Node, Timestamp};
use promox_storage::{Database, Record, Schema, StoreError, TableDef, Tx, record};

record! {
    /// An account.
    struct Account in Ecommerce.accounts = 900, key(id: i64) {
        owner: String,
        balance: i64,
        at: Timestamp,
        note: Option<String>,
    }
    index AccountByBalance = 901 (balance);
}

const TABLES: &[&TableDef] = &[Account::TABLE];
/// The number of rows in the table.
const ROWS: i64 = 1_000;

fn put(tx: &mut Tx<'_>, id: i64) -> Result<(), StoreError> {
    let owner = "a customer with a name of usual length".to_owned();
    tx.put(&Account { id, owner, balance: id % 7, at: tx.now(), note: Some("a note".to_owned()) })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (operation, repetitions) = (args.next().unwrap_or_default(), args.next().unwrap_or_default().parse::<i64>()?);
    let clock = Clock::manual(Timestamp::from_seconds(1_000));
    let node = Node::new(clock.clone(), Entropy::seeded(1));
    let cx = Cx::system(&node, "instructions", Duration::from_secs(60));
    let options =
        Options { disk: Arc::new(MemoryDisk::new()), clock, entropy: Entropy::seeded(7), ..Options::new("/store") };
    let Assembled { engine, mut writer, .. } = EmbeddedEngine::assemble(options, &Schema::new([TABLES])?)?;
    let db = engine.database(Database::Ecommerce);
    let filled = db.write(&cx, |tx| (0..ROWS).try_for_each(|id| put(tx, id)));
    tokio::join!(filled, async { writer.turn(Duration::ZERO) }).0?;
    for repetition in 0..repetitions {
        let id = repetition % ROWS;
        match operation.as_str() {
            "write" => {
                tokio::join!(db.write(&cx, move |tx| put(tx, id)), async { writer.turn(Duration::ZERO) }).0?;
            }
            "read" => {
                let _: Option<Account> = db.read(|tx| tx.get(&id)).await?;
            }
            _ => {
                let _: Vec<Account> = db.read(|tx| tx.scan().from(id).collect(20)).await?;
            }
        }
    }
    Ok(())
}
