//! An HTTP client for commands that work with a running server.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use promox_kernel::{BodyReader, BodySender, Error};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::TaskTracker;

use super::Common;
use crate::config::Settings;
use crate::exit::Exit;

/// The maximum number of bytes that are read of a JSON response.
const MAX_JSON_BYTES: usize = 8 << 20;

/// Options that name a running server.
#[derive(Debug, Args)]
pub(super) struct RemoteOptions {
    /// Work with the server at this address instead of opening the data directory.
    #[arg(long, requires = "token")]
    url: Option<String>,
    /// An API key or an access token with the permission `ops:write`.
    #[arg(long, env = "PROMOX_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Also trust the certificate authorities in this file (PEM).
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl RemoteOptions {
    /// The server that the options name, if any. Together with a data directory they would be ambiguous.
    pub(super) fn remote(self, common: &Common) -> Result<Option<Remote>, Exit> {
        if self.url.is_some() && common.data_dir.is_some() {
            return Err(Exit::usage(
                "--url is for a running server and --data-dir for an offline store: give one of them",
            ));
        }
        match (self.url, self.token) {
            (Some(url), Some(token)) => Remote::new(&url, token, self.ca.as_deref()).map(Some),
            _ => Ok(None),
        }
    }
}

/// A server and the API key or access token to use.
#[derive(Debug)]
pub(super) struct Remote {
    uri: Uri,
    token: String,
    roots: Option<RootCertStore>,
    /// The address to connect to, if it is not the one that the URI names.
    address: Option<SocketAddr>,
    tasks: TaskTracker,
}

impl Remote {
    /// The server at `url`. `authority` is a PEM file of certificate authorities to trust besides the public ones.
    pub(super) fn new(url: &str, token: String, authority: Option<&Path>) -> Result<Self, Exit> {
        let fault = || Exit::usage(format_args!("--url: \"{url}\" is not an address such as https://shop.example.com"));
        let uri: Uri = url.trim_end_matches('/').parse().map_err(|_| fault())?;
        let roots = match uri.scheme_str() {
            Some("http") => None,
            Some("https") => Some(roots(authority)?),
            _ => return Err(fault()),
        };
        uri.host().ok_or_else(fault)?;
        Ok(Self { uri, token, roots, address: None, tasks: TaskTracker::new() })
    }

    /// The server that listens where the settings say, on this machine. With TLS its certificate is expected to be valid
    /// for the host of `server.public_url`, or to be the configured one.
    pub(super) fn local(settings: &Settings, authority: Option<&Path>) -> Result<Self, Exit> {
        let mut address = settings.server.listen;
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
        }
        if !settings.tls.is_on() {
            return Self::new(&format!("http://{address}"), String::new(), None);
        }
        let host = settings.server.public_url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
        let url = format!("https://{}:{}", host.unwrap_or_else(|| "localhost".to_owned()), address.port());
        let authority = authority.unwrap_or(&settings.tls.certificate);
        Ok(Self { address: Some(address), ..Self::new(&url, String::new(), Some(authority))? })
    }

    /// Requests `path` and returns the body of the response as a stream, with its length if the server states it.
    pub(super) async fn stream(&self, path: &str) -> Result<BodyReader, Exit> {
        let response = self.send("GET", path, None).await?;
        if !response.status().is_success() {
            return Err(refusal(response.status().as_u16(), &json_of(response).await?));
        }
        let length = response.headers().get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
        let (sender, reader) = BodyReader::pair();
        self.tasks.spawn(forward(response.into_body(), sender));
        Ok(match length {
            Some(length) => reader.with_length(length),
            None => reader,
        })
    }

    /// Sends a request and returns the status and the JSON of the response, which is null if it has none.
    pub(super) async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value), Exit> {
        let response = self.send(method, path, body).await?;
        Ok((response.status().as_u16(), json_of(response).await?))
    }

    async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Response<Incoming>, Exit> {
        let host = self.uri.host().unwrap_or_default();
        let port = self.uri.port_u16().unwrap_or(if self.roots.is_some() { 443 } else { 80 });
        let unreachable = |error: std::io::Error| Exit::io(format_args!("{} cannot be reached: {error}", self.uri));
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let connection = match self.address {
            Some(address) => TcpStream::connect(address).await,
            None => TcpStream::connect((bare, port)).await,
        };
        let connection = connection.map_err(unreachable)?;
        let request = self.request(method, path, body)?;
        match &self.roots {
            None => self.send_over(connection, request).await,
            Some(roots) => {
                let name = ServerName::try_from(bare.to_owned()).map_err(Exit::usage)?;
                let config = ClientConfig::builder().with_root_certificates(roots.clone()).with_no_client_auth();
                let secured = TlsConnector::from(Arc::new(config)).connect(name, connection).await;
                self.send_over(secured.map_err(unreachable)?, request).await
            }
        }
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Request<Full<Bytes>>, Exit> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.uri.path().trim_end_matches('/')))
            .header("host", self.uri.authority().map_or("", |authority| authority.as_str()));
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let bytes = body.map(Value::to_string).unwrap_or_default();
        request.body(Full::new(Bytes::from(bytes))).map_err(Exit::usage)
    }

    async fn send_over<C>(&self, connection: C, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Exit>
    where
        C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, driver) =
            hyper::client::conn::http1::handshake(TokioIo::new(connection)).await.map_err(Exit::io)?;
        self.tasks.spawn(driver);
        sender.send_request(request).await.map_err(Exit::io)
    }
}

async fn json_of(response: Response<Incoming>) -> Result<Value, Exit> {
    let body = Limited::new(response.into_body(), MAX_JSON_BYTES).collect().await.map_err(Exit::io)?;
    Ok(serde_json::from_slice(&body.to_bytes()).unwrap_or_default())
}

/// The exit for a refusal, with the server's message.
pub(super) fn refusal(status: u16, problem: &Value) -> Exit {
    let detail = problem.get("detail").and_then(Value::as_str).unwrap_or_default();
    let message = format!("the server responded with {status}: {detail}");
    match status {
        503 => Exit::busy(message),
        400..500 => Exit::usage(message),
        _ => Exit::io(message),
    }
}

/// Passes the body on. A lost connection is an error, not the end of the body.
async fn forward(mut body: Incoming, sender: BodySender) {
    while let Some(frame) = body.frame().await {
        let chunk = match frame {
            Ok(frame) => frame.into_data().map_err(|_| Error::internal("trailers")),
            Err(error) => Err(Error::internal(error)),
        };
        if chunk.is_err() | !sender.send(chunk).await {
            break;
        }
    }
}

/// The public certificate authorities and those in a file.
fn roots(authority: Option<&Path>) -> Result<RootCertStore, Exit> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(file) = authority {
        let fault = |error: &dyn std::fmt::Display| Exit::usage(format_args!("--ca: {}: {error}", file.display()));
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| fault(&error))? {
            roots.add(certificate.map_err(|error| fault(&error))?).map_err(|error| fault(&error))?;
        }
    }
    Ok(roots)
}
