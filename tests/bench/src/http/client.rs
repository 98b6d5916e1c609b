//! A load generator that uses little CPU: requests are prepared bytes, and of answers only status and length are
//! parsed.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use crate::latency::Latencies;

/// The bytes of a request.
pub(crate) struct Request(Vec<u8>);

impl Request {
    pub(crate) fn get(path: &str) -> Self {
        Self(format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n").into_bytes())
    }

    /// A request with a body.
    pub(crate) fn with_body(method: &str, path: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: bench\r\n{headers}content-length: {length}\r\n\r\n");
        Self((head + body).into_bytes())
    }

    /// A guest's order of these products and quantities, paid by card, with an idempotency key made from `number`.
    pub(crate) fn order(number: u64, lines: &[(u64, u32)]) -> Self {
        let items: Vec<String> =
            lines.iter().map(|(sku, quantity)| format!(r#"{{"sku":"SKU-{sku}","quantity":{quantity}}}"#)).collect();
        let body = format!(
            r#"{{"items":[{}],"email":"guest@example.com","payment":{{"method":"CARD","provider":"sandbox","token":"tok_visa"}}}}"#,
            items.join(",")
        );
        let headers = format!("content-type: application/json\r\nidempotency-key: bench-{number}\r\n");
        Self::with_body("POST", "/api/orders", &headers, &body)
    }
}

/// A keep-alive connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(64 << 10) })
    }

    /// Sends a request, reads the whole answer and returns its status.
    pub(crate) async fn send(&mut self, request: &Request) -> io::Result<u16> {
        self.stream.write_all(&request.0).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some((status, length)) = head(&self.buffer) {
                while self.buffer.len() < length {
                    if self.stream.read_buf(&mut self.buffer).await? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                return Ok(status);
            }
        }
    }

    /// The body of the last answer.
    pub(crate) fn body(&self) -> &[u8] {
        end_of_head(&self.buffer).and_then(|end| self.buffer.get(end..)).unwrap_or_default()
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// Status and total length of an answer, or `None` while its head is incomplete.
fn head(bytes: &[u8]) -> Option<(u16, usize)> {
    let end = end_of_head(bytes)?;
    let text = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let status = text.get(9..12)?.parse().ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    Some((status, end + length.unwrap_or(0)))
}

/// The result of a load.
#[derive(Default)]
pub(crate) struct Load {
    pub(crate) latencies: Latencies,
    /// Answers that were not 2xx.
    pub(crate) failed: u64,
}

/// Sends requests on a number of connections for `span`, or until `max` requests are sent.
pub(crate) async fn load(
    address: SocketAddr,
    connections: usize,
    span: Duration,
    max: u64,
    request: &(impl Fn(u64) -> Request + Clone + 'static),
) -> io::Result<Load> {
    let next = Rc::new(Cell::new(0));
    let started = Instant::now();
    let local = LocalSet::new();
    let mut tasks = Vec::with_capacity(connections);
    for _ in 0..connections {
        let (next, request) = (next.clone(), request.clone());
        tasks.push(local.spawn_local(async move {
            let mut connection = Connection::open(address).await?;
            let mut load = Load::default();
            while started.elapsed() < span && next.get() < max {
                let number = next.replace(next.get() + 1);
                let request = request(number);
                let sent = Instant::now();
                let status = connection.send(&request).await?;
                load.latencies.add(sent.elapsed());
                load.failed += u64::from(!(200..300).contains(&status));
            }
            Ok::<_, io::Error>(load)
        }));
    }
    local.await;
    let mut total = Load::default();
    for task in tasks {
        let part = task.await.map_err(io::Error::other)??;
        total.latencies.merge(part.latencies);
        total.failed += part.failed;
    }
    Ok(total)
}
