//! Binds a request to an operation: the members of path, query and body become the fields of one struct.
//!
//! Text in path and query is converted to the field's type; `attr.color=red` becomes the member `color` of the field
//! `attr`. An operation with a JSON body takes no members from the query. An unknown member is an error, so that a typo is
//! never silently ignored, and so is one that is given twice.

mod source;
mod value;

use std::borrow::Cow;
use std::collections::HashSet;

use bytes::Bytes;
use schemars::{Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use crate::codes;
use crate::faults::{self, Faults, MISSING};
use crate::mend;
use crate::pointer::{escaped, unescaped};
use crate::text::stored_form;
use crate::{Body, BodyKind, Error, FieldError, Kind, Method, Op, did_you_mean};
use source::{Members, Source};
use value::{Notes, Place, Unknown, Value};

/// The maximum nesting depth of a JSON body.
const MAX_DEPTH: usize = 32;
/// The maximum number of query parameters.
const MAX_PARAMETERS: usize = 200;

/// The parts of a request that an operation is bound from.
#[derive(Debug, Default)]
pub struct Request {
    /// Path parameters, percent-decoded.
    pub path: Vec<(String, String)>,
    /// Query parameters, decoded, in the order sent.
    pub query: Vec<(String, String)>,
    /// The JSON body; empty if there is none.
    pub body: Bytes,
    /// The raw body of a streaming operation.
    pub raw: Option<Body>,
}

/// Reads a value as some type and keeps the result. All else that binding takes is compiled once for all types.
type Read<'r> = dyn FnMut(Value<'_, '_>) -> Result<(), serde_json::Error> + 'r;

/// What binding has to know of an operation.
struct Shape {
    rules: Rules,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Shape {
    fn of<O: Op>() -> Self {
        let in_query = matches!(O::METHOD, Method::Get | Method::Delete) || O::BODY != BodyKind::Json;
        let rules = Rules { in_query, patched: O::METHOD == Method::Patch };
        Self { rules, schema: O::json_schema }
    }

    /// The schema of the operation with the types that it refers to.
    fn root_schema(&self) -> Json {
        let mut generator = SchemaGenerator::default();
        let mut schema = (self.schema)(&mut generator).to_value();
        let types = generator.take_definitions(true);
        if let Some(members) = schema.as_object_mut().filter(|_| !types.is_empty()) {
            members.insert("$defs".to_owned(), Json::Object(types));
        }
        schema
    }
}

impl Request {
    /// Binds the operation. An invalid request is refused with all of its faults.
    pub fn bind<O: Op>(&mut self) -> Result<O, Error> {
        let mut op: O = keeping(|read| self.bind_shape(&Shape::of::<O>(), read))?;
        if let Some(body) = self.raw.take() {
            op.attach(body);
        }
        Ok(op)
    }

    fn bind_shape(&mut self, shape: &Shape, read: &mut Read<'_>) -> Result<(), Error> {
        if self.query.len() > MAX_PARAMETERS {
            let detail = format!("at most {MAX_PARAMETERS} query parameters; got {}", self.query.len());
            return Err(Error::field("?", detail));
        }
        for (_, text) in self.path.iter_mut().chain(&mut self.query) {
            if let Cow::Owned(normalised) = stored_form(text) {
                *text = normalised;
            }
        }
        let query: Vec<&(String, String)> = self.query.iter().collect();
        match self.read(shape.rules, &query, &self.body, read) {
            Err(error) if error.kind() == Kind::Schema => Err(Error::invalid(self.faults(&error, shape, read))),
            result => result,
        }
    }

    /// Binds the operation with harmless values in place of those of the body that have faults; `None` if that is
    /// impossible.
    pub(crate) fn bind_mended<O: Op>(&self, faults: &[FieldError]) -> Option<O> {
        keeping(|read| self.bind_mended_shape(&Shape::of::<O>(), faults, read)).ok()
    }

    fn bind_mended_shape(&self, shape: &Shape, faults: &[FieldError], read: &mut Read<'_>) -> Result<(), Error> {
        let body = serde_json::from_slice(&self.body).map_err(Error::internal)?;
        let mended = mend::mended(&shape.root_schema(), &body, faults);
        let mended = mended.ok_or_else(|| Error::internal("the body cannot be mended"))?;
        let query = if shape.rules.in_query { self.query.iter().collect() } else { Vec::new() };
        self.read(shape.rules, &query, mended.to_string().as_bytes(), read)
    }

    /// Binds the operation from the path, the given query parameters and a body.
    fn read(&self, rules: Rules, query: &[&(String, String)], body: &[u8], read: &mut Read<'_>) -> Result<(), Error> {
        let mut members = Members::default();
        let (expected, stray) = if rules.in_query { (query, &[][..]) } else { (&[][..], query) };
        for (name, text) in self.path.iter().chain(expected.iter().copied()) {
            members.add_text(name, text);
        }
        let mut unknown = stray.iter().map(|(name, _)| format!("?{name}")).collect();
        add_body(&mut members, body, rules.patched, &mut unknown)?;
        read_members(members, unknown, rules, read)
    }

    /// All faults of an invalid request, starting with those of `first`, the error that binding failed with.
    fn faults(&self, first: &Error, shape: &Shape, read: &mut Read<'_>) -> Vec<FieldError> {
        let Rules { in_query, .. } = shape.rules;
        let mut faults_of = |query: &[&(String, String)], body: &[u8]| {
            self.read(shape.rules, query, body, read).err().map_or_else(Vec::new, |error| error.errors().to_vec())
        };
        let mut found = Faults::default();
        first.errors().iter().cloned().for_each(|fault| found.add_once(fault));
        let names: HashSet<&String> = self.query.iter().map(|(name, _)| name).collect();
        for name in names {
            let same_name: Vec<_> = self.query.iter().filter(|(known, _)| known == name).collect();
            let faults = faults_of(&same_name, b"").into_iter().filter(|fault| fault.code != MISSING);
            faults.for_each(|fault| found.add_once(fault));
        }
        let body = if self.body.is_empty() { Ok(Json::Object(Map::new())) } else { serde_json::from_slice(&self.body) };
        let Ok(body) = body else { return found.into_list() };
        let query: Vec<&(String, String)> = self.query.iter().collect();
        faults::find_invalid_values(&body, &mut found, &mut |part| faults_of(&query, part.as_bytes()));
        let expected = if in_query { &self.query[..] } else { &[] };
        let sent = |name: &str| self.path.iter().chain(expected).any(|(known, _)| known == name);
        let schema = shape.root_schema();
        if in_query {
            let required =
                schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
            let missing = required.filter(|name| !sent(name));
            missing.for_each(|name| found.add_once(faults::missing(format!("?{name}"))));
        } else {
            faults::find_missing_members(&schema, &body, &mut found, &sent);
        }
        found.into_list()
    }
}

/// Reads a JSON document as strictly as a request's body, with the same errors.
pub fn bind_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    keeping(|read| bind_json_body(body, read))
}

fn bind_json_body(body: &[u8], read: &mut Read<'_>) -> Result<(), Error> {
    let mut read_once = |body: &[u8]| {
        let mut members = Members::default();
        add_body(&mut members, body, false, &mut Vec::new())?;
        read_members(members, Vec::new(), Rules::default(), read)
    };
    let error = match read_once(body) {
        Err(error) if error.kind() == Kind::Schema => error,
        other => return other,
    };
    let mut found = Faults::default();
    error.errors().iter().cloned().for_each(|fault| found.add_once(fault));
    let whole = serde_json::from_slice(body).unwrap_or_default();
    faults::find_invalid_values(&whole, &mut found, &mut |part| {
        read_once(part.as_bytes()).err().map_or_else(Vec::new, |error: Error| error.errors().to_vec())
    });
    Err(Error::invalid(found.into_list()))
}

/// Returns the value that `bind` has read last.
fn keeping<T: DeserializeOwned>(bind: impl FnOnce(&mut Read<'_>) -> Result<(), Error>) -> Result<T, Error> {
    let mut kept = None;
    bind(&mut |value| {
        kept = Some(T::deserialize(value)?);
        Ok(())
    })?;
    kept.ok_or_else(|| Error::internal("nothing was bound"))
}

/// How the members of a request are read.
#[derive(Clone, Copy, Default)]
struct Rules {
    /// Whether missing members belong to the query.
    in_query: bool,
    /// Whether the body is a merge patch.
    patched: bool,
}

/// The fault of an unknown member. Suggests the most similar one that its object can have.
fn unknown_member(Unknown { pointer, known }: Unknown) -> FieldError {
    let name = match pointer.strip_prefix('?') {
        Some(name) => name.rsplit('.').next().unwrap_or_default().into(),
        None => unescaped(pointer.rsplit('/').next().unwrap_or_default()),
    };
    let detail = format!("unknown member {name}{}", did_you_mean(&name, known.iter().copied()));
    FieldError::coded(pointer, codes::UNKNOWN_MEMBER, detail)
}

/// The fault of a member that is given twice.
fn duplicate_member(pointer: String) -> FieldError {
    FieldError::coded(pointer, codes::DUPLICATE_MEMBER, "duplicate member")
}

/// Adds the members of a JSON object to those of path and query; an empty body has none. Notes those that path or query
/// have too as unknown.
fn add_body<'a>(
    members: &mut Members<'a>,
    body: &'a [u8],
    patched: bool,
    unknown: &mut Vec<String>,
) -> Result<(), Error> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    if depth(body) > MAX_DEPTH {
        let detail = format!("JSON may nest at most {MAX_DEPTH} levels deep.");
        return Err(Error::new(Kind::Malformed, codes::JSON_TOO_DEEP, detail));
    }
    let object = Members::of_json(body).map_err(|error| fault(&error, "", Rules::default()))?;
    let sent: HashSet<Cow<'a, str>> = members.0.iter().map(|(name, _)| name.clone()).collect();
    for (name, value) in object.0 {
        if sent.contains(&name) {
            unknown.push(format!("/{}", escaped(&name)));
            continue;
        }
        let value = match value {
            Source::Json(value) if patched => Source::Patched(value),
            value => value,
        };
        members.0.push((name, value));
    }
    Ok(())
}

/// Reads a value that another node has encoded as MessagePack. Members that this node does not know are ignored.
pub(crate) fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    keeping(|read| read_packed(bytes, read))
}

fn read_packed(mut bytes: &[u8], read: &mut Read<'_>) -> Result<(), Error> {
    let source = Source::Packed(rmpv::decode::read_value_ref(&mut bytes).map_err(Error::internal)?);
    let notes = Notes::default();
    read(Value { source, place: Place::root(&notes) }).map_err(Error::internal)
}

/// Reads the members of an object. `unknown` are the pointers to members that belong to none of its fields.
fn read_members(members: Members<'_>, unknown: Vec<String>, rules: Rules, read: &mut Read<'_>) -> Result<(), Error> {
    let stray = unknown.into_iter().map(|pointer| Unknown { pointer, known: &[] }).collect::<Vec<_>>();
    let notes = Notes { unknown: stray.into(), ..Notes::default() };
    let result = read(Value { source: Source::Members(members), place: Place::root(&notes) });
    let unknown = notes.unknown.into_inner().into_iter().map(unknown_member);
    let noted: Vec<_> = unknown.chain(notes.duplicates.into_inner().into_iter().map(duplicate_member)).collect();
    match result {
        Ok(()) if noted.is_empty() => Ok(()),
        Ok(()) => Err(Error::invalid(noted)),
        Err(error) => {
            let error = fault(&error, &notes.failed_at.into_inner().unwrap_or_default(), rules);
            if error.kind() != Kind::Schema {
                return Err(error);
            }
            Err(Error::invalid(error.errors().iter().cloned().chain(noted).collect()))
        }
    }
}

/// The error of a request that could not be read at a place.
fn fault(error: &serde_json::Error, pointer: &str, rules: Rules) -> Error {
    if error.is_syntax() || error.is_eof() {
        return Error::new(Kind::Malformed, codes::MALFORMED_JSON, format!("The body is not valid JSON: {error}"));
    }
    let detail = error.to_string();
    let detail = detail.split(" at line ").next().unwrap_or_default();
    let named = |prefix| detail.strip_prefix(prefix).and_then(|rest: &str| rest.split('`').next());
    let member = |name: &str| {
        if pointer.is_empty() && rules.in_query { format!("?{name}") } else { format!("{pointer}/{name}") }
    };
    Error::invalid(vec![match (named("missing field `"), named("duplicate field `")) {
        (Some(name), _) => faults::missing(member(name)),
        (_, Some(name)) => duplicate_member(member(name)),
        _ => FieldError::new(pointer, readable(detail)),
    }])
}

/// Rewrites a message of the deserializer so that it names JSON types instead of Rust types.
fn readable(detail: &str) -> String {
    let mismatch = ["invalid type: ", "invalid value: "].iter().find_map(|prefix| detail.strip_prefix(prefix));
    if let Some((found, wanted)) = mismatch.and_then(|rest| rest.rsplit_once(", expected ")) {
        return format!("must be {}; got {}", wanted_form(wanted), found_form(found));
    }
    if let Some((found, known)) = detail.strip_prefix("unknown variant `").and_then(|rest| rest.split_once('`')) {
        let names: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        return format!("must be one of {}; got \"{found}\"", names.join(", "));
    }
    if detail.starts_with("data did not match any variant") || detail.starts_with("no variant of enum") {
        return "has none of the forms that the description allows here".to_owned();
    }
    if detail.starts_with("out of range integral type") {
        return "is out of range".to_owned();
    }
    if detail.starts_with("invalid length ") {
        return "has a wrong number of items".to_owned();
    }
    detail.to_owned()
}

/// What a deserializer expected, in the words of JSON.
fn wanted_form(wanted: &str) -> &str {
    match wanted {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number that is not negative",
        "i32" => "a whole number from -2147483648 to 2147483647",
        "i8" | "i16" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "an array",
        "a map" => "an object",
        "unit" => "null",
        "option" => "a value or null",
        "string" | "str" | "a borrowed string" | "a character" | "identifier" => "a string",
        "string or map" => "a string or an object",
        form if form.starts_with("tuple ") => "an array",
        form if form.starts_with("enum ") || form.starts_with("variant ") => "one of the described values",
        form if ["struct ", "internally ", "adjacently "].iter().any(|prefix| form.starts_with(prefix)) => "an object",
        form => form,
    }
}

/// What a deserializer found, in the words of JSON.
fn found_form(found: &str) -> &str {
    match found {
        "map" => "an object",
        "sequence" => "an array",
        "unit value" | "Option value" => "null",
        found => ["integer `", "floating point `", "boolean `", "character `"]
            .iter()
            .find_map(|kind| found.strip_prefix(kind))
            .or_else(|| found.strip_prefix("string "))
            .map_or(found, |value| value.trim_end_matches('`')),
    }
}

/// The nesting depth of a JSON text.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests;
