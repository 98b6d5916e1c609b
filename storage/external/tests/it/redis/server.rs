//! A Redis 7 server for a test: Debian's package, in a temporary directory. It ends with the test.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ::redis::{Client, Cmd, Connection, FromRedisValue, cmd};
use promox_external::redis::{Redis, RedisOptions};
use tempfile::TempDir;

/// The deadline of calls that must not fail, however busy the machine is.
pub(super) const PATIENT: Duration = Duration::from_secs(20);

pub(super) struct Server {
    dir: TempDir,
    args: Vec<String>,
    process: Child,
}

impl Server {
    /// Starts a server that stores nothing on disk.
    pub(super) fn start() -> Self {
        Self::with(&["--save", ""])
    }

    /// Starts a server with further arguments. Panics with instructions if Redis is not installed.
    pub(super) fn with(args: &[&str]) -> Self {
        Self::within(tempfile::Builder::new().prefix("promox-redis").tempdir().unwrap(), args)
    }

    /// Starts a server in a directory, which may contain the files that its arguments name.
    pub(super) fn within(dir: TempDir, args: &[&str]) -> Self {
        let args: Vec<String> = args.iter().copied().map(str::to_owned).collect();
        let process = serve(&dir, &args);
        Self { dir, args, process }
    }

    /// The URL of the server's Unix socket.
    pub(super) fn url(&self) -> String {
        format!("unix://{}", socket(&self.dir).display())
    }

    /// A connection whose calls must not fail.
    pub(super) fn connect(&self) -> Redis {
        self.connect_within(PATIENT)
    }

    /// A connection with a deadline for its calls.
    pub(super) fn connect_within(&self, timeout: Duration) -> Redis {
        Redis::connect(&RedisOptions { timeout, ..RedisOptions::new(self.url()) }).unwrap()
    }

    /// Runs a command as an administrator.
    pub(super) fn run<T: FromRedisValue>(&self, command: &Cmd) -> T {
        command.query(&mut self.admin()).unwrap()
    }

    /// Runs a command without arguments as an administrator.
    pub(super) fn run_plain(&self, command: &str) {
        self.run::<()>(&cmd(command));
    }

    /// Waits until the server's clock, by which it expires keys and deadlines, has advanced by this.
    pub(super) async fn pass(&self, span: Duration) {
        let mut admin = self.admin();
        let mut now = move || {
            let (seconds, micros): (u64, u64) = cmd("TIME").query(&mut admin).unwrap();
            Duration::from_secs(seconds) + Duration::from_micros(micros)
        };
        let until = now() + span;
        while now() < until {
            tokio::task::yield_now().await;
        }
    }

    /// A connection of an administrator.
    pub(super) fn admin(&self) -> Connection {
        Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    /// Kills the server.
    pub(super) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts the server again after it was killed.
    pub(super) fn start_again(&mut self) {
        self.process = serve(&self.dir, &self.args);
    }

    /// Sends the server a signal, such as `STOP` or `CONT`.
    pub(super) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn socket(dir: &TempDir) -> PathBuf {
    dir.path().join("socket")
}

/// A port that no one listens to.
pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts a server and waits until it accepts connections.
fn serve(dir: &TempDir, args: &[String]) -> Child {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "redis-server"]).args(["--port", "0", "--appendonly", "no"]);
    command.arg("--unixsocket").arg(socket(dir)).arg("--dir").arg(dir.path()).args(args);
    let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(process.stdout.take().unwrap());
    let mut messages = String::new();
    while !messages.contains("eady to accept connections") {
        let read = log.read_line(&mut messages).unwrap();
        assert!(read > 0, "redis-server did not start; is it installed? apt-get install redis-server\n{messages}");
    }
    std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
    process
}
