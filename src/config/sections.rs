//! The sections of the settings and their defaults. An empty text means "not set".

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use promox_gateway::TrafficSettings;
use promox_kernel::{Currency, Subnet};
use serde::{Deserialize, Serialize};

use super::Discovery;
use super::gateway::Gateway;
use super::servers::{Postgres, Redis};

/// All settings.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The listener and its deadlines.
    pub server: Server,
    /// TLS on the listener.
    pub tls: Tls,
    /// The data directory and its clock.
    pub data: Data,
    /// The embedded engine.
    pub storage: Storage,
    /// The PostgreSQL server that keeps the data, if any.
    pub postgres: Postgres,
    /// The Redis server that nodes share, if any.
    pub redis: Redis,
    /// Limits per client, connection and service.
    pub limits: Limits,
    /// The registry of applications.
    pub discovery: Discovery,
    /// The gateway: its policies, and the routes to applications.
    pub gateway: Gateway,
    /// Defaults of a new store.
    pub store: Store,
    /// Logs.
    pub log: Log,
    /// Outgoing mail.
    pub mail: Mail,
    /// Payment settings.
    pub payment: Payment,
    /// Text messages.
    pub sms: Sms,
    /// Webhooks to the merchant's own systems.
    pub webhooks: Webhooks,
    /// Traces.
    pub tracing: Tracing,
    /// Token settings.
    pub auth: Auth,
    /// The first administrator.
    pub admin: Admin,
}

/// The listener and its deadlines.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Server {
    /// The address and port to listen on.
    pub listen: SocketAddr,
    /// The address at which clients reach the shop, also for links in messages. By default this host at the port of
    /// `listen`.
    pub public_url: String,
    /// Whether services have ports of their own besides `listen`: 8001 to 8007, 9000 to 9003, 9005 and 9006.
    pub service_ports: bool,
    /// The address of the services' own ports.
    pub service_address: IpAddr,
    /// Threads that serve requests; 0 means one per core.
    pub workers: usize,
    /// Deadline for reading a request's head.
    pub header_timeout_ms: u64,
    /// Deadline for a TLS handshake.
    pub handshake_timeout_ms: u64,
    /// Deadline for reading a JSON body, and for each next piece of an upload.
    pub body_timeout_ms: u64,
    /// An idle connection is closed after this.
    pub idle_timeout_ms: u64,
    /// Deadline for an operation.
    pub request_timeout_ms: u64,
    /// Deadline for an operation that takes an upload.
    pub upload_timeout_ms: u64,
    /// How long a shutdown waits for running requests.
    pub drain_timeout_ms: u64,
    /// Whether large responses are compressed for clients that accept it.
    pub compression: bool,
    /// Whether calls between services in this process are encoded as between nodes. For tests.
    pub encode_calls: bool,
    /// Origins whose pages may call the API from a browser; `*` means any.
    pub cors_origins: Vec<String>,
    /// Addresses or networks whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<Subnet>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 8080)),
            public_url: "http://localhost:8080".to_owned(),
            service_ports: false,
            service_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            workers: 0,
            header_timeout_ms: 10_000,
            handshake_timeout_ms: 10_000,
            body_timeout_ms: 30_000,
            idle_timeout_ms: 75_000,
            request_timeout_ms: 30_000,
            upload_timeout_ms: 600_000,
            drain_timeout_ms: 20_000,
            compression: true,
            encode_calls: false,
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
        }
    }
}

/// TLS on the listener: enabled when both files are named.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Tls {
    /// The certificate chain, PEM.
    pub certificate: PathBuf,
    /// The certificate's private key, PEM.
    pub key: PathBuf,
    /// How often the files are checked for a renewed certificate.
    pub reload_ms: u64,
}

impl Default for Tls {
    fn default() -> Self {
        Self { certificate: PathBuf::new(), key: PathBuf::new(), reload_ms: 10_000 }
    }
}

impl Tls {
    /// Whether TLS is enabled.
    pub fn is_on(&self) -> bool {
        !self.certificate.as_os_str().is_empty()
    }
}

/// The data directory and its clock.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Data {
    /// The data directory.
    pub dir: PathBuf,
    /// Whether to start although the machine's clock is more than 5 minutes behind the newest commit.
    pub accept_clock: bool,
}

impl Default for Data {
    fn default() -> Self {
        Self { dir: PathBuf::from("promox-data"), accept_clock: false }
    }
}

/// The embedded engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Storage {
    /// Memory that all caches and in-memory tables share.
    pub memory_mib: u64,
    /// A checkpoint starts after this much has been written to the journal, before it is compressed.
    pub checkpoint_mib: u64,
    /// A checkpoint starts at the latest after this time.
    pub checkpoint_seconds: u64,
}

impl Default for Storage {
    fn default() -> Self {
        Self { memory_mib: 256, checkpoint_mib: 8, checkpoint_seconds: 30 }
    }
}

/// Limits per client, connection and service.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Whether rate limits, lockouts and guess limits are on.
    pub enabled: bool,
    /// Maximum number of open connections.
    pub connections: usize,
    /// Maximum size of a request's head in bytes.
    pub header_bytes: u32,
    /// Maximum number of headers in a request.
    pub headers: usize,
    /// Maximum size of a JSON body in bytes.
    pub body_bytes: usize,
    /// Maximum size of an upload in MiB.
    pub upload_mib: u64,
    /// Maximum number of concurrent streams on an HTTP/2 connection.
    pub streams: u32,
    /// Maximum number of concurrent requests to one service.
    pub service_requests: usize,
    /// Maximum number of requests per minute from one client, a user or else an address.
    pub requests_per_minute: u32,
    /// Maximum number of requests that one client may send at once after a pause.
    pub burst: u32,
    /// Maximum number of clients whose rates are kept in memory.
    pub clients: usize,
    /// Limits of single operations: `order.look_up=30/60` means 30 requests in 60 seconds.
    pub rates: Vec<Rate>,
    /// What requests of single operations cost: `cart.set_codes=10` means as much as 10 requests.
    pub costs: Vec<Cost>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            enabled: true,
            connections: 10_000,
            header_bytes: 32 * 1024,
            headers: 100,
            body_bytes: 1024 * 1024,
            upload_mib: 1024,
            streams: 128,
            service_requests: 1024,
            requests_per_minute: 6_000,
            burst: 1_000,
            clients: 65_536,
            rates: Vec::new(),
            costs: Vec::new(),
        }
    }
}

/// The rate limit of one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The name of the operation, such as `order.look_up`.
    pub operation: String,
    /// The number of requests.
    pub count: u32,
    /// The period in seconds.
    pub seconds: u32,
}

impl FromStr for Rate {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("must be a rate such as order.look_up=30/60 (30 in 60 seconds); got \"{text}\"");
        let (operation, rate) = text.split_once('=').ok_or_else(fault)?;
        let (count, seconds) = rate.split_once('/').ok_or_else(fault)?;
        let number = |text: &str| text.trim().parse::<u32>().ok().filter(|number| *number > 0).ok_or_else(fault);
        Ok(Self { operation: operation.trim().to_owned(), count: number(count)?, seconds: number(seconds)? })
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}/{}", self.operation, self.count, self.seconds)
    }
}

/// What a request of one operation costs of a client's limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// The name of the operation, such as `cart.set_codes`.
    pub operation: String,
    /// The number of requests that it counts as.
    pub requests: u32,
}

impl FromStr for Cost {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("must be a cost such as cart.set_codes=10; got \"{text}\"");
        let (operation, requests) = text.split_once('=').ok_or_else(fault)?;
        let requests = requests.trim().parse::<u32>().ok().filter(|number| *number > 0).ok_or_else(fault)?;
        Ok(Self { operation: operation.trim().to_owned(), requests })
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.operation, self.requests)
    }
}

/// Implements serialisation for types with a text form.
macro_rules! as_text {
    ($($name:ty),+) => {$(
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}
as_text!(Rate, Cost);

/// Defaults of a new store; an existing store keeps its own settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Store {
    /// The shop's name.
    pub name: String,
    /// The currency, an ISO 4217 code.
    pub currency: Currency,
    /// The time zone, an IANA name.
    pub time_zone: String,
}

impl Default for Store {
    fn default() -> Self {
        Self { name: "promox".to_owned(), currency: Currency::GBP, time_zone: "UTC".to_owned() }
    }
}

/// Logs, written to standard error.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Log {
    /// A level, or levels by target: `info,promox::http=debug`.
    pub level: String,
    /// Format of log lines.
    pub format: LogFormat,
    /// Whether every request is logged.
    pub access: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text, access: false }
    }
}

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For humans.
    Text,
    /// One JSON object per line.
    Json,
}

/// Outgoing mail.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Mail {
    /// Where mail goes.
    pub mode: MailMode,
    /// The sender, such as `Shop <shop@example.com>`.
    pub from: String,
    /// The SMTP server.
    pub host: String,
    /// The port of the SMTP server.
    pub port: u16,
    /// How the connection is secured.
    pub tls: MailTls,
    /// The user name for the SMTP server, or empty for none.
    pub user: String,
    /// The password for the SMTP server.
    pub password: String,
    /// A PEM file of additional certificates to trust, for a server with a private one.
    pub roots: PathBuf,
    /// The address for messages to the shop itself, such as low stock. If empty, the sender's address.
    pub merchant: String,
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            mode: MailMode::File,
            from: "promox <shop@localhost>".to_owned(),
            host: String::new(),
            port: 587,
            tls: MailTls::Starttls,
            user: String::new(),
            password: String::new(),
            roots: PathBuf::new(),
            merchant: String::new(),
        }
    }
}

/// Where mail goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailMode {
    /// `.eml` files under the data directory.
    File,
    /// An SMTP server.
    Smtp,
}

/// How the connection to a mail server is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// Not encrypted.
    None,
    /// STARTTLS after the greeting.
    Starttls,
    /// TLS from the first byte.
    Implicit,
}

/// Payment settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Payment {
    /// How long a provider may take before the order returns 202 and is settled in the background.
    pub timeout_ms: u64,
    /// Whether the sandbox accepts its test cards, for trying promox out without real payment.
    pub sandbox: bool,
    /// The secret that signs the sandbox's webhooks. If empty, webhooks are refused.
    pub sandbox_webhook_secret: String,
    /// The secret or restricted key of an account at Stripe. If empty, Stripe is not used.
    pub stripe_secret_key: String,
    /// The publishable key of that account, which storefronts get with the payment methods.
    pub stripe_publishable_key: String,
    /// The secret that signs Stripe's webhooks. If empty, they are refused.
    pub stripe_webhook_secret: String,
    /// The URL of Stripe's API.
    pub stripe_url: String,
}

impl Default for Payment {
    fn default() -> Self {
        Self {
            timeout_ms: 10_000,
            sandbox: false,
            sandbox_webhook_secret: String::new(),
            stripe_secret_key: String::new(),
            stripe_publishable_key: String::new(),
            stripe_webhook_secret: String::new(),
            stripe_url: "https://api.stripe.com".to_owned(),
        }
    }
}

/// Text messages.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Sms {
    /// Where text messages go.
    pub mode: SmsMode,
    /// The URL to which messages are posted.
    pub url: String,
    /// The sender: a number or a name that the provider knows.
    pub from: String,
    /// The user for HTTP Basic, or Twilio's account.
    pub user: String,
    /// The password for HTTP Basic, or the token of Twilio's account.
    pub password: String,
    /// More headers, a line each.
    pub headers: String,
    /// The media type of the body.
    pub content_type: String,
    /// The body, with `{to}`, `{from}` and `{text}` where the values go.
    pub body: String,
}

impl Default for Sms {
    fn default() -> Self {
        Self {
            mode: SmsMode::Log,
            url: String::new(),
            from: String::new(),
            user: String::new(),
            password: String::new(),
            headers: String::new(),
            content_type: "application/json".to_owned(),
            body: r#"{"to": "{to}", "from": "{from}", "text": "{text}"}"#.to_owned(),
        }
    }
}

/// Where text messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmsMode {
    /// They are only listed with the deliveries.
    Log,
    /// To an HTTP provider that the other settings describe.
    Http,
    /// To Twilio.
    Twilio,
}

/// Webhooks to the merchant's own systems.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Webhooks {
    /// Addresses or networks that webhooks may be sent to, and hooks may be in, although they are not public.
    pub networks: Vec<Subnet>,
}

/// Traces, sent to a collector.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Tracing {
    /// The URL of the collector's OTLP interface over HTTP; empty for no traces.
    pub otlp_url: String,
    /// How many of 100 requests without a trace of their caller are recorded.
    pub sample_percent: u32,
    /// The name under which the spans appear.
    pub service_name: String,
}

impl Default for Tracing {
    fn default() -> Self {
        Self { otlp_url: String::new(), sample_percent: 100, service_name: "promox".to_owned() }
    }
}

/// Token settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Auth {
    /// The issuer that access tokens name.
    pub issuer: String,
    /// Lifetime of an access token.
    pub access_minutes: u64,
    /// Lifetime of a refresh token.
    pub refresh_days: u64,
}

impl Default for Auth {
    fn default() -> Self {
        Self { issuer: "promox".to_owned(), access_minutes: 15, refresh_days: 30 }
    }
}

/// The first administrator, created in an empty data directory.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Admin {
    /// E-mail address.
    pub email: String,
    /// Password.
    pub password: String,
}

impl Settings {
    /// The settings of the policies of all services.
    pub fn traffic(&self) -> TrafficSettings {
        TrafficSettings {
            max_running: self.limits.service_requests,
            breaker: self.gateway.breaker(),
            slow_start: Duration::from_millis(self.gateway.slow_start_ms),
        }
    }
}

impl Server {
    /// The time limit of an operation.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }
}
