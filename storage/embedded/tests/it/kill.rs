//! A real process, killed at random moments while it writes: what it acknowledged is there.
//!
//! A kill leaves the page cache intact, so this cannot detect a store that never syncs; the negative control for that
//! is in the power cut test. The control here is a child that acknowledges before it writes.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use promox_embedded::{EmbeddedEngine, Options};
use promox_kernel::Entropy;

use crate::rows::{Account, account, balances, database, schema, write};

/// The child's data directory; without it the child does nothing.
const DIR: &str = "PROMOX_TEST_KILL_DIR";
/// Makes the child acknowledge before it writes.
const EARLY: &str = "PROMOX_TEST_KILL_EARLY";

fn options(dir: &Path) -> Options {
    Options { checkpoint_bytes: 64 << 10, segment_bytes: 64 << 10, ..Options::new(dir) }
}

/// The child: moves units between two accounts forever, and prints acknowledgements.
#[tokio::test]
#[ignore = "run by the tests below"]
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

/// Kills the child after this many more acknowledgements; the last number that it acknowledged.
fn kill_after(dir: &Path, lines: u64, early: bool) -> i64 {
    let mut child = spawn(dir, early);
    let (mut newest, mut seen) = (0, 0);
    let out = BufReader::new(child.stdout.take().unwrap());
    for line in out.lines().map_while(Result::ok) {
        let Some(moved) = line.strip_prefix("acknowledged ").and_then(|moved| moved.parse().ok()) else { continue };
        newest = i64::max(newest, moved);
        seen += 1;
        if seen == lines {
            // Output until its death counts too: it was acknowledged before.
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
async fn a_killed_process_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let entropy = Entropy::seeded(3);
    for _ in 0..12 {
        let acknowledged = kill_after(dir.path(), 1 + entropy.below(400), false);
        assert_eq!(check(dir.path(), acknowledged).await, Ok(()));
    }
}

#[tokio::test]
async fn a_child_that_acknowledges_too_early_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let acknowledged = kill_after(dir.path(), 20, true);
    assert!(check(dir.path(), acknowledged).await.is_err());
}
