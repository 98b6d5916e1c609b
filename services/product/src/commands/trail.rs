//! The content of a change's audit entry: the members that differ, truncated.

use serde_json::{Map, Value};

/// Longer texts are truncated.
const LONGEST_TEXT: usize = 80;
/// Longer lists and objects are only counted.
const LONGEST_JSON: usize = 160;

/// The members that differ, before and after; null for an object that did not or does not exist.
pub(super) fn difference(before: &Value, after: &Value) -> (Value, Value) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => (kept(old, new), kept(new, old)),
        (Value::Object(old), _) => (kept(old, &Map::new()), Value::Null),
        (_, Value::Object(new)) => (Value::Null, kept(new, &Map::new())),
        _ => (Value::Null, Value::Null),
    }
}

fn kept(own: &Map<String, Value>, other: &Map<String, Value>) -> Value {
    let skipped = ["version", "updatedAt", "createdAt", "id"];
    let differ = own.iter().filter(|(name, value)| other.get(*name) != Some(value));
    differ
        .filter(|(name, _)| !skipped.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), brief(value)))
        .collect()
}

fn brief(value: &Value) -> Value {
    match value {
        Value::String(text) if text.chars().count() > LONGEST_TEXT => {
            Value::String(text.chars().take(LONGEST_TEXT).chain(['…']).collect())
        }
        Value::Array(items) if value.to_string().len() > LONGEST_JSON => format!("{} items", items.len()).into(),
        Value::Object(members) if value.to_string().len() > LONGEST_JSON => format!("{} members", members.len()).into(),
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_differs_is_kept_and_briefly() {
        let (before, after) =
            (json!({"a": 1, "b": "x", "version": 1}), json!({"a": 1, "b": "y".repeat(300), "version": 2}));
        let (old, new) = difference(&before, &after);
        assert_eq!(old, json!({"b": "x"}));
        assert_eq!(new["b"].as_str().unwrap().chars().count(), LONGEST_TEXT + 1);
        assert_eq!(difference(&Value::Null, &json!({"a": 1})), (Value::Null, json!({"a": 1})));
    }
}
