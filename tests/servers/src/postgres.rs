//! A PostgreSQL server for tests: Debian's package, with a temporary data directory and a Unix socket.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;

use tempfile::TempDir;

/// The directory of Debian's version 15; `PROMOX_POSTGRES_BIN` names another one.
const DEBIAN_BIN: &str = "/usr/lib/postgresql/15/bin";
/// A file system in memory, where a sync costs nothing.
const MEMORY: &str = "/dev/shm";

/// A running server. It ends when this is dropped, or with the process.
#[derive(Debug)]
pub struct Postgres {
    dir: TempDir,
    bin: PathBuf,
    server: Child,
}

impl Postgres {
    /// Starts an empty server. Panics with instructions if PostgreSQL is not installed.
    pub fn start() -> Self {
        let dir = if Path::new(MEMORY).is_dir() { PathBuf::from(MEMORY) } else { std::env::temp_dir() };
        Self::start_in(&dir)
    }

    /// Starts an empty server whose data is in a temporary directory in `place`.
    pub fn start_in(place: &Path) -> Self {
        let bin = std::env::var_os("PROMOX_POSTGRES_BIN").map_or_else(|| PathBuf::from(DEBIAN_BIN), PathBuf::from);
        assert!(
            bin.join("initdb").exists(),
            "PostgreSQL 15 is not installed in {}: apt-get install postgresql-15, or name its directory in PROMOX_POSTGRES_BIN",
            bin.display()
        );
        let dir = tempfile::Builder::new().prefix("promox-pg").tempdir_in(place).unwrap();
        if is_root() {
            let id = |flag| output(Command::new("id").args([flag, "postgres"])).trim().parse().unwrap();
            chown(dir.path(), Some(id("-u")), Some(id("-g"))).unwrap();
        }
        let data = dir.path().join("data");
        let plain = ["--username=postgres", "--auth=trust", "--no-sync", "--locale=C", "--encoding=UTF8"];
        output(as_server(&bin.join("initdb"), dir.path()).args(plain).arg("--pgdata").arg(&data));
        let server = serve(&bin, dir.path());
        Self { dir, bin, server }
    }

    /// The directory of its Unix socket, whose port is 5432.
    pub fn socket(&self) -> &Path {
        self.dir.path()
    }

    /// Runs `psql` on a database and returns its output: a line per row, columns separated by bars. Panics on an error.
    pub fn psql(&self, database: &str, args: &[&str]) -> String {
        output(&mut self.client(database, args))
    }

    /// Runs a statement and returns its result as [`psql`](Self::psql) does.
    pub fn query(&self, database: &str, statement: &str) -> String {
        self.psql(database, &["-c", statement]).trim_end().to_owned()
    }

    /// Runs a statement that must fail, and returns the error message of `psql`.
    pub fn refused(&self, database: &str, statement: &str) -> String {
        let Output { status, stderr, .. } = self.client(database, &["-c", statement]).output().unwrap();
        assert!(!status.success(), "{statement} succeeded");
        String::from_utf8(stderr).unwrap()
    }

    /// Stops the server as a crash does, and starts it again.
    pub fn crash_and_restart(&mut self) {
        self.stop();
        self.server = serve(&self.bin, self.dir.path());
    }

    /// Stops the server as a crash does.
    pub fn stop(&mut self) {
        let data = self.dir.path().join("data");
        let mut stop = as_server(&self.bin.join("pg_ctl"), self.dir.path());
        let _ = stop.arg("stop").arg("--pgdata").arg(data).arg("--mode=immediate").output();
        let _ = self.server.wait();
    }

    /// A client program of PostgreSQL, which connects to this server as its superuser.
    pub fn program(&self, name: &str) -> Command {
        let mut program = Command::new(self.bin.join(name));
        // The environment must not select another server or other options.
        program.env_clear().env("PGHOST", self.dir.path()).env("PGUSER", "postgres");
        program
    }

    fn client(&self, database: &str, args: &[&str]) -> Command {
        let mut psql = self.program("psql");
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]);
        psql.args(["--dbname", database]).args(args);
        psql
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

fn is_root() -> bool {
    Path::new("/proc/self").metadata().unwrap().uid() == 0
}

/// A command that runs as the user `postgres` if the test runs as root, as the server refuses to run as root. It ends
/// with the test, also when that is killed.
fn as_server(program: &Path, dir: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    if is_root() {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    }
    command.arg(program).current_dir(dir);
    command
}

/// Starts the server and waits until it accepts connections.
fn serve(bin: &Path, dir: &Path) -> Child {
    let mut command = as_server(&bin.join("postgres"), dir);
    command.arg("-D").arg(dir.join("data")).arg("-k").arg(dir);
    command.args(["-c", "listen_addresses=", "-c", "max_connections=400", "-c", "log_destination=stderr"]);
    let (started, start) = mpsc::channel();
    // The server ends with the thread that has started it, so that is a thread that lives as long.
    std::thread::spawn(move || {
        let mut server = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(server.stderr.take().unwrap());
        let mut messages = String::new();
        while !messages.contains("ready to accept connections") {
            let read = log.read_line(&mut messages).unwrap();
            assert!(read > 0, "the server did not start: {messages}");
        }
        started.send(server).unwrap();
        let _ = log.read_to_end(&mut Vec::new());
    });
    start.recv().expect("the server starts")
}

/// Runs a command that must succeed, and returns its standard output.
fn output(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}
