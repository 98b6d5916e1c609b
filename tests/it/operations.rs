//! The program under a service manager and in an operator's hands: notifications, signals, examinations, output.

use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::process::{Process, promox};
use crate::shop::common_settings;

/// The next notification's first line; fails after a minute.
fn notified(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 256];
    let length = socket.recv(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..length]).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_service_manager_is_told_of_start_reload_and_stop() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_promox"))
        .arg("serve")
        .envs(common_settings(&dir.path().join("data")))
        .env("NOTIFY_SOCKET", &path)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let send = |signal| kill_process(Pid::from_child(&child), signal).unwrap();
    assert_eq!(notified(&socket), "READY=1");
    for _ in 0..2 {
        send(Signal::HUP);
        assert_eq!(notified(&socket), "RELOADING=1");
        assert_eq!(notified(&socket), "READY=1");
    }
    send(Signal::TERM);
    assert_eq!(notified(&socket), "STOPPING=1");
    assert!(child.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_whether_a_server_is_ready() {
    let dir = tempfile::tempdir().unwrap();
    let running = Process::start(dir.path()).await;
    let url = format!("http://{}", running.address);
    let asked = promox(dir.path(), &["health", "--url", &url]);
    assert_eq!((asked.status.code(), asked.stdout.as_slice()), (Some(0), &b"UP\n"[..]));
    running.stop().await;
    let asked = promox(dir.path(), &["health", "--url", &url]);
    assert_eq!(asked.status.code(), Some(74));
    assert!(String::from_utf8_lossy(&asked.stderr).contains("cannot be reached"), "{asked:?}");
}

#[test]
fn doctor_says_what_to_mend() {
    let all = tempfile::tempdir().unwrap();
    let (data, backups) = (all.path().join("data"), all.path().join("backups"));
    std::fs::create_dir(&backups).unwrap();
    let examine = || {
        let output = promox(&data, &["doctor", "--backups", backups.to_str().unwrap()]);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, text) = examine();
    assert!(code == Some(78) && text.contains("has none; run promox backup"), "{text}");
    assert!(text.contains("faults: 1,") && text.contains("mail: messages are written to files"), "{text}");
    std::fs::write(backups.join("shop.backup"), "").unwrap();
    let (code, text) = examine();
    assert!(code == Some(0) && text.contains("backups: the newest is 0 hours old"), "{text}");
    assert!(!data.exists(), "an examination creates no store");
}

#[test]
fn a_closed_pipe_ends_no_command_with_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [&["config", "print"][..], &["completions", "bash"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_promox"))
            .args(arguments)
            .envs(common_settings(dir.path()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{output:?}");
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("man1");
    assert!(promox(dir.path(), &["man", pages.to_str().unwrap()]).status.success());
    for page in ["promox.1", "promox-serve.1", "promox-config-check.1"] {
        let text = std::fs::read_to_string(pages.join(page)).unwrap();
        assert!(text.starts_with(".ie"), "{page}");
        for part in [".SH \"ENVIRONMENT\"\n", "PROMOX_TOKEN", ".SH \"EXIT STATUS\"\n", "\\fB65\\fR\n"] {
            assert!(text.contains(part), "{page}: {part}");
        }
    }
}
