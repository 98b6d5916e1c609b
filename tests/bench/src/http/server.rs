//! The server as a separate process, on a fresh directory, with an admin and without rate limits.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::client::{self, Connection, Request};

const EMAIL: &str = "admin@example.com";
const PASSWORD: &str = "a long and quiet harbour";
/// Maximum duration of a start.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// Orders in one upload.
const ORDERS_AT_ONCE: usize = 50_000;

/// The authorization header of a user, as text of a request.
#[derive(Clone)]
pub(crate) struct Bearer(pub(crate) String);

/// A binary of promox and its environment variables.
#[derive(Clone)]
pub(crate) struct Program {
    path: PathBuf,
    environment: BTreeMap<String, String>,
    /// Where Callgrind writes, if the binary runs under it.
    callgrind: Option<PathBuf>,
}

impl Program {
    /// The `promox` that was built together with this benchmark.
    pub(crate) fn built_here() -> Result<Self, Box<dyn Error>> {
        Self::at(&std::env::current_exe()?.with_file_name("promox"))
    }

    /// The binary at `path`, with the settings of all benchmarks.
    pub(crate) fn at(path: &Path) -> Result<Self, Box<dyn Error>> {
        if !path.is_file() {
            return Err(format!("there is no binary at {}: build it with cargo build --release", path.display()).into());
        }
        let mut program = Self { path: path.to_owned(), environment: BTreeMap::new(), callgrind: None };
        program.set("limits.enabled", "false");
        program.set("payment.sandbox", "true");
        program.set("admin.email", EMAIL);
        program.set("admin.password", PASSWORD);
        Ok(program)
    }

    /// The same under Callgrind, which counts nothing until it is told to, and then writes to `out`.
    pub(crate) fn under_callgrind(mut self, out: &Path) -> Self {
        self.callgrind = Some(out.to_owned());
        self
    }

    fn command(&self) -> Command {
        let Some(out) = &self.callgrind else { return Command::new(&self.path) };
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--instr-atstart=no"]);
        command.arg(format!("--callgrind-out-file={}", out.display())).arg(&self.path);
        command
    }

    /// Sets `key`, such as `storage.memory_mib`. An empty value removes the setting, for a binary that has no such key.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        let variable = format!("PROMOX_{}", key.to_uppercase().replace('.', "__"));
        if value.is_empty() {
            self.environment.remove(&variable);
        } else {
            self.environment.insert(variable, value.to_owned());
        }
    }
}

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Duration from the start to readiness.
    pub(crate) ready_after: Duration,
    program: Program,
    child: Child,
    dir: Option<TempDir>,
}

impl Server {
    /// Starts the binary built here on a fresh directory.
    pub(crate) async fn start() -> Result<Self, Box<dyn Error>> {
        Self::start_program(Program::built_here()?).await
    }

    /// Starts `program` on a fresh directory.
    pub(crate) async fn start_program(program: Program) -> Result<Self, Box<dyn Error>> {
        Self::start_on(program, tempfile::tempdir()?).await
    }

    /// Starts `program` on a fresh directory inside `parent`.
    pub(crate) async fn start_in(program: Program, parent: &Path) -> Result<Self, Box<dyn Error>> {
        Self::start_on(program, tempfile::tempdir_in(parent)?).await
    }

    async fn start_on(program: Program, dir: TempDir) -> Result<Self, Box<dyn Error>> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let started = Instant::now();
        let child = program
            .command()
            .args(["serve", "--listen", &address.to_string()])
            .envs(&program.environment)
            .env("PROMOX_DATA__DIR", dir.path())
            .stderr(Stdio::null())
            .spawn()?;
        let mut server = Self { address, ready_after: Duration::ZERO, program, child, dir: Some(dir) };
        while !server.is_ready().await {
            if started.elapsed() > START_TIMEOUT || server.child.try_wait()?.is_some() {
                return Err(format!("{} did not become ready", server.program.path.display()).into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.ready_after = started.elapsed();
        Ok(server)
    }

    async fn is_ready(&self) -> bool {
        let Ok(mut connection) = Connection::open(self.address).await else { return false };
        matches!(connection.send(&Request::get("/actuator/health/readiness")).await, Ok(200))
    }

    /// Ends the process as a power cut would, and starts it again on the same data.
    pub(crate) async fn kill_and_restart(mut self) -> Result<Self, Box<dyn Error>> {
        self.child.kill()?;
        self.child.wait()?;
        let dir = self.dir.take().ok_or("the directory is gone")?;
        Self::start_on(self.program.clone(), dir).await
    }

    /// Creates products with plenty of stock.
    pub(crate) async fn fill(&self, products: u64) -> Result<(), Box<dyn Error>> {
        let bearer = self.log_in().await?;
        let mut csv = "sku,name,price,status\n".to_owned();
        for n in 0..products {
            writeln!(csv, "SKU-{n},Product {n},{}.{:02},ACTIVE", n % 90 + 1, n % 100)?;
        }
        self.upload("/api/products/import", &bearer, &csv).await?;
        let stock = move |n: u64| {
            let headers = format!("{}content-type: application/json\r\n", bearer.0);
            let path = format!("/api/inventory/SKU-{}", n % products);
            Request::with_body("PUT", &path, &headers, r#"{"onHand":1000000000}"#)
        };
        let load = client::load(self.address, 64, Duration::MAX, products, &stock).await?;
        if load.failed == 0 { Ok(()) } else { Err(format!("{} updates of stock were refused", load.failed).into()) }
    }

    /// Imports past orders of two lines.
    pub(crate) async fn import_orders(&self, orders: u64, products: u64) -> Result<(), Box<dyn Error>> {
        let bearer = self.log_in().await?;
        for start in (0..orders).step_by(ORDERS_AT_ONCE) {
            let mut csv = "number,sku,name,quantity,date,unitPrice,customer\n".to_owned();
            for n in start..(start + ORDERS_AT_ONCE as u64).min(orders) {
                let minute = n % 44_000;
                let (day, hour, minute) = (minute / 1440 + 1, minute / 60 % 24, minute % 60);
                for line in [n * 31 % products, n * 17 % products] {
                    let customer = n % 100_000;
                    writeln!(
                        csv,
                        "B{n},SKU-{line},Product {line},1,2010-12-{day:02}T{hour:02}:{minute:02}:00,4.99,{customer}"
                    )?;
                }
            }
            self.upload("/api/orders/import", &bearer, &csv).await?;
        }
        Ok(())
    }

    /// Logs the admin in.
    pub(crate) async fn log_in(&self) -> Result<Bearer, Box<dyn Error>> {
        let mut connection = Connection::open(self.address).await?;
        let login = format!(r#"{{"email":"{EMAIL}","password":"{PASSWORD}"}}"#);
        let request = Request::with_body("POST", "/api/auth/login", "content-type: application/json\r\n", &login);
        let status = connection.send(&request).await?;
        let text = String::from_utf8_lossy(connection.body()).into_owned();
        let token = text.split(r#""accessToken":""#).nth(1).and_then(|rest| rest.split('"').next());
        let token = token.ok_or_else(|| format!("login was answered {status}"))?;
        Ok(Bearer(format!("authorization: Bearer {token}\r\n")))
    }

    async fn upload(&self, path: &str, bearer: &Bearer, csv: &str) -> Result<(), Box<dyn Error>> {
        let headers = format!("{}content-type: text/csv\r\n", bearer.0);
        let mut connection = Connection::open(self.address).await?;
        match connection.send(&Request::with_body("POST", path, &headers, csv)).await? {
            200 => Ok(()),
            status => Err(format!("{path} was answered {status}").into()),
        }
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// CPU time of the process, with a resolution of 10 ms.
    pub(crate) fn cpu_time(&self) -> Result<Duration, Box<dyn Error>> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = stat.rsplit_once(')').ok_or("no stat")?;
        let mut ticks = 0;
        for field in fields.split_whitespace().skip(11).take(2) {
            ticks += field.parse::<u64>()?;
        }
        Ok(Duration::from_millis(ticks * 10))
    }

    /// CPU time of the threads of this name.
    pub(crate) fn thread_time(&self, name: &str) -> Result<Duration, Box<dyn Error>> {
        let mut time = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let task = task?.path();
            if std::fs::read_to_string(task.join("comm"))?.trim().ends_with(name) {
                let stat = std::fs::read_to_string(task.join("schedstat"))?;
                time += stat.split_whitespace().next().ok_or("no schedstat")?.parse::<u64>()?;
            }
        }
        Ok(Duration::from_nanos(time))
    }

    /// Bytes that the process has caused to be written to the disk.
    pub(crate) fn written_bytes(&self) -> Result<u64, Box<dyn Error>> {
        let io = std::fs::read_to_string(format!("/proc/{}/io", self.child.id()))?;
        Ok(io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).ok_or("no write_bytes")?.parse()?)
    }

    /// Files of mail that the server has written.
    pub(crate) fn mail_files(&self) -> Result<usize, Box<dyn Error>> {
        let dir = self.dir.as_ref().ok_or("the directory is gone")?.path().join("mail");
        let mut files = 0;
        for day in std::fs::read_dir(dir)? {
            files += std::fs::read_dir(day?.path())?.count();
        }
        Ok(files)
    }

    /// The length of the store's checkpoint.
    pub(crate) fn store_bytes(&self) -> Result<u64, Box<dyn Error>> {
        let dir = self.dir.as_ref().ok_or("the directory is gone")?;
        Ok(dir.path().join("data.redb").metadata()?.len())
    }

    /// Resident memory of the process in MiB.
    pub(crate) fn resident_mib(&self) -> Result<u64, Box<dyn Error>> {
        self.status_mib("VmRSS:")
    }

    /// The most memory that the process has had resident, in MiB.
    pub(crate) fn peak_mib(&self) -> Result<u64, Box<dyn Error>> {
        self.status_mib("VmHWM:")
    }

    fn status_mib(&self, name: &str) -> Result<u64, Box<dyn Error>> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no memory in /proc")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? / 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
