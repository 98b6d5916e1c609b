//! An HTTP client for commands that work with a running server.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use promox_kernel::{BodyReader, BodySender, Error};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::TaskTracker;

use crate::exit::Exit;

/// The maximum number of bytes that are read of an error response.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// A server and the access token to use.
#[derive(Debug)]
pub(super) struct Remote {
    uri: Uri,
    token: String,
    roots: Option<RootCertStore>,
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
        Ok(Self { uri, token, roots, tasks: TaskTracker::new() })
    }

    /// Requests `path` and returns the body of the response as a stream.
    pub(super) async fn stream(&self, path: &str) -> Result<BodyReader, Exit> {
        let host = self.uri.host().unwrap_or_default();
        let port = self.uri.port_u16().unwrap_or(if self.roots.is_some() { 443 } else { 80 });
        let unreachable = |error: std::io::Error| Exit::io(format_args!("{} cannot be reached: {error}", self.uri));
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let connection = TcpStream::connect((bare, port)).await.map_err(unreachable)?;
        let response = match &self.roots {
            None => self.get(connection, path).await?,
            Some(roots) => {
                let name = ServerName::try_from(bare.to_owned()).map_err(Exit::usage)?;
                let config = ClientConfig::builder().with_root_certificates(roots.clone()).with_no_client_auth();
                let secured = TlsConnector::from(Arc::new(config)).connect(name, connection).await;
                self.get(secured.map_err(unreachable)?, path).await?
            }
        };
        self.read(response).await
    }

    async fn get<C>(&self, connection: C, path: &str) -> Result<Response<Incoming>, Exit>
    where
        C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, driver) =
            hyper::client::conn::http1::handshake(TokioIo::new(connection)).await.map_err(Exit::io)?;
        self.tasks.spawn(driver);
        let request = Request::get(format!("{}{path}", self.uri.path().trim_end_matches('/')))
            .header("host", self.uri.authority().map_or("", |authority| authority.as_str()))
            .header("authorization", format!("Bearer {}", self.token))
            .body(Empty::<Bytes>::new())
            .map_err(Exit::usage)?;
        sender.send_request(request).await.map_err(Exit::io)
    }

    /// The body of a successful response; an error carries the server's message.
    async fn read(&self, response: Response<Incoming>) -> Result<BodyReader, Exit> {
        let status = response.status();
        if !status.is_success() {
            let body = Limited::new(response.into_body(), MAX_ERROR_BYTES).collect().await.map_err(Exit::io)?;
            let problem: serde_json::Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
            let detail = problem.get("detail").and_then(|detail| detail.as_str()).unwrap_or_default();
            let message = format!("the server responded with {status}: {detail}");
            return Err(match status.as_u16() {
                503 => Exit::busy(message),
                400..500 => Exit::usage(message),
                _ => Exit::io(message),
            });
        }
        let (sender, reader) = BodyReader::pair();
        self.tasks.spawn(forward(response.into_body(), sender));
        Ok(reader)
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
