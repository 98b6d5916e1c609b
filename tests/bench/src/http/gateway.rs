//! The gateway, compared with nginx and HAProxy in front of the same application in one run, and what rate limits cost a
//! built-in route.

use std::error::Error;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;

use super::client::{self, Connection, Request};
use super::server::{Program, Server};
use crate::latency::Latencies;

/// Options of the benchmark.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds of each row.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Connections of each row.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Rounds, in which the proxies take turns.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Another binary of promox, such as one without the gateway's policies, to compare a built-in route with.
    #[arg(long)]
    baseline: Option<PathBuf>,
}

/// The length of the application's answer.
const LENGTH: usize = 1024;
/// A rate that the load does not reach, so that it is counted and never refused.
const UNREACHABLE: &str = "100000000";
/// Time until a proxy must listen.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A process that is killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(table(options))
}

fn free_address() -> std::io::Result<SocketAddr> {
    std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// Starts a program and waits until it listens.
async fn start(program: &str, arguments: &[&str], address: SocketAddr) -> Result<Running, Box<dyn Error>> {
    let missing = |error| format!("{program} cannot be started ({error}): apt-get install nginx-light haproxy");
    let mut command = Command::new(program);
    let child = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(missing)?;
    let (running, started) = (Running(child), Instant::now());
    while Connection::open(address).await.is_err() {
        if started.elapsed() > START_TIMEOUT {
            return Err(format!("{program} does not listen on {address}").into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(running)
}

/// Starts an nginx with one server.
async fn nginx(
    dir: &Path,
    name: &str,
    workers: usize,
    server: &str,
    address: SocketAddr,
) -> Result<Running, Box<dyn Error>> {
    let (file, root) = (dir.join(format!("{name}.conf")), dir.display());
    let mut text = format!("daemon off; master_process on; worker_processes {workers}; pid {root}/{name}.pid;\n");
    write!(text, "error_log {root}/{name}.log; events {{ worker_connections 4096; }}\n http {{ access_log off;\n")?;
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(text, "{kind}_temp_path {root}/{name}-{kind};")?;
    }
    write!(text, "keepalive_requests 1000000000;\n{server}\n}}\n")?;
    std::fs::write(&file, text)?;
    let file = file.display().to_string();
    start("nginx", &["-p", &root.to_string(), "-c", &file, "-e", "stderr"], address).await
}

/// HAProxy in front of the application.
async fn haproxy(dir: &Path, address: SocketAddr, app: SocketAddr) -> Result<Running, Box<dyn Error>> {
    let file = dir.join("haproxy.cfg");
    let text = format!(
        "global\n nbthread 2\n maxconn 4096\ndefaults\n mode http\n timeout client 30s\n timeout server 30s\n \
         timeout connect 5s\n option http-keep-alive\n http-reuse always\nfrontend f\n bind {address}\n \
         default_backend b\nbackend b\n server s {app}\n"
    );
    std::fs::write(&file, text)?;
    start("haproxy", &["-f", &file.display().to_string()], address).await
}

async fn table(options: &Options) -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let (app, nginx_at, haproxy_at) = (free_address()?, free_address()?, free_address()?);
    let body = "x".repeat(LENGTH);
    let serving = format!("server {{ listen {app}; location / {{ return 200 \"{body}\"; }} }}");
    let _app = nginx(dir.path(), "app", 1, &serving, app).await?;
    let passing = format!(
        "upstream app {{ server {app}; keepalive 256; keepalive_requests 1000000000; }} server {{ listen {nginx_at}; location / {{ \
         proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }}"
    );
    let _nginx = nginx(dir.path(), "proxy", 2, &passing, nginx_at).await?;
    let _haproxy = haproxy(dir.path(), haproxy_at, app).await?;
    let mut program = Program::built_here()?;
    program.set("gateway.apps.bench.access", "anyone");
    program.set("gateway.apps.bench.instances", &app.to_string());
    let promox = Server::start_program(program).await?;
    let rows = [("nginx", nginx_at), ("HAProxy", haproxy_at), ("promox", promox.address)];
    println!("GET of {LENGTH} bytes through a proxy, {} connections", options.connections);
    println!("{}", Latencies::heading());
    for _ in 0..options.rounds {
        for (name, address) in rows {
            row(name, address, "/api/bench/x", options).await?;
        }
    }
    drop(promox);
    println!("GET /api/products/1 of promox itself");
    let mut limited = Program::built_here()?;
    limited.set("limits.enabled", "true");
    limited.set("limits.requests_per_minute", UNREACHABLE);
    limited.set("limits.burst", UNREACHABLE);
    let mut programs = vec![("without limits", Program::built_here()?), ("with limits", limited)];
    if let Some(baseline) = &options.baseline {
        programs.push(("baseline", Program::at(baseline)?));
    }
    let mut servers = Vec::new();
    for (name, program) in programs {
        let server = Server::start_program(program).await?;
        server.fill(10).await?;
        servers.push((name, server));
    }
    for _ in 0..options.rounds {
        for (name, server) in &servers {
            row(name, server.address, "/api/products/1", options).await?;
        }
    }
    Ok(())
}

/// Prints the rate and the latencies of GET requests, after a fifth of the time to warm up.
async fn row(name: &str, address: SocketAddr, path: &str, options: &Options) -> Result<(), Box<dyn Error>> {
    let span = Duration::from_secs(options.seconds);
    let path = path.to_owned();
    let request = move |_| Request::get(&path);
    client::load(address, options.connections, span / 5, u64::MAX, &request).await?;
    let started = Instant::now();
    let mut load = client::load(address, options.connections, span, u64::MAX, &request).await?;
    let line = load.latencies.line(name, started.elapsed());
    println!("{line}{}", if load.failed > 0 { format!("   {} not 2xx", load.failed) } else { String::new() });
    Ok(())
}
