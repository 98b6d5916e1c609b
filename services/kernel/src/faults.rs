//! Finds every fault of a request, not only the first.
//!
//! Deserialization stops at the first fault. Then each value of the body is deserialized alone, with only the objects
//! and lists around it, and missing members are found by the operation's schema. Valid requests pay nothing for this.

use serde_json::{Map, Value};

use crate::FieldError;

/// Values that are checked individually; in a larger body, the first ones.
const MOST_VALUES: usize = 500;
/// The maximum number of reported faults.
const MOST_FAULTS: usize = 100;
/// The code of a missing member.
pub(crate) const MISSING: &str = "MISSING";

/// A step from a value to one inside it.
#[derive(Clone, Debug)]
enum Step {
    Member(String),
    Item(usize),
}

/// Faults in the order in which they are found, one per place.
#[derive(Debug, Default)]
pub(crate) struct Found(Vec<FieldError>);

impl Found {
    pub(crate) fn add(&mut self, fault: FieldError) {
        if self.0.len() < MOST_FAULTS && self.0.iter().all(|known| known.pointer != fault.pointer) {
            self.0.push(fault);
        }
    }

    pub(crate) fn into_errors(self) -> Vec<FieldError> {
        self.0
    }
}

/// Deserializes each value of a body alone with `read`, which returns the faults of a body.
pub(crate) fn of_values(body: &Value, found: &mut Found, read: &mut dyn FnMut(&str) -> Vec<FieldError>) {
    let mut values = Vec::new();
    collect(body, &mut Vec::new(), &mut values);
    for (steps, value) in values {
        let alone = steps.iter().rev().fold(value.clone(), |inner, step| match step {
            Step::Member(name) => Value::Object(Map::from_iter([(name.clone(), inner)])),
            Step::Item(_) => Value::Array(vec![inner]),
        });
        // Members missing around the value were left out on purpose.
        for fault in read(&alone.to_string()).into_iter().filter(|fault| fault.code != MISSING) {
            found.add(FieldError { pointer: placed(&fault.pointer, &steps), ..fault });
        }
    }
}

/// The leaf values, with the path to each.
fn collect<'a>(value: &'a Value, way: &mut Vec<Step>, values: &mut Vec<(Vec<Step>, &'a Value)>) {
    if values.len() == MOST_VALUES {
        return;
    }
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                way.push(Step::Member(name.clone()));
                collect(value, way, values);
                way.pop();
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (at, value) in items.iter().enumerate() {
                way.push(Step::Item(at));
                collect(value, way, values);
                way.pop();
            }
        }
        _ => values.push((way.clone(), value)),
    }
}

/// Maps a pointer into a body in which every list has one item to one into the original body.
fn placed(pointer: &str, steps: &[Step]) -> String {
    let parts = pointer.split('/').skip(1).enumerate();
    let part = |(depth, part): (usize, &str)| match steps.get(depth) {
        Some(Step::Item(at)) if part == "0" => format!("/{at}"),
        _ => format!("/{part}"),
    };
    if pointer.starts_with('/') { parts.map(part).collect() } else { pointer.to_owned() }
}

/// Adds the members that `schema` requires and the body lacks. `known` says which members come from elsewhere.
pub(crate) fn of_absence(schema: &Value, body: &Value, found: &mut Found, known: &dyn Fn(&str) -> bool) {
    Absence { root: schema }.check(schema, body, "", found, known);
}

struct Absence<'a> {
    root: &'a Value,
}

impl<'a> Absence<'a> {
    fn check(&self, schema: &'a Value, value: &Value, pointer: &str, found: &mut Found, known: &dyn Fn(&str) -> bool) {
        let schema = self.resolve(schema);
        match value {
            Value::Object(members) => {
                let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
                for name in required.filter(|name| !members.contains_key(*name) && !known(name)) {
                    found.add(missing(format!("{pointer}/{name}"), name));
                }
                for (name, value) in members {
                    if let Some(inner) = schema["properties"].get(name) {
                        self.check(inner, value, &format!("{pointer}/{name}"), found, &|_| false);
                    }
                }
            }
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.check(&schema["items"], item, &format!("{pointer}/{at}"), found, &|_| false);
                }
            }
            _ => {}
        }
    }

    /// Resolves references, and the value schema of nullable members.
    fn resolve(&self, mut schema: &'a Value) -> &'a Value {
        for _ in 0..8 {
            let reference = schema["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
            let not_null = || schema["anyOf"].as_array()?.iter().find(|one| one["type"] != "null");
            match reference.and_then(|it| self.root.pointer(it)).or_else(not_null) {
                Some(inner) => schema = inner,
                None => break,
            }
        }
        schema
    }
}

/// The fault of a missing member.
pub(crate) fn missing(pointer: String, name: &str) -> FieldError {
    FieldError { pointer, code: MISSING.into(), detail: format!("{name} is missing") }
}
