//! The files of a shop: private under any umask, and refused by name when damaged or incomplete.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::process::{Process, promox, promox_under, verify};
use crate::shop::{all, common_settings, order_of};

/// Collects a path and everything below it.
fn collect_paths(path: &Path, found: &mut Vec<PathBuf>) {
    found.push(path.to_owned());
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| collect_paths(&entry.unwrap().path(), found));
    }
}

/// Asserts that every directory is 0700 and every file 0600, and returns their number.
#[track_caller]
fn assert_private(path: &Path) -> usize {
    let mut found = Vec::new();
    collect_paths(path, &mut found);
    for path in &found {
        let metadata = match fs::symlink_metadata(path) {
            // An open shop may remove index and journal files meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            read => read.unwrap(),
        };
        let mode = metadata.permissions().mode() & 0o777;
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{}: {mode:o}", path.display());
    }
    found.len()
}

fn output_text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Asserts that a command refuses the data with a message that contains `reason`.
#[track_caller]
fn assert_refused(dir: &Path, arguments: &[&str], reason: &str) {
    let output = promox(dir, arguments);
    let text = output_text(&output);
    assert_eq!(output.status.code(), Some(65), "{arguments:?} {text}");
    assert!(text.contains(reason), "{arguments:?} {text}");
}

/// Places orders, so that the shop has orders, mail, a search index and a cache in files.
async fn place_orders(process: &Process, orders: usize) {
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
async fn every_file_written_is_private() {
    for umask in ["000", "077", "777"] {
        let all = tempfile::tempdir().unwrap();
        let place = |name: &str| all.path().join(name);
        let dir = place("shop");
        let process = Process::start_under(umask, &dir).await;
        place_orders(&process, 3).await;
        wait_for(&dir.join("mail")).await;
        wait_for(&dir.join("search/meta.json")).await;
        assert!(assert_private(&dir) > 10, "the shop has files under umask {umask}");
        process.stop().await;
        for (arguments, name) in [
            (["backup", "FILE"].as_slice(), "shop.backup"),
            (&["export", "catalog", "FILE"], "catalog.csv"),
            (&["export", "history", "FILE"], "history.ndjson"),
        ] {
            let file = place(name);
            let arguments: Vec<&str> =
                arguments.iter().map(|word| if *word == "FILE" { file.to_str().unwrap() } else { word }).collect();
            let output = promox_under(umask, &dir, &arguments);
            assert!(output.status.success(), "{}", output_text(&output));
            assert_private(&file);
        }
        let restored = place("restored");
        let output = promox_under(umask, &restored, &["restore", place("shop.backup").to_str().unwrap()]);
        assert!(output.status.success(), "{}", output_text(&output));
        assert!(assert_private(&restored) > 4 && assert_private(&dir) > 10);
        verify(&restored);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_of_an_existing_directory_are_tightened() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path()).await;
    place_orders(&process, 2).await;
    wait_for(&dir.path().join("mail")).await;
    process.stop().await;
    let mut found = Vec::new();
    collect_paths(dir.path(), &mut found);
    for path in &found {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let process = Process::start(dir.path()).await;
    assert!(assert_private(dir.path()) >= found.len());
    process.stop().await;
}

/// Starts a restore that has read `tenths` tenths of its backup and waits for more while the returned pipe is open.
fn start_partial_restore(dir: &Path, backup: &[u8], tenths: usize) -> (Child, File) {
    let pipe = dir.with_extension("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut command = Command::new(env!("CARGO_BIN_EXE_promox"));
    command.args(["restore", pipe.to_str().unwrap()]).envs(common_settings(dir)).stderr(Stdio::null());
    let child = command.spawn().unwrap();
    let mut writer = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    std::io::Write::write_all(&mut writer, &backup[..backup.len() * tenths / 10]).unwrap();
    fs::remove_file(&pipe).unwrap();
    (child, writer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_restore_is_not_opened_as_an_empty_shop() {
    let all = tempfile::tempdir().unwrap();
    let (dir, backup) = (all.path().join("shop"), all.path().join("shop.backup"));
    let process = Process::start(&dir).await;
    place_orders(&process, 5).await;
    process.stop().await;
    assert!(promox(&dir, &["backup", backup.to_str().unwrap()]).status.success());
    let bytes = fs::read(&backup).unwrap();
    for tenths in [0, 5, 9] {
        let target = all.path().join(format!("restored-{tenths}"));
        let (mut child, _pipe) = start_partial_restore(&target, &bytes, tenths);
        wait_for(&target.join("restoring")).await;
        child.kill().unwrap();
        child.wait().unwrap();
        for verb in ["serve", "verify"] {
            assert_refused(&target, &[verb], "run promox restore again");
        }
        assert_refused(&target, &["import", "history", backup.to_str().unwrap()], "run promox restore again");
        let output = promox(&target, &["restore", backup.to_str().unwrap()]);
        assert!(output.status.success(), "{}", output_text(&output));
        verify(&target);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_with_other_files_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("holiday.jpg"), "").unwrap();
    let before = fs::read_dir(dir.path()).unwrap().count();
    assert_refused(dir.path(), &["serve"], "it contains holiday.jpg");
    assert_refused(dir.path(), &["verify"], "--data-dir");
    assert_refused(dir.path(), &["restore", "/dev/null"], "it is not empty");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), before, "the directory is unchanged");
}

/// The newest journal segment that contains a frame.
fn newest_segment(dir: &Path) -> PathBuf {
    let mut segments: Vec<PathBuf> = Vec::new();
    collect_paths(&dir.join("journal"), &mut segments);
    segments.retain(|path| path.is_file());
    segments.sort();
    segments.retain(|path| fs::read(path).unwrap().get(64..68) == Some(b"PMXF"));
    segments.pop().unwrap()
}

fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    let mut found = Vec::new();
    collect_paths(from, &mut found);
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
async fn a_truncated_journal_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path()).await;
    place_orders(&process, 4).await;
    process.kill().await;
    let segment = newest_segment(dir.path());
    let name = segment.file_name().unwrap().to_str().unwrap();
    let full_len = fs::metadata(&segment).unwrap().len();
    for len in [0, 1, 63, 64, 65, 4_096, full_len / 2, full_len - 1] {
        let broken = copy(dir.path());
        let file = fs::OpenOptions::new().write(true).open(broken.path().join("journal").join(name)).unwrap();
        file.set_len(len).unwrap();
        assert_refused(broken.path(), &["verify"], name);
        assert_refused(broken.path(), &["serve"], name);
    }
    let broken = copy(dir.path());
    fs::remove_file(broken.path().join("journal").join(name)).unwrap();
    assert_refused(broken.path(), &["verify"], name);
    let broken = copy(dir.path());
    fs::remove_dir_all(broken.path().join("journal")).unwrap();
    assert_refused(broken.path(), &["verify"], "journal");
    let broken = copy(dir.path());
    let checkpoint = broken.path().join("data.redb");
    let mut bytes = fs::read(&checkpoint).unwrap();
    bytes[..4].fill(0);
    fs::write(&checkpoint, bytes).unwrap();
    assert_refused(broken.path(), &["verify"], "data.redb");
    verify(dir.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_zeroed_after_a_clean_stop_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path()).await;
    place_orders(&process, 4).await;
    process.stop().await;
    let segment = newest_segment(dir.path());
    let name = segment.file_name().unwrap().to_str().unwrap();
    let bytes = fs::read(&segment).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    for from in [64, end / 2, end - 1, end] {
        let broken = copy(dir.path());
        let mut cut = bytes.clone();
        cut[from..].fill(0);
        fs::write(broken.path().join("journal").join(name), cut).unwrap();
        assert_refused(broken.path(), &["verify"], name);
    }
    // The checkpoint contains everything, so resetting the journal loses nothing.
    let broken = copy(dir.path());
    fs::write(broken.path().join("journal").join(name), "").unwrap();
    assert_refused(broken.path(), &["verify"], "promox journal reset");
    assert!(promox(broken.path(), &["journal", "reset", "--accept-loss"]).status.success());
    verify(broken.path());
    let process = Process::start(broken.path()).await;
    assert_eq!(all(&process.admin().await, "/api/orders").await.len(), 4);
    process.stop().await;
    verify(broken.path());
    verify(dir.path());
}
