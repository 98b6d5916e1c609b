//! A stand-in for Stripe that nobody here wrote: localstripe, unmodified, as a process of its own.

use std::process::Stdio;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::eureka_clients::installed;

/// The account's secret key, in HTTP Basic.
const AUTHORIZATION: &str = "Basic c2tfdGVzdF8xMjM0NTo=";

/// A running localstripe; dropping it ends it.
pub(crate) struct Provider {
    _child: Child,
    pub(crate) url: String,
    pool: Client<HttpConnector, Full<Bytes>>,
}

impl Provider {
    /// Starts it without data, on any free port.
    pub(crate) async fn start() -> Self {
        let mut child = Command::new(installed().join("venv/bin/python"))
            .args(["-u", "-m", "localstripe", "--from-scratch", "--port", "0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next_line().await.unwrap().expect("localstripe starts");
            if let Some((_, rest)) = line.split_once("http://[::]:") {
                break rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().to_owned();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let pool = Client::builder(TokioExecutor::new()).build_http();
        Self { _child: child, url: format!("http://127.0.0.1:{port}"), pool }
    }

    /// Reads a resource.
    pub(crate) async fn get(&self, path: &str) -> Value {
        self.send("GET", path, "").await.1
    }

    /// Posts JSON and returns the status and the answer.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send("POST", path, &body.to_string()).await
    }

    async fn send(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let request = hyper::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("authorization", AUTHORIZATION)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_owned())))
            .unwrap();
        let response = self.pool.request(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// All intents and all refunds.
    pub(crate) async fn books(&self) -> (Vec<Value>, Vec<Value>) {
        let all = async |path: &str| match self.get(&format!("{path}?limit=100000")).await["data"].take() {
            Value::Array(items) => items,
            other => panic!("{path}: {other}"),
        };
        (all("/v1/payment_intents").await, all("/v1/refunds").await)
    }

    /// Creates a card and returns its token.
    pub(crate) async fn card(&self, number: &str) -> String {
        let card = serde_json::json!({
            "type": "card",
            "card": {"number": number, "exp_month": 12, "exp_year": 2030, "cvc": "123"},
        });
        let (status, method) = self.post("/v1/payment_methods", &card).await;
        assert_eq!(status, 200, "{method}");
        method["id"].as_str().unwrap().to_owned()
    }

    /// Completes or fails the buyer's authentication of a payment, as the provider's code in a browser does. Returns the
    /// status of the answer.
    pub(crate) async fn authenticate(&self, intent: &str, client_secret: &str, success: bool) -> u16 {
        let body = serde_json::json!({"client_secret": client_secret, "success": success});
        self.post(&format!("/v1/payment_intents/{intent}/_authenticate"), &body).await.0
    }
}
