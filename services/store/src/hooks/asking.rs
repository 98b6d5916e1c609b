//! Asks a hook: one signed request, one bounded answer, within the hook's deadline and its breaker.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use promox_contract::hook::{HookAnswer, HookOutcome, HookQuestion, HookRecord};
use promox_kernel::{Cx, Error, Timestamp, hex};
use promox_outbound::breaker::Outcome;
use promox_outbound::{check_url, standard_webhooks};
use tokio::time::Instant;

use super::Hooks;
use super::records::{Hook, HookFallback};
use crate::reject;

/// The maximum size of an answer in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// The part of a request's time that is left for what follows the answer.
const MARGIN: Duration = Duration::from_millis(500);

/// A question that was asked, and its answer or what went wrong.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) message: String,
    pub(crate) took: Duration,
    pub(crate) result: Result<HookAnswer, String>,
}

impl Hooks {
    /// Asks a hook for a checkout. If it fails, its fallback says whether that is an error.
    pub(crate) async fn ask(&self, cx: &Cx, hook: &Hook, question: &HookQuestion) -> Result<HookRecord, Error> {
        let clock = &cx.node.clock;
        let since_epoch = || clock.now().since(Timestamp::EPOCH);
        let breaker = self.breaker(hook.id, hook.version);
        let asked = match breaker.enter(since_epoch()) {
            Ok(pass) => {
                let asked = self.post(cx, hook, question, false).await;
                let outcome = if asked.result.is_ok() { Outcome::Success } else { Outcome::Failure };
                breaker.record(pass, outcome, asked.took, since_epoch());
                asked
            }
            Err(_) => Asked {
                message: new_message(cx),
                took: Duration::ZERO,
                result: Err("it failed too often and is not asked for a while".to_owned()),
            },
        };
        let (hook_id, kind) = (hook.id, hook.kind);
        if let Err(why) = &asked.result {
            tracing::warn!(hook = hook_id.0, %kind, message = asked.message, why, "a hook has not answered as it should");
            if hook.fallback == HookFallback::Refuse {
                let refusal = reject::hook_unavailable(kind);
                // Those who manage hooks learn what is wrong with theirs; buyers do not.
                let is_staff = cx.principal.allows("hook:write");
                return Err(if is_staff { refusal.with("reason", why) } else { refusal });
            }
        }
        let answer = asked.result.ok();
        let outcome = if answer.is_some() { HookOutcome::Answered } else { HookOutcome::Fallback };
        Ok(HookRecord { hook_id, kind, message: asked.message, outcome, answer })
    }

    /// Posts a question and reads the answer.
    pub(crate) async fn post(&self, cx: &Cx, hook: &Hook, question: &HookQuestion, test: bool) -> Asked {
        let (clock, message) = (&cx.node.clock, new_message(cx));
        let began = clock.now();
        let left = cx.deadline.saturating_duration_since(Instant::now()).saturating_sub(MARGIN);
        let limit = Duration::from_millis(hook.timeout_ms.into()).min(left);
        let answered = async {
            check_url(&hook.url, false)?;
            let body = question.body(test).map_err(|fault| fault.to_string())?;
            let request = request(hook, &message, began, body).map_err(|fault| fault.to_string())?;
            let answer = self.client.send(request).await.map_err(|fault| fault.to_string())?;
            if answer.status() != StatusCode::OK {
                return Err(format!("the status of the answer is {}", answer.status().as_u16()));
            }
            if answer.body().len() > MAX_ANSWER_BYTES {
                return Err(format!("the answer is larger than {MAX_ANSWER_BYTES} bytes"));
            }
            question.read(answer.body())
        };
        let result = tokio::select! {
            biased;
            result = answered => result,
            () = clock.sleep(limit) => Err(format!("no answer within {} ms", limit.as_millis())),
        };
        Asked { message, took: clock.now().since(began), result }
    }
}

fn new_message(cx: &Cx) -> String {
    format!("hook_{}", hex(&cx.node.entropy.bytes::<12>()))
}

/// The request that asks a question, signed for the time `at`.
fn request(hook: &Hook, message: &str, at: Timestamp, body: String) -> http::Result<Request<Bytes>> {
    let signature = standard_webhooks::signatures(std::iter::once(hook.secret.as_str()), message, at, &body);
    standard_webhooks::request(&hook.url, message, at, &signature, body)
}
