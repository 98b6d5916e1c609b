//! Bodies with values that cannot be read: those are left out, or replaced by valid placeholders where something is required, so
//! that the rest can be checked and all faults are reported at once.

use serde_json::{Map, Value, json};

use crate::codes;
use crate::faults::Schemas;
use crate::{Error, FieldError};

/// The maximum depth of a placeholder.
const MAX_DEPTH: usize = 8;

/// A body without the values that cannot be read; `None` if they cannot be replaced.
pub(crate) fn mended(schema: &Value, body: &Value, faults: &[FieldError]) -> Option<Value> {
    let schemas = Schemas { root: schema };
    let mut body = if body.is_object() { body.clone() } else { json!({}) };
    for fault in faults {
        let path: Vec<&str> = fault.pointer.strip_prefix('/')?.split('/').collect();
        mend(schemas, schema, &mut body, &path, fault)?;
    }
    Some(body)
}

/// The faults of a mended request that are not about a mended value, nor about what it is in.
pub(crate) fn others(refused: &Error, mended: &[FieldError]) -> Vec<FieldError> {
    let within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let related = |one: &str, other: &str| within(one, other) || within(other, one);
    let is_new = |fault: &&FieldError| mended.iter().all(|known| !related(&fault.pointer, &known.pointer));
    refused.errors().iter().filter(is_new).cloned().collect()
}

fn mend(schemas: Schemas<'_>, schema: &Value, value: &mut Value, path: &[&str], fault: &FieldError) -> Option<()> {
    let (name, rest) = path.split_first()?;
    if let Value::Array(items) = value {
        let (schema, item) = (schemas.item(schema), items.get_mut(name.parse::<usize>().ok()?)?);
        if rest.is_empty() {
            *item = placeholder(schemas, schema, 0)?;
            return Some(());
        }
        return mend(schemas, schema, item, rest, fault);
    }
    let Value::Object(members) = value else { return None };
    let (inner, required) = schemas.member(schema, members, name);
    match (members.get_mut(*name), rest) {
        (Some(member), [_, ..]) => return mend(schemas, inner?, member, rest, fault),
        (None, [_, ..]) => {}
        _ if required && fault.code != codes::UNKNOWN_MEMBER => {
            let good = placeholder(schemas, inner?, 0)?;
            members.insert((*name).to_owned(), good);
        }
        _ => {
            members.remove(*name);
        }
    }
    Some(())
}

/// A small value that is valid by a schema.
fn placeholder(schemas: Schemas<'_>, schema: &Value, depth: usize) -> Option<Value> {
    let schema = schemas.resolve(schema);
    let given = ["const", "default", "example"].iter().find_map(|name| schema.get(name));
    if let Some(given) = given.or_else(|| schema["enum"].get(0)).or_else(|| schema["examples"].get(0)) {
        return Some(given.clone());
    }
    if let Some(variant) = schema["oneOf"].get(0).filter(|_| depth < MAX_DEPTH) {
        return placeholder(schemas, variant, depth + 1);
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"].get(0)?.as_str())?;
    Some(match kind {
        "boolean" => json!(false),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        "array" => json!([]),
        "object" if depth < MAX_DEPTH => {
            let mut members = Map::new();
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                members.insert(name.to_owned(), placeholder(schemas, schema["properties"].get(name)?, depth + 1)?);
            }
            Value::Object(members)
        }
        "string" => match schema["format"].as_str() {
            Some("date-time") => json!("2000-01-01T00:00:00Z"),
            Some("date") => json!("2000-01-01"),
            Some("email") => json!("a@example.com"),
            _ => json!("xxxxxxxx"),
        },
        _ => return None,
    })
}
