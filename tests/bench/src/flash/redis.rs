//! The check of a reservation as a Lua script in Redis, over plain sockets: stock, units of the buyer, the reservation
//! and its expiry.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::{LIMIT, Options, line};
use crate::latency::Latencies;

type Failure = Box<dyn std::error::Error>;

/// Reserves units: returns the reservation's id, -1 when too few are left, and -2 when the buyer's limit is reached.
const SCRIPT: &str = "\
local left = tonumber(redis.call('GET', KEYS[1]))
if left < tonumber(ARGV[2]) then return -1 end
local has = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0')
if has + ARGV[2] > tonumber(ARGV[3]) then return -2 end
redis.call('DECRBY', KEYS[1], ARGV[2])
redis.call('HINCRBY', KEYS[2], ARGV[1], ARGV[2])
local id = redis.call('INCR', KEYS[3])
redis.call('HSET', 'hold:' .. id, 'user', ARGV[1], 'quantity', ARGV[2], 'expires', ARGV[4])
redis.call('ZADD', KEYS[4], ARGV[4], id)
return id";

/// The result of the script when too few units are left.
const SOLD_OUT: &str = "-1";

/// A Redis server, which is killed on drop.
struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Measures Redis with an `appendfsync` policy and prints its lines.
pub(super) async fn run(options: &Options, dir: &Path, policy: &str) -> Result<(), Failure> {
    let dir = dir.join(format!("redis-{policy}"));
    std::fs::create_dir(&dir)?;
    let server = match start(&dir, policy) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            println!("redis-server is not installed: nothing to compare with");
            return Ok(());
        }
        started => started?,
    };
    let mut first = Client::connect(server.port).await?;
    let script = first.load().await?;
    let users = Arc::new(AtomicI64::new(1));
    for buyers in &options.buyers {
        first.command(&["SET", "stock", &options.stock.to_string()]).await?;
        let started = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..*buyers {
            let client = Client::connect(server.port).await?;
            tasks.spawn(buyer(client, script.clone(), users.clone(), started + options.span()));
        }
        let mut all = Latencies::default();
        while let Some(done) = tasks.join_next().await {
            all.merge(done??);
        }
        let name = format!("redis, appendfsync {policy}, {buyers} at once");
        println!("{}", line(options, &mut all, &name, started.elapsed()));
    }
    Ok(())
}

fn start(dir: &Path, policy: &str) -> io::Result<Server> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"])
        .args(["--appendfsync", policy, "--dir"])
        .arg(dir)
        .stdout(Stdio::null())
        .spawn()?;
    Ok(Server { child, port })
}

/// Reserves a unit for one buyer after another, until the time is up or everything is sold.
async fn buyer(mut client: Client, script: String, users: Arc<AtomicI64>, until: Instant) -> io::Result<Latencies> {
    let mut latencies = Latencies::default();
    let limit = LIMIT.to_string();
    while Instant::now() < until {
        let user = users.fetch_add(1, Ordering::Relaxed).to_string();
        let started = Instant::now();
        let keys = ["EVALSHA", &script, "4", "stock", "users", "ids", "expiries"];
        let answer = client.command(&[&keys[..], &[&user, "1", &limit, "1800000600"]].concat()).await?;
        if answer == SOLD_OUT {
            break;
        }
        if answer.parse().map_or(true, |id: i64| id < 1) {
            return Err(io::Error::other(format!("redis refused a reservation: {answer}")));
        }
        latencies.add(started.elapsed());
    }
    Ok(latencies)
}

/// A connection with the part of the RESP protocol that is needed here.
struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(port: u16) -> io::Result<Self> {
        let mut tries = 0;
        loop {
            match TcpStream::connect(("127.0.0.1", port)).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(Self(BufReader::new(stream)));
                }
                Err(error) if tries == 100 => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
            tries += 1;
        }
    }

    async fn load(&mut self) -> io::Result<String> {
        self.command(&["SCRIPT", "LOAD", SCRIPT]).await
    }

    /// Sends a command and returns its answer: a status, an integer or a text.
    async fn command(&mut self, words: &[&str]) -> io::Result<String> {
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            write!(command, "${}\r\n{word}\r\n", word.len()).map_err(io::Error::other)?;
        }
        self.0.write_all(command.as_bytes()).await?;
        let mut line = String::new();
        self.0.read_line(&mut line).await?;
        let line = line.trim_end();
        match line.split_at_checked(1) {
            Some(("$", length)) => {
                let length: usize = length.parse().map_err(io::Error::other)?;
                let mut text = vec![0; length + 2];
                self.0.read_exact(&mut text).await?;
                Ok(String::from_utf8_lossy(&text).trim_end().to_owned())
            }
            Some(("+" | ":", answer)) => Ok(answer.to_owned()),
            _ => Err(io::Error::other(format!("redis answered {line:?}"))),
        }
    }
}
