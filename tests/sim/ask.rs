//! Asking the node as the HTTP edge does: a request with a key has one outcome, however often it is asked and whatever
//! happens between; every answer is written down, and one that is known is never answered otherwise.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use parking_lot::Mutex;
use promox::node::Promox;
use promox_kernel::{Claim, Content, Cx, Entry, Error, Kind, Principal, Replay, Request, Response, UserId};
use promox_storage::{Database, Db, Recall};
use serde_json::{Value, json};

/// How long a request may take, by the wall: no seed comes near it.
const LIMIT: Duration = Duration::from_secs(30);

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    Guest,
    User(UserId),
    Shop,
}

impl Who {
    fn principal(self) -> Principal {
        match self {
            Self::Guest => Principal::Anonymous,
            Self::User(id) => Principal::User { id, session: 0, permissions: Arc::default() },
            Self::Shop => Principal::System,
        }
    }
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) who: Who,
    pub(crate) operation: &'static str,
    pub(crate) path: Vec<(&'static str, String)>,
    pub(crate) body: Value,
}

/// A status and the JSON body.
pub(crate) type Answer = (u16, Value);

/// Everything that was asked with a key, and its answer once it was decided. It outlives the node.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) asked: Mutex<BTreeMap<String, (Ask, Option<Answer>)>>,
    trace: Mutex<Trace>,
}

struct Trace(Context);

impl Default for Trace {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl Log {
    /// Adds a line to the story.
    pub(crate) fn tell(&self, line: &str) {
        if std::env::var_os("PROMOX_SIM_TRACE").is_some() {
            println!("{line}");
        }
        let mut trace = self.trace.lock();
        trace.0.update(line.as_bytes());
        trace.0.update(b"\n");
    }

    /// Stands for the whole story so far.
    pub(crate) fn digest(&self) -> Vec<u8> {
        self.trace.lock().0.clone().finish().as_ref().to_vec()
    }

    /// The decided answers of an operation, by key.
    pub(crate) fn answers(&self, operation: &str, status: u16) -> Vec<(String, Ask, Value)> {
        let asked = self.asked.lock();
        let wanted = asked.iter().filter(|(_, (ask, _))| ask.operation == operation);
        let answered = wanted.filter_map(|(key, (ask, answer))| {
            let (found, body) = answer.as_ref()?;
            (*found == status).then(|| (key.clone(), ask.clone(), body.clone()))
        });
        answered.collect()
    }

    /// What was asked and never decided.
    pub(crate) fn undecided(&self) -> Vec<(String, Ask)> {
        let asked = self.asked.lock();
        let open = asked.iter().filter(|(_, (_, answer))| answer.is_none());
        open.map(|(key, (ask, _))| (key.clone(), ask.clone())).collect()
    }
}

/// The node as its clients see it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Clients {
    pub(crate) promox: Arc<Promox>,
    pub(crate) log: Arc<Log>,
}

impl Clients {
    /// Asks with a key, and again while the outcome is open; `None` when it stays so.
    pub(crate) async fn decided(&self, key: &str, ask: &Ask) -> Option<Answer> {
        for pause in [100, 500, 2_000, 15_000, 60_000] {
            if let Some(answer) = self.keyed(key, ask).await {
                return Some(answer);
            }
            self.promox.node().clock.sleep(Duration::from_millis(pause)).await;
        }
        None
    }

    /// Asks with a key once; `None` while the outcome is open.
    async fn keyed(&self, key: &str, ask: &Ask) -> Option<Answer> {
        self.log.asked.lock().entry(key.to_owned()).or_insert_with(|| (ask.clone(), None));
        let answer = self.run(key, ask).await;
        self.log.tell(&format!("{} {key} {} {answer:?}", self.promox.node().clock.now(), ask.operation));
        let answer = answer?;
        let before = self.log.asked.lock().get_mut(key).and_then(|asked| asked.1.replace(answer.clone()));
        assert!(before.as_ref().is_none_or(|before| *before == answer), "{key}: {before:?}, then {answer:?}");
        Some(answer)
    }

    /// Asks without a key: who asks learns what became of it or does not.
    pub(crate) async fn once(&self, ask: &Ask) -> Option<Answer> {
        let answer = self.run("", ask).await;
        self.log.tell(&format!("{} {} {answer:?}", self.promox.node().clock.now(), ask.operation));
        answer
    }

    async fn run(&self, key: &str, ask: &Ask) -> Option<Answer> {
        let node = self.promox.node();
        let entry = node.registry().ok()?.entries().iter().find(|entry| entry.name == ask.operation).expect(key);
        let mut cx = Cx { principal: ask.who.principal(), ..Cx::system(node, key, LIMIT) };
        let request = request(ask);
        if entry.replay == Replay::No || key.is_empty() {
            return open_or(entry.run(cx, request).await.and_then(answer_of), ask);
        }
        cx.claim = Some(Arc::new(claim(entry, key, ask)));
        match entry.run(cx, request).await {
            Ok(response) if response.status == 202 => None,
            Ok(response) => answer_of(response).ok(),
            Err(error) if error.code() == "IDEMPOTENCY_IN_PROGRESS" => None,
            Err(error) => {
                assert_ne!(error.code(), "IDEMPOTENCY_KEY_REUSED", "{key} was used for another request");
                open_or(Err(error), ask)
            }
        }
    }

    /// What the store has kept of a key.
    pub(crate) async fn kept(&self, key: &str, ask: &Ask) -> Option<Answer> {
        let registry = self.promox.node().registry().unwrap();
        let entry = registry.entries().iter().find(|entry| entry.name == ask.operation).unwrap();
        match self.keys_of(entry.service).recall(&claim(entry, key, ask)).await.unwrap() {
            Recall::Decided(response) => answer_of(response).ok(),
            _ => None,
        }
    }

    fn keys_of(&self, service: &str) -> Db {
        let promox = ["campaign", "promotion", "flashsale", "coupon", "reward", "analytics"].contains(&service);
        self.promox.database(if promox { Database::Promox } else { Database::Ecommerce })
    }
}

fn request(ask: &Ask) -> Request {
    let body = if ask.body.is_null() { Vec::new() } else { ask.body.to_string().into_bytes() };
    let path = ask.path.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Request { path, query: Vec::new(), body: body.into(), raw: None }
}

fn claim(entry: &Entry, key: &str, ask: &Ask) -> Claim {
    let asked = format!("{} {:?} {}", ask.operation, ask.path, ask.body);
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(aws_lc_rs::digest::digest(&SHA256, asked.as_bytes()).as_ref());
    let caller = ask.who.principal().name();
    Claim { caller, key: key.to_owned(), fingerprint, status: entry.status, recorded: OnceLock::new() }
}

fn answer_of(response: Response) -> Result<Answer, Error> {
    let body = match &response.content {
        Content::Json(text) | Content::Bytes(_, text) => serde_json::from_slice(text).map_err(Error::internal)?,
        _ => Value::Null,
    };
    Ok((response.status, body))
}

/// An answer, or nothing when the outcome is open: the store has stopped, is busy or full. What is nobody's plan is a bug.
fn open_or(result: Result<Answer, Error>, ask: &Ask) -> Option<Answer> {
    match result {
        Ok(answer) => Some(answer),
        Err(error) if matches!(error.kind(), Kind::Unavailable | Kind::Full) => None,
        Err(error) if error.kind() == Kind::Internal => panic!("{ask:?}: {error} {:?}", error.cause()),
        Err(error) => Some((400, json!({"code": error.code(), "message": error.message(), "errors": error.errors()}))),
    }
}
