//! Records answers for `/openapi.json`: the codes of refusals and one success of each operation.
//!
//! With `PROMOX_RECORD_ANSWERS=DIR` every test appends what it gets to a file in DIR, and with `PROMOX_MERGE_ANSWERS=DIR` the
//! test below adds the contents of these files to those that the description is made from.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

/// Maximum length of an example. Lists are cut to one item.
const MAX_EXAMPLE: usize = 4_000;
/// Members whose values are secrets, or differ with each answer to no purpose.
const SECRETS: [&str; 10] = [
    "accessToken",
    "refreshToken",
    "token",
    "key",
    "orderToken",
    "clientSecret",
    "secret",
    "cartToken",
    "url",
    "publishableKey",
];

fn directory(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from)
}

/// Whether the tests run in order to record.
pub(crate) fn is_on() -> bool {
    directory("PROMOX_RECORD_ANSWERS").is_some()
}

/// Appends an answer to this process's file.
pub(crate) fn append(operation: &str, status: u16, media_type: &str, bytes: &[u8]) {
    let Ok(body) = serde_json::from_slice::<Value>(bytes) else { return };
    let is_success = (200..300).contains(&status) && media_type == "application/json";
    if !is_success && body["code"].is_null() {
        return;
    }
    let content = if is_success { example(body) } else { body["code"].clone() };
    if content.to_string().len() > MAX_EXAMPLE {
        return;
    }
    let line = json!([operation, status, content]).to_string() + "\n";
    let file = directory("PROMOX_RECORD_ANSWERS").unwrap().join(std::process::id().to_string());
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
    file.write_all(line.as_bytes()).unwrap();
}

/// An answer as an example: with one item of each list, and without secrets.
fn example(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().take(1).map(example).collect(),
        Value::Object(members) => {
            let shown = |(name, value): (String, Value)| {
                let is_secret = SECRETS.contains(&name.as_str()) && value.is_string();
                let value = if is_secret { json!("example") } else { example(value) };
                (name, value)
            };
            Value::Object(members.into_iter().map(shown).collect())
        }
        other => other,
    }
}

/// How much an example shows: members and items that are not empty.
fn richness(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(|item| 1 + richness(item)).sum(),
        Value::Object(members) => members.values().map(|member| 1 + richness(member)).sum(),
        Value::Null => 0,
        _ => 1,
    }
}

fn path_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/description/openapi").join(name)
}

fn read<T: serde::de::DeserializeOwned>(name: &str) -> T {
    serde_json::from_str(&std::fs::read_to_string(path_of(name)).unwrap()).unwrap()
}

fn write(name: &str, value: &impl serde::Serialize) {
    std::fs::write(path_of(name), serde_json::to_string_pretty(value).unwrap() + "\n").unwrap();
}

#[test]
fn recorded_answers_are_merged() {
    let mut codes: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = read("codes.json");
    let mut answers: Map<String, Value> = read("answers.json");
    assert!(codes.values().flat_map(BTreeMap::keys).all(|status| status.parse::<u16>().is_ok()));
    let Some(directory) = directory("PROMOX_MERGE_ANSWERS") else { return };
    let mut best: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for file in std::fs::read_dir(directory).unwrap() {
        for line in std::fs::read_to_string(file.unwrap().path()).unwrap().lines() {
            let (operation, status, content): (String, u16, Value) = serde_json::from_str(line).unwrap();
            match content {
                Value::String(code) if status >= 400 => {
                    codes.entry(operation).or_default().entry(status.to_string()).or_default().insert(code);
                }
                // An example that is there stays, so that a recording changes no more than it has to.
                content if !answers.contains_key(&operation) => {
                    let candidate = (richness(&content), content.to_string());
                    let known = best.entry(operation).or_default();
                    if *known < candidate {
                        *known = candidate;
                    }
                }
                _ => {}
            }
        }
    }
    answers.extend(best.into_iter().map(|(name, (_, text))| (name, serde_json::from_str(&text).unwrap())));
    write("codes.json", &codes);
    write("answers.json", &answers);
}
