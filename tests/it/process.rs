//! The program as users run it: a child process on a data directory, which can be killed like any other.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

use crate::client::Client;
use crate::shop::{EMAIL, log_in, own_settings};

/// A running `promox serve`; dropping it kills it.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) anyone: Client,
}

impl Process {
    /// Starts it on a data directory and waits until it is ready.
    pub(crate) async fn start(dir: &Path) -> Self {
        Self::spawn(tokio::process::Command::new(env!("CARGO_BIN_EXE_promox")), dir).await
    }

    /// The same under another file mode creation mask, as a shell would hand it on.
    pub(crate) async fn start_under(umask: &str, dir: &Path) -> Self {
        let mut command = tokio::process::Command::new("sh");
        command.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_promox")]);
        Self::spawn(command, dir).await
    }

    async fn spawn(mut command: tokio::process::Command, dir: &Path) -> Self {
        command
            .args(["serve", "--log-level", "info"])
            .envs(own_settings(dir))
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut told = String::new();
        let address = loop {
            let Some(line) = lines.next_line().await.unwrap() else { panic!("it did not start:\n{told}") };
            if let Some((_, address)) = line.split_once("ready address=") {
                break address.trim().parse().unwrap();
            }
            told = told + &line + "\n";
        };
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if line.contains("ERROR") || line.contains("panicked") {
                    eprintln!("{line}");
                }
            }
        });
        Self { child, address, anyone: Client::new(address) }
    }

    /// The admin, logged in.
    pub(crate) async fn admin(&self) -> Client {
        log_in(&self.anyone, EMAIL).await
    }

    /// Asks it to end, as a service manager does, and waits until it has.
    pub(crate) async fn stop(mut self) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(id).unwrap(), rustix::process::Signal::TERM)
            .unwrap();
        assert!(self.child.wait().await.unwrap().success());
    }

    /// kill -9.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// Runs another verb, under another file mode creation mask.
pub(crate) fn promox_under(umask: &str, dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_promox")]);
    command.args(arguments).envs(own_settings(dir)).output().unwrap()
}

/// Runs another verb on a closed store.
pub(crate) fn promox(dir: &Path, arguments: &[&str]) -> Output {
    promox_with(dir, arguments, &[])
}

/// Runs a verb with some settings of its own.
pub(crate) fn promox_with(dir: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_promox"));
    command.args(arguments).envs(own_settings(dir)).envs(settings.iter().copied()).output().unwrap()
}

/// `promox verify` on a closed store: every invariant of the books holds.
pub(crate) fn verify(dir: &Path) {
    let done = promox(dir, &["verify"]);
    let told = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{told}");
    assert!(told.contains(" 0 violations"), "{told}");
}
