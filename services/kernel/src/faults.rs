//! Finds every fault of a request, not only the first one.
//!
//! Validation collects faults in [`Faults`]. Deserialisation stops at the first fault. If it finds one, each value of
//! the body is deserialised again on its own, inside nothing but the objects and lists around it, and missing members
//! are found by the operation's schema. A valid request pays nothing for this.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::pointer::escaped;
use crate::{Error, FieldError};

/// The maximum number of values that are checked individually. In a larger body, the first ones are.
const MAX_VALUES: usize = 500;
/// The maximum number of reported faults.
const MAX_FAULTS: usize = 100;
/// The code of a missing member.
pub(crate) const MISSING: &str = "MISSING";

/// A step from a value to a value inside it.
#[derive(Clone, Debug)]
enum Step {
    Member(String),
    Item(usize),
}

/// Collects the faults of one request, so that one error reports them all.
#[derive(Debug, Default)]
pub struct Faults {
    prefix: String,
    list: Vec<FieldError>,
}

impl Faults {
    /// A collector for a part of a request. It puts `prefix` before every pointer that it is given.
    pub fn below(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), list: Vec::new() }
    }

    /// Records a fault with the general code `INVALID_VALUE`.
    pub fn note(&mut self, pointer: impl AsRef<str>, detail: impl Into<String>) {
        let fault = FieldError::new(format!("{}{}", self.prefix, pointer.as_ref()), detail);
        self.list.push(fault);
    }

    /// Records a fault that compares a member with others, for example an end that is before its start. It is not reported
    /// where one of these could not be read.
    pub fn compared(&mut self, pointer: impl AsRef<str>, others: &[&str], detail: impl Into<String>) {
        let mut fault = FieldError::new(format!("{}{}", self.prefix, pointer.as_ref()), detail);
        fault.depends_on = others.iter().map(|other| format!("{}{other}", self.prefix)).collect();
        self.list.push(fault);
    }

    /// Records a fault with a specific code.
    pub fn code(&mut self, pointer: impl AsRef<str>, code: impl Into<Cow<'static, str>>, detail: impl Into<String>) {
        let pointer = format!("{}{}", self.prefix, pointer.as_ref());
        self.list.push(FieldError::coded(pointer, code, detail));
    }

    /// Records that a member is missing.
    pub fn missing(&mut self, pointer: impl AsRef<str>, detail: impl Into<String>) {
        self.code(pointer, MISSING, detail);
    }

    /// Records that a member is missing that others could replace. It is not reported where one of these could not be read.
    pub fn missing_beside(&mut self, pointer: impl AsRef<str>, others: &[&str], detail: impl Into<String>) {
        self.compared(pointer, others, detail);
        if let Some(fault) = self.list.last_mut() {
            fault.code = MISSING.into();
        }
    }

    /// Adds a fault whose pointer is complete.
    pub fn add(&mut self, fault: FieldError) {
        self.list.push(fault);
    }

    /// Adds a fault whose pointer is complete, unless there is one with the same pointer or the maximum is reached.
    pub(crate) fn add_once(&mut self, fault: FieldError) {
        if self.list.len() < MAX_FAULTS && self.list.iter().all(|known| known.pointer != fault.pointer) {
            self.list.push(fault);
        }
    }

    /// Returns the value of a successful check. Otherwise records the fault and returns `None`.
    pub fn take<T>(&mut self, pointer: impl AsRef<str>, checked: Result<T, String>) -> Option<T> {
        checked.map_err(|detail| self.note(pointer, detail)).ok()
    }

    /// Checks an optional member as [`Faults::take`] does; `None` also if it is absent.
    pub fn optional<T>(
        &mut self,
        pointer: impl AsRef<str>,
        value: Option<&str>,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        value.and_then(|value| self.take(pointer, check(value)))
    }

    /// Returns what `read` reads at the prefix. Otherwise adds its faults and returns `None`.
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

    /// Fails with 422 `VALIDATION_FAILED` if there are faults.
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

/// Adds the faults of each value of a body. `read` returns the faults of a body that contains only that value.
pub(crate) fn find_invalid_values(body: &Value, found: &mut Faults, read: &mut dyn FnMut(&str) -> Vec<FieldError>) {
    let mut values = Vec::new();
    collect(body, &mut Vec::new(), &mut values);
    for (steps, value) in values {
        let isolated = steps.iter().rev().fold(value.clone(), |inner, step| match step {
            Step::Member(name) => Value::Object(Map::from_iter([(name.clone(), inner)])),
            Step::Item(_) => Value::Array(vec![inner]),
        });
        // The members around the value were left out on purpose, so they are not missing.
        for fault in read(&isolated.to_string()).into_iter().filter(|fault| fault.code != MISSING) {
            found.add_once(FieldError { pointer: original_pointer(&fault.pointer, &steps), ..fault });
        }
    }
}

/// Collects the leaf values, each with the path to it.
fn collect<'a>(value: &'a Value, path: &mut Vec<Step>, values: &mut Vec<(Vec<Step>, &'a Value)>) {
    if values.len() == MAX_VALUES {
        return;
    }
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                path.push(Step::Member(name.clone()));
                collect(value, path, values);
                path.pop();
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (at, value) in items.iter().enumerate() {
                path.push(Step::Item(at));
                collect(value, path, values);
                path.pop();
            }
        }
        _ => values.push((path.clone(), value)),
    }
}

/// Converts a pointer into a body whose lists have one item each to a pointer into the original body.
fn original_pointer(pointer: &str, steps: &[Step]) -> String {
    let parts = pointer.split('/').skip(1).enumerate();
    let part = |(depth, part): (usize, &str)| match steps.get(depth) {
        Some(Step::Item(at)) if part == "0" => format!("/{at}"),
        _ => format!("/{part}"),
    };
    if pointer.starts_with('/') { parts.map(part).collect() } else { pointer.to_owned() }
}

/// Adds the members that `schema` requires and a body lacks. `sent_elsewhere` tells which top-level members were sent
/// in path or query.
pub(crate) fn find_missing_members(
    schema: &Value,
    body: &Value,
    found: &mut Faults,
    sent_elsewhere: &dyn Fn(&str) -> bool,
) {
    Schemas { root: schema }.find_missing(schema, body, "", found, sent_elsewhere);
}

/// Schemas that refer to definitions in a root.
#[derive(Clone, Copy)]
pub(crate) struct Schemas<'a> {
    pub(crate) root: &'a Value,
}

impl<'a> Schemas<'a> {
    fn find_missing(
        self,
        schema: &'a Value,
        value: &Value,
        pointer: &str,
        found: &mut Faults,
        known: &dyn Fn(&str) -> bool,
    ) {
        match value {
            Value::Object(members) => {
                let schemas = self.of_object(schema, members);
                let required = schemas.iter().filter_map(|schema| schema["required"].as_array()).flatten();
                for name in
                    required.filter_map(Value::as_str).filter(|name| !members.contains_key(*name) && !known(name))
                {
                    found.add_once(missing(format!("{pointer}/{}", escaped(name))));
                }
                for (name, value) in members {
                    if let (Some(inner), _) = self.member(schema, members, name) {
                        self.find_missing(inner, value, &format!("{pointer}/{}", escaped(name)), found, &|_| false);
                    }
                }
            }
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.find_missing(self.item(schema), item, &format!("{pointer}/{at}"), found, &|_| false);
                }
            }
            _ => {}
        }
    }

    /// The schema of a member of an object, and whether it is required.
    pub(crate) fn member(
        self,
        schema: &'a Value,
        members: &Map<String, Value>,
        name: &str,
    ) -> (Option<&'a Value>, bool) {
        let schemas = self.of_object(schema, members);
        let requires =
            |schema: &&&Value| schema["required"].as_array().is_some_and(|names| names.iter().any(|it| it == name));
        let inner = schemas.iter().find_map(|schema| schema["properties"].get(name));
        let other = || schemas.iter().find_map(|schema| schema.get("additionalProperties").filter(|it| it.is_object()));
        (inner.or_else(other), schemas.iter().any(|schema| requires(&schema)))
    }

    /// Whether the variant of an object is named by this member.
    pub(crate) fn names_variant(self, schema: &'a Value, name: &str) -> bool {
        self.resolve(schema).pointer("/discriminator/propertyName").is_some_and(|it| it == name)
    }

    /// The schema of the items of an array.
    pub(crate) fn item(self, schema: &'a Value) -> &'a Value {
        &self.resolve(schema)["items"]
    }

    /// The schemas that an object has to fit: its own, and the variant that its discriminator names.
    fn of_object(self, schema: &'a Value, members: &Map<String, Value>) -> Vec<&'a Value> {
        let schema = self.resolve(schema);
        let variant = || {
            let name = schema["discriminator"].get("propertyName")?.as_str()?;
            let tag = members.get(name)?;
            let variants = schema["oneOf"].as_array()?.iter().map(|one| self.resolve(one));
            let names = |one: &&Value| one["properties"].get(name).is_some_and(|it| it["const"] == *tag);
            variants.into_iter().find(names)
        };
        std::iter::once(schema).chain(variant()).collect()
    }

    /// Resolves a reference, and a nullable schema to that of its value.
    pub(crate) fn resolve(self, mut schema: &'a Value) -> &'a Value {
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
pub(crate) fn missing(pointer: String) -> FieldError {
    FieldError::coded(pointer, MISSING, "is required")
}
