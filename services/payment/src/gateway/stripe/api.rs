//! Stripe's API: requests with form bodies and their JSON answers.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use promox_kernel::Node;
use promox_outbound::{HttpClient, Reach, check_url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::decline::upper_snake;
use super::intent::Intent;
use crate::StripeSettings;
use crate::gateway::Failed;

/// The version of the API that this code is written for. Stripe answers in it whatever the account's default is.
pub(super) const API_VERSION: &str = "2025-03-31.basil";
/// The deadline of a single request. Callers have deadlines of their own for a whole charge.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// The number of keys that a request is sent with at most, each after Stripe has repeated a failure of the one before.
const MAX_KEYS: u32 = 8;

/// Why a request was not carried out.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Nothing is known: no answer, or a temporary failure. The request may have been carried out.
    Failed,
    /// Stripe has refused the request.
    Refused(ApiError),
}

impl From<Failed> for Refusal {
    fn from(_: Failed) -> Self {
        Self::Failed
    }
}

/// Why a single request has no answer that can be used.
enum Unanswered {
    Refusal(Refusal),
    /// Stripe repeats that an earlier request with this key has failed, and will for as long as it keeps the key.
    Spent,
}

impl From<Failed> for Unanswered {
    fn from(failed: Failed) -> Self {
        Self::Refusal(failed.into())
    }
}

impl From<Unanswered> for Refusal {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Refusal(refusal) => refusal,
            Unanswered::Spent => Self::Failed,
        }
    }
}

/// The error object of an answer.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ApiError {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    decline_code: Option<String>,
    #[serde(default)]
    message: Option<String>,
    /// The status of the answer.
    #[serde(skip)]
    status: u16,
}

impl ApiError {
    /// The code of a decline in the form of this service's codes, such as `INSUFFICIENT_FUNDS`.
    pub(super) fn decline_code(&self) -> String {
        let specific = self.decline_code.as_deref().filter(|code| *code != "generic_decline");
        let unknown = if self.status == 402 { "card_declined" } else { "invalid_token" };
        upper_snake(specific.or(self.code.as_deref()).unwrap_or(unknown))
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ApiError,
}

/// A client of the API with the account's secret key.
#[derive(Debug)]
pub(super) struct Api {
    client: HttpClient,
    base: String,
    authorization: http::HeaderValue,
}

impl Api {
    /// The error says which setting is wrong.
    pub(super) fn new(settings: &StripeSettings) -> Result<Self, String> {
        check_url(&settings.url, false).map_err(|fault| format!("payment.stripe_url: {fault}"))?;
        let encoded = STANDARD.encode(format!("{}:", settings.secret_key));
        let mut authorization = http::HeaderValue::try_from(format!("Basic {encoded}"))
            .map_err(|_| "payment.stripe_secret_key: is not a key".to_owned())?;
        authorization.set_sensitive(true);
        Ok(Self {
            client: HttpClient::new(Reach::Anywhere)?,
            base: settings.url.trim_end_matches('/').to_owned(),
            authorization,
        })
    }

    /// Changes an intent: `action` is `confirm`, `capture` or `cancel`. Repetitions with the same `key` change nothing.
    pub(super) async fn act(
        &self,
        node: &Node,
        (id, action): (&str, &str),
        key: &str,
        form: &[(&str, &str)],
    ) -> Result<Intent, Refusal> {
        self.post(node, &format!("/v1/payment_intents/{id}/{action}"), key, form).await
    }

    /// An intent.
    pub(super) async fn intent(&self, node: &Node, id: &str) -> Result<Intent, Refusal> {
        self.get(node, &format!("/v1/payment_intents/{id}")).await
    }

    /// Sends a form. Stripe repeats the first answer to a key, even a failure of its own. The request is then sent with a
    /// key that follows from this one, so that repetitions try the same keys in the same order.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        node: &Node,
        path: &str,
        key: &str,
        form: &[(&str, &str)],
    ) -> Result<T, Refusal> {
        for number in 0..MAX_KEYS {
            let key = if number == 0 { key.to_owned() } else { format!("{key}-again-{number}") };
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
            let request = http::Request::post(format!("{}{path}", self.base))
                .header("content-type", "application/x-www-form-urlencoded")
                .header("idempotency-key", key)
                .body(body);
            match self.send(node, path, request).await {
                Err(Unanswered::Spent) => {}
                Err(Unanswered::Refusal(refusal)) => return Err(refusal),
                Ok(answer) => return Ok(answer),
            }
        }
        Err(Refusal::Failed)
    }

    /// Reads a resource.
    pub(super) async fn get<T: DeserializeOwned>(&self, node: &Node, path: &str) -> Result<T, Refusal> {
        let request = http::Request::get(format!("{}{path}", self.base)).body(String::new());
        self.send(node, path, request).await.map_err(Into::into)
    }

    async fn send<T: DeserializeOwned>(
        &self,
        node: &Node,
        path: &str,
        request: http::Result<http::Request<String>>,
    ) -> Result<T, Unanswered> {
        let mut request = request.map_err(|_| Failed)?.map(Into::into);
        let headers = request.headers_mut();
        headers.insert("authorization", self.authorization.clone());
        headers.insert("stripe-version", http::HeaderValue::from_static(API_VERSION));
        headers.insert("user-agent", http::HeaderValue::from_static("promox"));
        let answer = tokio::select! {
            biased;
            answer = self.client.send(request) => answer,
            () = node.clock.sleep(REQUEST_TIMEOUT) => return Err(Failed.into()),
        };
        let answer = answer.map_err(|error| {
            tracing::warn!(path, %error, "a request to Stripe has no answer");
            Failed
        })?;
        let (status, body) = (answer.status().as_u16(), answer.body());
        if (200..300).contains(&status) {
            return serde_json::from_slice(body).map_err(|error| {
                tracing::warn!(path, %error, "an answer of Stripe cannot be read");
                Failed.into()
            });
        }
        let refusal = refusal(path, status, body);
        let is_repeated = answer.headers().get("idempotent-replayed").is_some_and(|value| value == "true");
        if is_repeated && status >= 500 { Err(Unanswered::Spent) } else { Err(Unanswered::Refusal(refusal)) }
    }
}

/// What an answer without success means. A conflict, a rate limit, a wrong key and everything from 500 on say nothing
/// about the request.
fn refusal(path: &str, status: u16, body: &[u8]) -> Refusal {
    let error = serde_json::from_slice(body).map_or_else(|_| ApiError::default(), |body: ErrorBody| body.error);
    let error = ApiError { status, ..error };
    let message = error.message.as_deref().unwrap_or_default();
    if matches!(status, 401 | 403) {
        tracing::error!(path, status, message, "Stripe refuses the secret key: check payment.stripe_secret_key");
    } else {
        tracing::warn!(path, status, code = error.code.as_deref(), message, "Stripe has refused a request");
    }
    match status {
        400 | 402 | 404 => Refusal::Refused(error),
        _ => Refusal::Failed,
    }
}

/// The metadata of a refund that names it.
pub(super) const REFUND: &str = "promox_refund";

/// A page of refunds.
#[derive(Debug, Deserialize)]
pub(super) struct List {
    pub(super) data: Vec<Refund>,
}

/// A refund, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(super) struct Refund {
    pub(super) id: String,
    status: Option<String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

impl Refund {
    /// Whether the refund was requested here, under this id.
    pub(super) fn is_named(&self, id: &str) -> bool {
        self.metadata.get(REFUND).is_some_and(|named| named == id)
    }

    /// Whether the buyer's bank did not accept the refund.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.status.as_deref(), Some("failed" | "canceled"))
    }
}
