//! The files of a shop: private whatever the umask, and refused by name when they are not what they were.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::process::{Process, promox, promox_under, verify};
use crate::shop::{all, order_of, own_settings};

/// Everything in a directory and the directory itself.
fn everything(path: &Path, found: &mut Vec<PathBuf>) {
    found.push(path.to_owned());
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| everything(&entry.unwrap().path(), found));
    }
}

/// Directories are 0700 and files 0600; how many there are.
#[track_caller]
fn is_private(path: &Path) -> usize {
    let mut found = Vec::new();
    everything(path, &mut found);
    for path in &found {
        let metadata = match fs::symlink_metadata(path) {
            // A shop that is open removes files of its index and journal meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            read => read.unwrap(),
        };
        let mode = metadata.permissions().mode() & 0o777;
        let wanted = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, wanted, "{}: {mode:o}", path.display());
    }
    found.len()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A verb that refuses the data, by name.
#[track_caller]
fn refused(dir: &Path, arguments: &[&str], named: &str) {
    let output = promox(dir, arguments);
    let words = words(&output);
    assert_eq!(output.status.code(), Some(65), "{arguments:?} {words}");
    assert!(words.contains(named), "{arguments:?} {words}");
}

/// A shop with an order, a mail, a search index and a cache, all of it in files.
async fn trade(process: &Process, orders: usize) {
    let admin = process.admin().await;
    admin.post("/api/products", &json!({"sku": "F-1", "name": "Folder", "price": "2.00"})).await.expect(201);
    admin.put("/api/inventory/F-1", &json!({"onHand": 100_000})).await.expect(200);
    for _ in 0..orders {
        process.anyone.post("/api/orders", &order_of(&[("F-1", 1)], "tok_visa")).await.expect(201);
    }
    process.anyone.post("/api/orders/quote", &order_of(&[("F-1", 1)], "tok_visa")).await.expect(200);
}

async fn wait_for(path: &Path) {
    while !path.exists() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_written_is_private() {
    for umask in ["000", "077", "777"] {
        let all = tempfile::tempdir().unwrap();
        let place = |name: &str| all.path().join(name);
        let dir = place("shop");
        let process = Process::start_under(umask, &dir).await;
        trade(&process, 3).await;
        wait_for(&dir.join("mail")).await;
        wait_for(&dir.join("search/meta.json")).await;
        assert!(is_private(&dir) > 10, "the shop's files under umask {umask}");
        process.stop().await;
        for (arguments, made) in [
            (["backup", "FILE"].as_slice(), "shop.backup"),
            (&["export", "catalog", "FILE"], "catalog.csv"),
            (&["export", "history", "FILE"], "history.ndjson"),
        ] {
            let file = place(made);
            let arguments: Vec<&str> =
                arguments.iter().map(|word| if *word == "FILE" { file.to_str().unwrap() } else { word }).collect();
            let output = promox_under(umask, &dir, &arguments);
            assert!(output.status.success(), "{}", words(&output));
            is_private(&file);
        }
        let again = place("again");
        let output = promox_under(umask, &again, &["restore", place("shop.backup").to_str().unwrap()]);
        assert!(output.status.success(), "{}", words(&output));
        assert!(is_private(&again) > 4 && is_private(&dir) > 10);
        verify(&again);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_was_open_to_others_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path()).await;
    trade(&process, 2).await;
    wait_for(&dir.path().join("mail")).await;
    process.stop().await;
    let mut found = Vec::new();
    everything(dir.path(), &mut found);
    for path in &found {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let process = Process::start(dir.path()).await;
    assert!(is_private(dir.path()) >= found.len());
    process.stop().await;
}

/// A restore that has been given so many tenths of its backup and waits for more: the file keeps its pipe open.
fn restore_in_parts(dir: &Path, backup: &[u8], parts: usize) -> (Child, File) {
    let pipe = dir.with_extension("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut command = Command::new(env!("CARGO_BIN_EXE_promox"));
    command.args(["restore", pipe.to_str().unwrap()]).envs(own_settings(dir)).stderr(Stdio::null());
    let child = command.spawn().unwrap();
    let mut writer = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    std::io::Write::write_all(&mut writer, &backup[..backup.len() * parts / 10]).unwrap();
    fs::remove_file(&pipe).unwrap();
    (child, writer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_killed_is_no_empty_shop() {
    let all = tempfile::tempdir().unwrap();
    let (dir, backup) = (all.path().join("shop"), all.path().join("shop.backup"));
    let process = Process::start(&dir).await;
    trade(&process, 5).await;
    process.stop().await;
    assert!(promox(&dir, &["backup", backup.to_str().unwrap()]).status.success());
    let bytes = fs::read(&backup).unwrap();
    for parts in [0, 5, 9] {
        let target = all.path().join(format!("restored-{parts}"));
        let (mut child, _pipe) = restore_in_parts(&target, &bytes, parts);
        wait_for(&target.join("restoring")).await;
        child.kill().unwrap();
        child.wait().unwrap();
        for verb in ["serve", "verify"] {
            refused(&target, &[verb], "run promox restore again");
        }
        refused(&target, &["import", "history", backup.to_str().unwrap()], "run promox restore again");
        let output = promox(&target, &["restore", backup.to_str().unwrap()]);
        assert!(output.status.success(), "{}", words(&output));
        verify(&target);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_with_other_files_is_no_place_for_a_store() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("holiday.jpg"), "").unwrap();
    let before = fs::read_dir(dir.path()).unwrap().count();
    refused(dir.path(), &["serve"], "there is holiday.jpg");
    refused(dir.path(), &["verify"], "--data-dir");
    refused(dir.path(), &["restore", "/dev/null"], "it is not empty");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), before, "nothing was touched");
}

/// The newest segment that holds anything.
fn live_segment(dir: &Path) -> PathBuf {
    let mut segments: Vec<PathBuf> = Vec::new();
    everything(&dir.join("journal"), &mut segments);
    segments.retain(|path| path.is_file());
    segments.sort();
    segments.retain(|path| fs::read(path).unwrap().get(64..68) == Some(b"PMXF"));
    segments.pop().unwrap()
}

fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    let mut found = Vec::new();
    everything(from, &mut found);
    for path in &found[1..] {
        let target = to.path().join(path.strip_prefix(from).unwrap());
        if path.is_dir() {
            fs::create_dir(&target).unwrap();
        } else {
            fs::copy(path, &target).unwrap();
        }
    }
    to
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_was_shortened_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path()).await;
    trade(&process, 4).await;
    process.kill().await;
    let segment = live_segment(dir.path());
    let name = segment.file_name().unwrap().to_str().unwrap();
    let whole = fs::metadata(&segment).unwrap().len();
    for len in [0, 1, 63, 64, 65, 4_096, whole / 2, whole - 1] {
        let broken = copy(dir.path());
        let file = fs::OpenOptions::new().write(true).open(broken.path().join("journal").join(name)).unwrap();
        file.set_len(len).unwrap();
        refused(broken.path(), &["verify"], name);
        refused(broken.path(), &["serve"], name);
    }
    let broken = copy(dir.path());
    fs::remove_file(broken.path().join("journal").join(name)).unwrap();
    refused(broken.path(), &["verify"], name);
    verify(dir.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_was_zeroed_after_a_clean_stop_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path()).await;
    trade(&process, 4).await;
    process.stop().await;
    let segment = live_segment(dir.path());
    let name = segment.file_name().unwrap().to_str().unwrap();
    let bytes = fs::read(&segment).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    for from in [64, end / 2, end - 1, end] {
        let broken = copy(dir.path());
        let mut cut = bytes.clone();
        cut[from..].fill(0);
        fs::write(broken.path().join("journal").join(name), cut).unwrap();
        refused(broken.path(), &["verify"], name);
    }
    // The checkpoint has it all, so nothing is lost with that journal.
    let broken = copy(dir.path());
    fs::write(broken.path().join("journal").join(name), "").unwrap();
    refused(broken.path(), &["verify"], "promox journal reset");
    assert!(promox(broken.path(), &["journal", "reset", "--accept-loss"]).status.success());
    verify(broken.path());
    let process = Process::start(broken.path()).await;
    assert_eq!(all(&process.admin().await, "/api/orders").await.len(), 4);
    process.stop().await;
    verify(broken.path());
    verify(dir.path());
}
