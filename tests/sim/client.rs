//! A client of the node that calls operations as the HTTP server does. A call with a key has one outcome, however often
//! it is repeated and whatever happens in between: every final answer is logged, and a later one must equal it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use parking_lot::Mutex;
use promox::node::Promox;
use promox_kernel::{Claim, Content, Cx, Entry, Error, Kind, Principal, Replay, Request, Response, UserId};
use promox_storage::{Database, Db, Recall};
use serde_json::{Value, json};

/// The deadline of a call, too long to be reached in any run.
const LIMIT: Duration = Duration::from_secs(30);

/// The caller of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Caller {
    Guest,
    User(UserId),
    System,
}

impl Caller {
    fn principal(self) -> Principal {
        match self {
            Self::Guest => Principal::Anonymous,
            Self::User(id) => Principal::User { id, session: 0, permissions: Arc::default() },
            Self::System => Principal::System,
        }
    }
}

/// A call of an operation.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) caller: Caller,
    pub(crate) operation: &'static str,
    pub(crate) path: Vec<(&'static str, String)>,
    pub(crate) body: Value,
}

/// The status and JSON body of an answer.
pub(crate) type Answer = (u16, Value);

/// All calls with a key, and their final answers once known. It outlives the node.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) calls: Mutex<BTreeMap<String, (Call, Option<Answer>)>>,
    trace: Mutex<Trace>,
}

struct Trace(Context);

impl Default for Trace {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl Log {
    /// Adds a line to the trace of the run, and prints it when `PROMOX_SIM_TRACE` is set.
    pub(crate) fn record(&self, line: &str) {
        if std::env::var_os("PROMOX_SIM_TRACE").is_some() {
            println!("{line}");
        }
        let mut trace = self.trace.lock();
        trace.0.update(line.as_bytes());
        trace.0.update(b"\n");
    }

    /// A digest of the trace so far.
    pub(crate) fn digest(&self) -> Vec<u8> {
        self.trace.lock().0.clone().finish().as_ref().to_vec()
    }

    /// The calls of an operation that were answered with `status`: key, call and body of the answer.
    pub(crate) fn answers(&self, operation: &str, status: u16) -> Vec<(String, Call, Value)> {
        let calls = self.calls.lock();
        let of_operation = calls.iter().filter(|(_, (call, _))| call.operation == operation);
        let answered = of_operation.filter_map(|(key, (call, answer))| {
            let (found, body) = answer.as_ref()?;
            (*found == status).then(|| (key.clone(), call.clone(), body.clone()))
        });
        answered.collect()
    }

    /// The calls without a final answer, with their keys.
    pub(crate) fn undecided(&self) -> Vec<(String, Call)> {
        let calls = self.calls.lock();
        let open = calls.iter().filter(|(_, (_, answer))| answer.is_none());
        open.map(|(key, (call, _))| (key.clone(), call.clone())).collect()
    }
}

/// A client of the node, with the log of its calls. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) promox: Arc<Promox>,
    pub(crate) log: Arc<Log>,
}

impl Client {
    /// Calls with a key, and repeats the call while the outcome is open. Returns `None` when it stays open.
    pub(crate) async fn call_until_final(&self, key: &str, call: &Call) -> Option<Answer> {
        for pause in [100, 500, 2_000, 15_000, 60_000] {
            if let Some(answer) = self.call_with_key(key, call).await {
                return Some(answer);
            }
            self.promox.node().clock.sleep(Duration::from_millis(pause)).await;
        }
        None
    }

    /// Calls with a key once. Returns `None` while the outcome is open.
    async fn call_with_key(&self, key: &str, call: &Call) -> Option<Answer> {
        self.log.calls.lock().entry(key.to_owned()).or_insert_with(|| (call.clone(), None));
        let answer = self.run(key, call).await;
        self.log.record(&format!("{} {key} {} {answer:?}", self.promox.node().clock.now(), call.operation));
        let answer = answer?;
        let before = self.log.calls.lock().get_mut(key).and_then(|logged| logged.1.replace(answer.clone()));
        assert!(before.as_ref().is_none_or(|before| *before == answer), "{key}: {before:?}, then {answer:?}");
        Some(answer)
    }

    /// Calls without a key, once. Returns `None` when the outcome is unknown.
    pub(crate) async fn call_once(&self, call: &Call) -> Option<Answer> {
        let answer = self.run("", call).await;
        self.log.record(&format!("{} {} {answer:?}", self.promox.node().clock.now(), call.operation));
        answer
    }

    async fn run(&self, key: &str, call: &Call) -> Option<Answer> {
        let node = self.promox.node();
        let entry = node.registry().ok()?.entries().iter().find(|entry| entry.name == call.operation).expect(key);
        let mut cx = Cx { principal: call.caller.principal(), ..Cx::system(node, key, LIMIT) };
        let request = request(call);
        if entry.replay == Replay::No || key.is_empty() {
            return final_answer(entry.run(cx, request).await.and_then(answer_of), call);
        }
        cx.claim = Some(Arc::new(claim(entry, key, call)));
        match entry.run(cx, request).await {
            Ok(response) if response.status == 202 => None,
            Ok(response) => answer_of(response).ok(),
            Err(error) if error.code() == "IDEMPOTENCY_IN_PROGRESS" => None,
            Err(error) => {
                assert_ne!(error.code(), "IDEMPOTENCY_KEY_REUSED", "{key} was used for another request");
                final_answer(Err(error), call)
            }
        }
    }

    /// The answer that the store keeps for a key.
    pub(crate) async fn stored_answer(&self, key: &str, call: &Call) -> Option<Answer> {
        let registry = self.promox.node().registry().unwrap();
        let entry = registry.entries().iter().find(|entry| entry.name == call.operation).unwrap();
        match self.key_database(entry.service).recall(&claim(entry, key, call)).await.unwrap() {
            Recall::Decided(response) => answer_of(response).ok(),
            _ => None,
        }
    }

    /// The database that keeps the idempotency keys of a service.
    fn key_database(&self, service: &str) -> Db {
        let in_promox = ["campaign", "promotion", "flashsale", "coupon", "reward", "analytics"].contains(&service);
        self.promox.database(if in_promox { Database::Promox } else { Database::Ecommerce })
    }
}

fn request(call: &Call) -> Request {
    let body = if call.body.is_null() { Vec::new() } else { call.body.to_string().into_bytes() };
    let path = call.path.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Request { path, query: Vec::new(), body: body.into(), raw: None }
}

fn claim(entry: &Entry, key: &str, call: &Call) -> Claim {
    let text = format!("{} {:?} {}", call.operation, call.path, call.body);
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(aws_lc_rs::digest::digest(&SHA256, text.as_bytes()).as_ref());
    let caller = call.caller.principal().name();
    Claim { caller, key: key.to_owned(), fingerprint, status: entry.status, recorded: OnceLock::new() }
}

fn answer_of(response: Response) -> Result<Answer, Error> {
    let body = match &response.content {
        Content::Json(text) | Content::Bytes(_, text) => serde_json::from_slice(text).map_err(Error::internal)?,
        _ => Value::Null,
    };
    Ok((response.status, body))
}

/// The answer, or `None` when the outcome is open because the store has stopped, is busy or is full. Panics on an
/// internal error, which is a bug.
fn final_answer(result: Result<Answer, Error>, call: &Call) -> Option<Answer> {
    match result {
        Ok(answer) => Some(answer),
        Err(error) if matches!(error.kind(), Kind::Unavailable | Kind::Full) => None,
        Err(error) if error.kind() == Kind::Internal => panic!("{call:?}: {error} {:?}", error.cause()),
        Err(error) => Some((400, json!({"code": error.code(), "message": error.message(), "errors": error.errors()}))),
    }
}
