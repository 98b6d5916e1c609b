//! The schemas of the description. A type that is sent and received may have two: a request may leave out members that
//! every response has. The one of requests is then called `…Input`.

use std::collections::{BTreeMap, BTreeSet};

use schemars::Schema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value};

/// Where references point, by what the schema is for, until names are decided. Nothing of the document is there.
const REQUESTS: &str = "/components/schemasOfRequests";
const RESPONSES: &str = "/components/schemasOfResponses";
/// Where they point in the document.
const SCHEMAS: &str = "#/components/schemas/";

/// What refers to schemas.
pub(super) struct Used {
    /// The operations by path and method.
    pub(super) paths: Value,
    /// The messages that are sent to the merchant's systems.
    pub(super) webhooks: Value,
}

/// All schemas, while the operations are described.
pub(super) struct Schemas {
    pub(super) requests: SchemaGenerator,
    pub(super) responses: SchemaGenerator,
    /// The bodies of operations, by name.
    bodies: BTreeMap<String, Value>,
}

fn settings(path: &'static str) -> SchemaSettings {
    SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = path.into();
        settings.meta_schema = None;
    })
}

impl Schemas {
    pub(super) fn new() -> Self {
        Self {
            requests: settings(REQUESTS).into_generator(),
            responses: settings(RESPONSES).for_serialize().into_generator(),
            bodies: BTreeMap::new(),
        }
    }

    /// Adds the body of an operation and returns a reference to it.
    pub(super) fn add_body(&mut self, name: String, schema: Value) -> Value {
        let reference = serde_json::json!({"$ref": format!("{SCHEMAS}{name}")});
        self.bodies.insert(name, schema);
        reference
    }

    /// The schema itself, for one that may be a reference.
    pub(super) fn resolve<'a>(schema: &'a Schema, generator: &'a SchemaGenerator) -> &'a Value {
        let name = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
        name.and_then(|name| generator.definitions().get(name)).unwrap_or(schema.as_value())
    }

    /// The schemas that operations and messages refer to, by their final names, which are put into all references.
    pub(super) fn finish(mut self, used: &mut Used) -> Map<String, Value> {
        let Used { paths, webhooks } = used;
        let bodies = Value::Object(self.bodies.into_iter().collect());
        let mut requests = self.requests.take_definitions(true);
        retain_used(&mut requests, &format!("#{REQUESTS}/"), &[paths, webhooks, &bodies]);
        let mut all = self.responses.take_definitions(true);
        retain_used(&mut all, &format!("#{RESPONSES}/"), &[paths, webhooks, &bodies]);
        let two_formed = two_formed(&requests, &all);
        let name_of = |name: &str| if two_formed.contains(name) { format!("{name}Input") } else { name.to_owned() };
        for (name, schema) in requests {
            all.entry(name_of(&name)).or_insert(schema);
        }
        if let Value::Object(bodies) = bodies {
            all.extend(bodies);
        }
        for schema in all.values_mut().chain([&mut *paths, &mut *webhooks]) {
            each_reference(schema, &mut |reference| {
                if let Some(name) = reference.strip_prefix(&format!("#{REQUESTS}/")) {
                    *reference = format!("{SCHEMAS}{}", name_of(name));
                } else if let Some(name) = reference.strip_prefix(&format!("#{RESPONSES}/")) {
                    *reference = format!("{SCHEMAS}{name}");
                }
            });
            open_booleans(schema);
            bound_integers(schema);
        }
        follow_aliases([&mut *paths, &mut *webhooks], &mut all);
        name_variants(&mut all);
        retain_used(&mut all, SCHEMAS, &[paths, webhooks]);
        close_requests(&mut all, paths, webhooks);
        all
    }
}

/// The names of types whose requests and responses differ, in themselves or in what they refer to.
fn two_formed(requests: &Map<String, Value>, responses: &Map<String, Value>) -> BTreeSet<String> {
    let plain = |schema: &Value| {
        let mut schema = schema.clone();
        each_reference(&mut schema, &mut |reference| {
            *reference = reference.rsplit('/').next().unwrap_or_default().to_owned();
        });
        schema
    };
    let both: Vec<(&String, Value, Value)> = requests
        .iter()
        .filter_map(|(name, request)| Some((name, plain(request), plain(responses.get(name)?))))
        .collect();
    let mut found: BTreeSet<String> =
        both.iter().filter(|(_, request, response)| request != response).map(|(name, ..)| (*name).clone()).collect();
    loop {
        let before = found.len();
        for (name, request, _) in &both {
            let mut request = request.clone();
            let mut refers = false;
            each_reference(&mut request, &mut |reference| refers |= found.contains(reference.as_str()));
            if refers {
                found.insert((*name).clone());
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// Replaces references to schemas that are only another name of one, which not all generators of clients understand.
fn follow_aliases(roots: [&mut Value; 2], all: &mut Map<String, Value>) {
    let targets: BTreeMap<String, String> = all
        .iter()
        .filter_map(|(name, schema)| Some((format!("{SCHEMAS}{name}"), schema.get("$ref")?.as_str()?.to_owned())))
        .collect();
    for schema in all.values_mut().chain(roots) {
        each_reference(schema, &mut |reference| {
            // An alias of an alias takes as many steps; a circle cannot come from types.
            for _ in 0..targets.len() {
                let Some(target) = targets.get(reference) else { break };
                reference.clone_from(target);
            }
        });
    }
}

/// Gives the variants of a schema that have a title a name of their own, because generators of clients cannot refer to what
/// stands in place.
fn name_variants(all: &mut Map<String, Value>) {
    let mut named = Map::new();
    for variant in all.values_mut().filter_map(|schema| schema.get_mut("oneOf")?.as_array_mut()).flatten() {
        if let Some(name) = variant.get("title").and_then(Value::as_str).map(str::to_owned) {
            named.insert(
                name.clone(),
                std::mem::replace(variant, serde_json::json!({"$ref": format!("{SCHEMAS}{name}")})),
            );
        }
    }
    all.extend(named);
}

/// Calls `change` with every reference in a schema: of `$ref`, and of a discriminator's mapping.
fn each_reference(value: &mut Value, change: &mut dyn FnMut(&mut String)) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(reference) if name == "$ref" => change(reference),
                    Value::Object(mapping) if name == "mapping" => {
                        mapping.values_mut().for_each(|target| {
                            if let Value::String(reference) = target {
                                change(reference);
                            }
                        });
                    }
                    _ => each_reference(member, change),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_reference(item, change)),
        _ => {}
    }
}

/// Writes the schema that allows everything as `{}`, which all generators of clients understand, where it is a member's or
/// an item's.
fn open_booleans(value: &mut Value) {
    let open = |schema: &mut Value| {
        if *schema == Value::Bool(true) {
            *schema = Value::Object(Map::new());
        }
    };
    match value {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get_mut("properties") {
                properties.values_mut().for_each(open);
            }
            members.get_mut("items").into_iter().for_each(open);
            members.values_mut().for_each(open_booleans);
        }
        Value::Array(items) => items.iter_mut().for_each(open_booleans),
        _ => {}
    }
}

/// States the bounds of integers, which the names of their formats only suggest.
fn bound_integers(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let (min, max) = match members.get("format").and_then(Value::as_str) {
                Some("int32") => (Some(i64::from(i32::MIN)), i64::from(i32::MAX).unsigned_abs()),
                Some("int64") => (Some(i64::MIN), i64::MAX.unsigned_abs()),
                Some("uint32") => (None, u32::MAX.into()),
                Some("uint64" | "uint") => (None, u64::MAX),
                _ => return members.values_mut().for_each(bound_integers),
            };
            if let Some(min) = min {
                members.entry("minimum").or_insert_with(|| min.into());
            }
            members.entry("maximum").or_insert_with(|| max.into());
        }
        Value::Array(items) => items.iter_mut().for_each(bound_integers),
        _ => {}
    }
}

/// States that an unknown member is refused, in all that only requests have. What responses have too stays open, so that
/// clients survive a new member, and so do messages and their answers.
fn close_requests(all: &mut Map<String, Value>, paths: &Value, webhooks: &Value) {
    let responses: Vec<&Value> = paths
        .as_object()
        .into_iter()
        .flat_map(Map::values)
        .filter_map(Value::as_object)
        .flat_map(Map::values)
        .filter_map(|operation| operation.get("responses"))
        .chain([webhooks])
        .collect();
    let mut answered = all.clone();
    retain_used(&mut answered, SCHEMAS, &responses);
    for (_, schema) in all.iter_mut().filter(|(name, _)| !answered.contains_key(*name)) {
        close(schema);
    }
}

/// Closes the objects in a schema whose members are all listed in one place.
fn close(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let is_split = ["allOf", "anyOf", "oneOf"].iter().any(|name| members.contains_key(*name));
            if members.get("properties").is_some_and(Value::is_object) && !is_split {
                members.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// Removes the schemas that cannot be reached from the roots by references with this prefix.
fn retain_used(schemas: &mut Map<String, Value>, prefix: &str, roots: &[&Value]) {
    let names = |value: &Value| {
        let mut found = Vec::new();
        each_reference(&mut value.clone(), &mut |reference| {
            found.extend(reference.strip_prefix(prefix).map(str::to_owned));
        });
        found
    };
    let mut used = BTreeSet::new();
    let mut open: Vec<String> = roots.iter().flat_map(|root| names(root)).collect();
    while let Some(name) = open.pop() {
        if let Some(schema) = schemas.get(&name).filter(|_| used.insert(name.clone())) {
            open.extend(names(schema));
        }
    }
    schemas.retain(|name, _| used.contains(name));
}
