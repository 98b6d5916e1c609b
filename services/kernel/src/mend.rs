//! Bodies with values that cannot be read: those are left out, or replaced by valid placeholders where something is required, so
//! that the rest can be checked and all faults are reported at once.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::codes;
use crate::faults::Schemas;
use crate::pointer::unescaped;
use crate::{Error, FieldError};

/// The maximum depth of a placeholder.
const MAX_DEPTH: usize = 8;

/// A body without the values that cannot be read; `None` if they cannot be replaced. Faults of the query are left.
pub(crate) fn mended(schema: &Value, body: &Value, faults: &[FieldError]) -> Option<Value> {
    let schemas = Schemas { root: schema };
    let mut body = if body.is_object() { body.clone() } else { json!({}) };
    for fault in faults {
        let Some(pointer) = fault.pointer.strip_prefix('/') else { continue };
        let path: Vec<_> = pointer.split('/').map(unescaped).collect();
        mend(schemas, schema, &mut body, &path, fault)?;
    }
    Some(body)
}

/// The faults of a mended request that are not about a mended value, about what it is in, or about what depends on it.
pub(crate) fn others(refused: &Error, mended: &[FieldError]) -> Vec<FieldError> {
    let within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    // Without its type, an action or the like is replaced as a whole.
    let place = |known: &FieldError| match known.pointer.rsplit_once('/') {
        Some((parent, "type")) if known.code != codes::UNKNOWN_MEMBER && !parent.is_empty() => parent.to_owned(),
        _ => known.pointer.clone(),
    };
    let places: Vec<String> = mended.iter().map(place).collect();
    let related = |one: &str, other: &str| within(one, other) || within(other, one);
    let is_about = |fault: &FieldError, place: &str| {
        related(&fault.pointer, place) || fault.depends_on.iter().any(|other| related(other, place))
    };
    let is_new = |fault: &&FieldError| !places.iter().any(|place| is_about(fault, place));
    refused.errors().iter().filter(is_new).cloned().collect()
}

fn mend(
    schemas: Schemas<'_>,
    schema: &Value,
    value: &mut Value,
    path: &[Cow<'_, str>],
    fault: &FieldError,
) -> Option<()> {
    let (name, rest) = path.split_first()?;
    if schemas.names_variant(schema, name) && fault.code != codes::UNKNOWN_MEMBER && rest.is_empty() {
        *value = placeholder(schemas, schema, 0)?;
        return Some(());
    }
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
    match (members.get_mut(name.as_ref()), rest) {
        (Some(member), [_, ..]) => return mend(schemas, inner?, member, rest, fault),
        (None, [_, ..]) => {}
        _ if required && fault.code != codes::UNKNOWN_MEMBER => {
            let good = placeholder(schemas, inner?, 0)?;
            members.insert(name.clone().into_owned(), good);
        }
        _ => {
            members.remove(name.as_ref());
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
