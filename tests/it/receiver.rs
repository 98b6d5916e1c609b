//! A system outside that receives requests of the shop, records them and answers by their path.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A request that was received: path, headers and body.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: Value,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A running receiver.
#[derive(Clone)]
pub(crate) struct Receiver {
    address: SocketAddr,
    pub(crate) received: Arc<Mutex<Vec<Received>>>,
    /// The status that `/switch` answers with.
    pub(crate) status: Arc<Mutex<u16>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            received: Arc::default(),
            status: Arc::new(Mutex::new(500)),
        };
        let own = receiver.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let own = own.clone();
                let service = service_fn(move |request| {
                    let own = own.clone();
                    async move { Ok::<_, Infallible>(own.answer(request).await) }
                });
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http.serve_connection(TokioIo::new(connection), service));
            }
        });
        receiver
    }

    async fn answer(&self, request: Request<hyper::body::Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let headers = request.headers().iter().map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap())));
        let headers = Value::Object(headers.collect());
        let body = request.into_body().collect().await.unwrap().to_bytes().to_vec();
        self.received.lock().push(Received { path: path.clone(), headers, body });
        let status = match path.as_str() {
            "/switch" => *self.status.lock(),
            "/moved" => 302,
            "/gone" => 410,
            _ => 204,
        };
        Response::builder().status(status).header("location", "/elsewhere").body(Full::new(Bytes::new())).unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Waits until `count` requests were received at a path and returns them.
    pub(crate) async fn wait_for(&self, path: &str, count: usize) -> Vec<Received> {
        loop {
            let found: Vec<Received> = self.received.lock().iter().filter(|it| it.path == path).cloned().collect();
            if found.len() >= count {
                return found;
            }
            tokio::task::yield_now().await;
        }
    }
}
