//! The content of an audit entry: the members that a change made differ, shortened.

use serde_json::{Map, Value};

/// Maximum characters of a text. Longer ones are truncated.
const MAX_TEXT_LEN: usize = 80;
/// Maximum bytes of a list or object as JSON. Longer ones are replaced by the number of their items or members.
const MAX_JSON_LEN: usize = 160;

/// The members that differ, before and after the change. Null stands for an object that does not exist.
pub(super) fn difference(before: &Value, after: &Value) -> (Value, Value) {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => (changed_members(old, new), changed_members(new, old)),
        (Value::Object(old), _) => (changed_members(old, &Map::new()), Value::Null),
        (_, Value::Object(new)) => (Value::Null, changed_members(new, &Map::new())),
        _ => (Value::Null, Value::Null),
    }
}

/// The members of `own` that differ from those of `other`, without ids, versions and times.
fn changed_members(own: &Map<String, Value>, other: &Map<String, Value>) -> Value {
    let ignored = ["version", "updatedAt", "createdAt", "id"];
    let differ = own.iter().filter(|(name, value)| other.get(*name) != Some(value));
    differ
        .filter(|(name, _)| !ignored.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), shortened(value)))
        .collect()
}

/// The value, or what stands for it if it is too long.
fn shortened(value: &Value) -> Value {
    match value {
        Value::String(text) if text.chars().count() > MAX_TEXT_LEN => {
            Value::String(text.chars().take(MAX_TEXT_LEN).chain(['…']).collect())
        }
        Value::Array(items) if value.to_string().len() > MAX_JSON_LEN => format!("{} items", items.len()).into(),
        Value::Object(members) if value.to_string().len() > MAX_JSON_LEN => format!("{} members", members.len()).into(),
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_members_that_differ_are_included_and_long_texts_are_truncated() {
        let (before, after) =
            (json!({"a": 1, "b": "x", "version": 1}), json!({"a": 1, "b": "y".repeat(300), "version": 2}));
        let (old, new) = difference(&before, &after);
        assert_eq!(old, json!({"b": "x"}));
        assert_eq!(new["b"].as_str().unwrap().chars().count(), MAX_TEXT_LEN + 1);
        assert_eq!(difference(&Value::Null, &json!({"a": 1})), (Value::Null, json!({"a": 1})));
    }
}
