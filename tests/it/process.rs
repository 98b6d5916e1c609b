//! The program as users run it: a child process on a data directory, which can be killed like any other.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

use crate::client::Client;
use crate::shop::{EMAIL, common_settings, log_in};

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

    /// Starts it as [`Self::start`] does, with additional settings.
    pub(crate) async fn start_with(dir: &Path, settings: &[(String, String)]) -> Self {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_promox"));
        command.envs(settings.iter().map(|(name, value)| (name, value)));
        Self::spawn(command, dir).await
    }

    /// Starts it as [`Self::start`] does, under the file mode creation mask `umask`.
    pub(crate) async fn start_under(umask: &str, dir: &Path) -> Self {
        let mut command = tokio::process::Command::new("sh");
        command.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_promox")]);
        Self::spawn(command, dir).await
    }

    /// Its memory in KiB: what is resident now, and the maximum since the last call.
    pub(crate) fn memory_kib(&self) -> (u64, u64) {
        let id = self.child.id().unwrap();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        std::fs::write(format!("/proc/{id}/clear_refs"), "5").unwrap();
        let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let number = |name: &str| line(name).trim().trim_end_matches(" kB").parse().unwrap();
        (number("VmRSS:"), number("VmHWM:"))
    }

    /// Its resident memory in KiB once that of the first requests has been given back.
    pub(crate) async fn settled_kib(&self) -> u64 {
        self.anyone.get("/api/products").await.expect(200);
        let mut before = self.memory_kib().0;
        loop {
            let now = self.memory_kib().0;
            if now >= before {
                return now;
            }
            before = now;
        }
    }

    async fn spawn(mut command: tokio::process::Command, dir: &Path) -> Self {
        command
            .args(["serve", "--log-level", "info"])
            .envs(common_settings(dir))
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut output = String::new();
        let address = loop {
            let Some(line) = lines.next_line().await.unwrap() else { panic!("it did not start:\n{output}") };
            if let Some((_, address)) = line.split_once("ready address=") {
                break address.trim().parse().unwrap();
            }
            output = output + &line + "\n";
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

    /// Ends it with SIGTERM, as a service manager does, and waits until it has exited with success.
    pub(crate) async fn stop(mut self) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(id).unwrap(), rustix::process::Signal::TERM)
            .unwrap();
        assert!(self.child.wait().await.unwrap().success());
    }

    /// Kills it with SIGKILL.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// Runs a command of the program under the file mode creation mask `umask`.
pub(crate) fn promox_under(umask: &str, dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_promox")]);
    command.args(arguments).envs(common_settings(dir)).output().unwrap()
}

/// Runs a command of the program on an offline store.
pub(crate) fn promox(dir: &Path, arguments: &[&str]) -> Output {
    promox_with(dir, arguments, &[])
}

/// Runs a command of the program with additional settings.
pub(crate) fn promox_with(dir: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_promox"));
    command.args(arguments).envs(common_settings(dir)).envs(settings.iter().copied()).output().unwrap()
}

/// Checks every invariant of an offline store with `promox verify`.
pub(crate) fn verify(dir: &Path) {
    let finished = promox(dir, &["verify"]);
    let output = String::from_utf8_lossy(&finished.stdout).into_owned() + &String::from_utf8_lossy(&finished.stderr);
    assert_eq!(finished.status.code(), Some(0), "{output}");
    assert!(output.contains(" 0 violations"), "{output}");
}
