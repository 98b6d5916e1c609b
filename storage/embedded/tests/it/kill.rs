//! Kills a real process at random moments while it writes. Everything that it acknowledged must still be there.
//!
//! A kill leaves the page cache intact, so these tests cannot detect a store that never syncs. The tests of power cuts
//! do. The negative control here is a child that acknowledges before it writes.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use promox_embedded::{EmbeddedEngine, Options};
use promox_kernel::Entropy;

use crate::rows::{Account, account, balances, database, schema, write};

/// The variable with the child's data directory. Without it the child does nothing.
const DIR: &str = "PROMOX_TEST_KILL_DIR";
/// The variable that makes the child acknowledge before it writes.
const EARLY: &str = "PROMOX_TEST_KILL_EARLY";

fn options(dir: &Path) -> Options {
    Options { checkpoint_bytes: 64 << 10, segment_bytes: 64 << 10, ..Options::new(dir) }
}

/// The child process: moves units between two accounts forever, and prints acknowledgements.
#[tokio::test]
#[ignore = "a child process of the tests below"]
async fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let early = std::env::var_os(EARLY).is_some();
    let engine = EmbeddedEngine::open(options(Path::new(&dir)), schema()).unwrap();
    let db = database(&engine);
    let mut moved = balances(&db).await.first().map_or(0, |first| -first.1);
    loop {
        moved += 1;
        let acknowledge = |moved: i64| {
            let mut out = std::io::stdout().lock();
            writeln!(out, "\nacknowledged {moved}").and_then(|()| out.flush()).unwrap();
        };
        if early {
            acknowledge(moved + 1_000);
        }
        write(&db, move |tx| {
            tx.put(&Account { owner: format!("{moved:x<200}"), ..account(1, -moved) })?;
            tx.put(&account(2, moved))
        })
        .await
        .unwrap();
        acknowledge(moved);
    }
}

fn spawn(dir: &Path, early: bool) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["kill::child", "--exact", "--ignored", "--nocapture"]).env(DIR, dir);
    if early {
        command.env(EARLY, "1");
    }
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Starts a child and kills it after a number of acknowledgements. Returns the last number that it acknowledged.
fn kill_after(dir: &Path, lines: u64, early: bool) -> i64 {
    let mut child = spawn(dir, early);
    let (mut newest, mut seen) = (0, 0);
    let out = BufReader::new(child.stdout.take().unwrap());
    for line in out.lines().map_while(Result::ok) {
        let Some(moved) = line.strip_prefix("acknowledged ").and_then(|moved| moved.parse().ok()) else { continue };
        newest = i64::max(newest, moved);
        seen += 1;
        if seen == lines {
            // Lines that the child prints before it dies are acknowledged too, so reading continues.
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    newest
}

async fn check(dir: &Path, acknowledged: i64) -> Result<(), String> {
    let engine = EmbeddedEngine::open(options(dir), schema()).map_err(|error| error.to_string())?;
    match balances(&database(&engine)).await.as_slice() {
        [(1, first), (2, second)] if *first == -second && *second >= acknowledged => Ok(()),
        found => Err(format!("{found:?}, acknowledged {acknowledged}")),
    }
}

#[tokio::test]
async fn a_killed_process_loses_no_acknowledged_change() {
    let dir = tempfile::tempdir().unwrap();
    let entropy = Entropy::seeded(3);
    for _ in 0..12 {
        let acknowledged = kill_after(dir.path(), 1 + entropy.below(400), false);
        assert_eq!(check(dir.path(), acknowledged).await, Ok(()));
    }
}

#[tokio::test]
async fn a_child_that_acknowledges_too_early_is_detected() {
    let dir = tempfile::tempdir().unwrap();
    let acknowledged = kill_after(dir.path(), 20, true);
    assert!(check(dir.path(), acknowledged).await.is_err());
}
