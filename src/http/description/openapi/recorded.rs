//! The codes of an operation's refusals by status: those that follow from its declaration, and those that its rules give.
//!
//! The latter are in `codes.json`, and answers of successes in `answers.json`. Both are recorded by the tests, which refuse a
//! code that is not listed here: CONTRIBUTING.md says how. Refusals of requests that may be repeated later depend on timing,
//! so tests meet them by chance; their codes are added to `codes.json` by hand. Of operations that no test sees succeed, the answer is that of
//! another operation with the same schema, or written by hand.

use std::collections::{BTreeMap, BTreeSet};

use promox_contract::codes;
use promox_kernel::{Access, BodyKind, Entry, Replay};
use serde_json::{Map, Value, json};

use super::operation::takes_if_match;

/// The recorded codes by operation and status.
const CODES: &str = include_str!("codes.json");
/// The recorded answers by operation.
const ANSWERS: &str = include_str!("answers.json");

/// What the tests recorded; parsed once per document.
pub(super) struct Recorded {
    codes: Map<String, Value>,
    answers: Map<String, Value>,
}

impl Recorded {
    pub(super) fn read() -> Self {
        let read = |text: &str| serde_json::from_str(text).unwrap_or_default();
        Self { codes: read(CODES), answers: read(ANSWERS) }
    }

    /// An answer of the operation.
    pub(super) fn answer(&self, operation: &str) -> Option<&Value> {
        self.answers.get(operation)
    }

    /// All codes of the operation by status.
    pub(super) fn codes(&self, entry: &Entry) -> Value {
        let mut all = declared(entry);
        for (status, codes) in self.codes.get(entry.name).and_then(Value::as_object).into_iter().flatten() {
            let codes = codes.as_array().into_iter().flatten().filter_map(Value::as_str);
            if let Ok(status) = status.parse() {
                all.entry(status).or_default().extend(codes);
            }
        }
        all.into_iter().map(|(status, codes)| (status.to_string(), json!(codes))).collect::<Map<_, _>>().into()
    }
}

/// The codes that follow from the declaration of an operation: its access, path, method and body.
fn declared(entry: &Entry) -> BTreeMap<u16, BTreeSet<&'static str>> {
    let mut all: BTreeMap<u16, BTreeSet<&'static str>> = BTreeMap::new();
    let mut add = |status: u16, codes: &[&'static str]| all.entry(status).or_default().extend(codes);
    add(400, &[codes::MALFORMED_QUERY]);
    add(401, &[codes::MALFORMED_AUTHORIZATION]);
    add(422, &[codes::VALIDATION_FAILED]);
    add(429, &[codes::TOO_MANY_REQUESTS]);
    add(431, &[codes::HEAD_TOO_LARGE]);
    add(500, &[codes::DATA_DAMAGED, codes::INTERNAL]);
    add(503, &[codes::BUSY, codes::CIRCUIT_OPEN, codes::DEADLINE_EXCEEDED, codes::SERVICE_BUSY, codes::STARTING]);
    if !matches!(entry.access, Access::Anyone | Access::Signed) {
        add(401, &[codes::KEY_INVALID, codes::SESSION_ENDED, codes::TOKEN_INVALID, codes::UNAUTHENTICATED]);
        add(403, &[codes::FORBIDDEN]);
    }
    if entry.path.contains('{') {
        add(400, &[codes::MALFORMED_PATH]);
        add(404, &[codes::NOT_FOUND]);
    }
    if entry.has_content {
        add(406, &[codes::NOT_ACCEPTABLE]);
    }
    if takes_if_match(entry) {
        add(400, &[codes::MALFORMED_IF_MATCH]);
        add(412, &[codes::VERSION_MISMATCH]);
    }
    if entry.replay == Replay::Keyed {
        add(400, &[codes::MALFORMED_IDEMPOTENCY_KEY]);
        add(409, &[codes::IDEMPOTENCY_IN_PROGRESS]);
        add(422, &[codes::IDEMPOTENCY_KEY_REUSED]);
    }
    if !entry.method.is_safe() {
        add(409, &[codes::CONFLICTING_CHANGES]);
        add(507, &[codes::DISK_FULL]);
    }
    match entry.body {
        BodyKind::Ignored => {}
        BodyKind::Json if matches!(entry.method.as_str(), "GET" | "DELETE") => add(400, &[codes::BODY_NOT_TAKEN]),
        BodyKind::Json | BodyKind::Stream(_) => {
            add(400, &[codes::BODY_CUT, codes::BODY_TIMEOUT, codes::JSON_TOO_DEEP, codes::MALFORMED_JSON]);
            add(413, &[codes::BODY_TOO_LARGE]);
            add(415, &[codes::UNSUPPORTED_MEDIA_TYPE]);
        }
    }
    all
}
