//! Finds every fault of a request, not only the first.
//!
//! Whoever checks values collects what is wrong with them in [`Faults`]. Reading stops at the first fault. When there is one, each value of the body is read alone, with nothing around it but the
//! objects and lists that it stands in, and what is missing is found by the description of the operation. All of that costs
//! nothing for what is read without a fault.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::{Error, FieldError};

/// Values that are checked individually; in a larger body, the first ones.
const MAX_VALUES: usize = 500;
/// The maximum number of reported faults.
const MAX_FAULTS: usize = 100;
/// The code of a missing member.
pub(crate) const MISSING: &str = "MISSING";

/// A step from a value to one inside it.
#[derive(Clone, Debug)]
enum Step {
    Member(String),
    Item(usize),
}

/// Collects the faults of one request, so that all are answered at once.
#[derive(Debug, Default)]
pub struct Faults {
    prefix: String,
    list: Vec<FieldError>,
}

impl Faults {
    /// A collector for a part of a request: `prefix` goes before the pointers that are given to it.
    pub fn below(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), list: Vec::new() }
    }

    /// Notes a fault of the general code `INVALID_VALUE`.
    pub fn note(&mut self, pointer: impl AsRef<str>, detail: impl Into<String>) {
        let fault = FieldError::new(format!("{}{}", self.prefix, pointer.as_ref()), detail);
        self.list.push(fault);
    }

    /// Notes a fault with a code of its own.
    pub fn code(&mut self, pointer: impl AsRef<str>, code: impl Into<Cow<'static, str>>, detail: impl Into<String>) {
        let pointer = format!("{}{}", self.prefix, pointer.as_ref());
        self.list.push(FieldError { pointer, code: code.into(), detail: detail.into() });
    }

    /// Notes a member that is missing.
    pub fn missing(&mut self, pointer: impl AsRef<str>, detail: impl Into<String>) {
        self.code(pointer, MISSING, detail);
    }

    /// Adds a fault whose pointer is whole.
    pub fn add(&mut self, fault: FieldError) {
        self.list.push(fault);
    }

    /// Adds a fault whose pointer is whole, unless there is one at that place or there are very many.
    pub(crate) fn add_once(&mut self, fault: FieldError) {
        if self.list.len() < MAX_FAULTS && self.list.iter().all(|known| known.pointer != fault.pointer) {
            self.list.push(fault);
        }
    }

    /// The value, or `None` and its fault noted.
    pub fn take<T>(&mut self, pointer: impl AsRef<str>, checked: Result<T, String>) -> Option<T> {
        checked.map_err(|detail| self.note(pointer, detail)).ok()
    }

    /// [`Faults::take`] for a member that may be left out.
    pub fn optional<T>(
        &mut self,
        pointer: impl AsRef<str>,
        value: Option<&str>,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        value.and_then(|value| self.take(pointer, check(value)))
    }

    /// What `read` reads at the prefix, or `None` and its faults added.
    pub fn read<T>(&mut self, read: impl FnOnce(&str) -> Result<T, Vec<FieldError>>) -> Option<T> {
        read(&self.prefix).map_err(|found| self.list.extend(found)).ok()
    }

    /// Whether there are no faults.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The faults in the order in which they were found.
    pub fn into_list(self) -> Vec<FieldError> {
        self.list
    }

    /// Fails when there are faults.
    pub fn finish(self) -> Result<(), Error> {
        if self.list.is_empty() { Ok(()) } else { Err(Error::invalid(self.list)) }
    }
}

impl Extend<FieldError> for Faults {
    fn extend<I: IntoIterator<Item = FieldError>>(&mut self, faults: I) {
        self.list.extend(faults);
    }
}

impl FromIterator<FieldError> for Faults {
    fn from_iter<I: IntoIterator<Item = FieldError>>(faults: I) -> Self {
        Self { prefix: String::new(), list: faults.into_iter().collect() }
    }
}

/// Reads each value of a body alone by `read`, which gives the faults of a body.
pub(crate) fn of_values(body: &Value, found: &mut Faults, read: &mut dyn FnMut(&str) -> Vec<FieldError>) {
    let mut values = Vec::new();
    collect(body, &mut Vec::new(), &mut values);
    for (steps, value) in values {
        let alone = steps.iter().rev().fold(value.clone(), |inner, step| match step {
            Step::Member(name) => Value::Object(Map::from_iter([(name.clone(), inner)])),
            Step::Item(_) => Value::Array(vec![inner]),
        });
        // Members missing around the value were left out on purpose.
        for fault in read(&alone.to_string()).into_iter().filter(|fault| fault.code != MISSING) {
            found.add_once(FieldError { pointer: placed(&fault.pointer, &steps), ..fault });
        }
    }
}

/// The leaf values, with the path to each.
fn collect<'a>(value: &'a Value, way: &mut Vec<Step>, values: &mut Vec<(Vec<Step>, &'a Value)>) {
    if values.len() == MAX_VALUES {
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

/// Adds what a body leaves out that its `schema` asks for. `known` says which members of the whole come from elsewhere.
pub(crate) fn of_absence(schema: &Value, body: &Value, found: &mut Faults, known: &dyn Fn(&str) -> bool) {
    Absence { root: schema }.check(schema, body, "", found, known);
}

struct Absence<'a> {
    root: &'a Value,
}

impl<'a> Absence<'a> {
    fn check(&self, schema: &'a Value, value: &Value, pointer: &str, found: &mut Faults, known: &dyn Fn(&str) -> bool) {
        let schema = self.resolve(schema);
        match value {
            Value::Object(members) => {
                let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
                for name in required.filter(|name| !members.contains_key(*name) && !known(name)) {
                    found.add_once(missing(format!("{pointer}/{name}"), name));
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
            let reference = schema["$ref"].as_str().and_then(|item| item.strip_prefix('#'));
            let not_null = || schema["anyOf"].as_array()?.iter().find(|one| one["type"] != "null");
            match reference.and_then(|item| self.root.pointer(item)).or_else(not_null) {
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
