//! Binds a request to an operation: the members of path, query and body become the fields of one struct.
//!
//! Text in path and query is converted to the field's type; `attr.color=red` becomes the member `color` of the field
//! `attr`. An unknown member is an error, so that a typo is never silently ignored.

mod source;
mod value;

use std::borrow::Cow;
use std::collections::HashSet;

use bytes::Bytes;
use schemars::SchemaGenerator;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use crate::codes;
use crate::faults::{self, Faults, MISSING};
use crate::mend;
use crate::text::stored_form;
use crate::{Body, BodyKind, Error, FieldError, Kind, Method, Op};
use source::{Members, Source};
use value::{Notes, Path, Place, Value};

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

impl Request {
    /// Binds the operation. An invalid request is refused with all of its faults.
    pub fn bind<O: Op>(&mut self) -> Result<O, Error> {
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
        let mut op: O = match self.read(&query, &self.body) {
            Ok(op) => op,
            Err(error) if error.kind() == Kind::Schema => {
                let schema = schema_of::<O>();
                let read = |query: &[&(String, String)], body: &[u8]| match self.read::<O>(query, body) {
                    Err(error) => error.errors().to_vec(),
                    Ok(_) => Vec::new(),
                };
                return Err(Error::invalid(self.faults(&error, expects_query::<O>(), &schema, &read)));
            }
            Err(error) => return Err(error),
        };
        if let Some(body) = self.raw.take() {
            op.attach(body);
        }
        Ok(op)
    }

    /// Binds the operation with harmless values in place of those of the body that have faults; `None` if that is
    /// impossible.
    pub(crate) fn bind_mended<O: Op>(&self, faults: &[FieldError]) -> Option<O> {
        let body = serde_json::from_slice(&self.body).ok()?;
        let mended = mend::mended(&schema_of::<O>(), &body, faults)?;
        self.read(&self.query.iter().collect::<Vec<_>>(), mended.to_string().as_bytes()).ok()
    }

    /// Binds the operation from the path, the given query parameters and a body.
    fn read<O: Op>(&self, query: &[&(String, String)], body: &[u8]) -> Result<O, Error> {
        let rules = Rules { in_query: expects_query::<O>(), patched: O::METHOD == Method::Patch };
        let mut members = Members::default();
        for (name, text) in self.path.iter().chain(query.iter().copied()) {
            members.add_text(name, text);
        }
        add_body(&mut members, body, rules.patched)?;
        read(members, rules)
    }

    /// All faults of an invalid request, starting with those of `first`, the error that binding failed with. `read`
    /// returns the faults of the given query parameters and body.
    fn faults(
        &self,
        first: &Error,
        in_query: bool,
        schema: &Json,
        read: &dyn Fn(&[&(String, String)], &[u8]) -> Vec<FieldError>,
    ) -> Vec<FieldError> {
        let mut found = Faults::default();
        first.errors().iter().cloned().for_each(|fault| found.add_once(fault));
        let names: HashSet<&String> = self.query.iter().map(|(name, _)| name).collect();
        for name in names {
            let same_name: Vec<_> = self.query.iter().filter(|(known, _)| known == name).collect();
            let faults = read(&same_name, b"").into_iter().filter(|fault| fault.code != MISSING);
            faults.for_each(|fault| found.add_once(fault));
        }
        let body = if self.body.is_empty() { Ok(Json::Object(Map::new())) } else { serde_json::from_slice(&self.body) };
        let Ok(body) = body else { return found.into_list() };
        let query: Vec<&(String, String)> = self.query.iter().collect();
        faults::find_invalid_values(&body, &mut found, &mut |part| read(&query, part.as_bytes()));
        let sent = |name: &str| self.path.iter().chain(&self.query).any(|(known, _)| known == name);
        if in_query {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str);
            let missing = required.filter(|name| !sent(name));
            missing.for_each(|name| found.add_once(faults::missing(format!("?{name}"))));
        } else {
            faults::find_missing_members(schema, &body, &mut found, &sent);
        }
        found.into_list()
    }
}

fn schema_of<O: Op>() -> Json {
    SchemaGenerator::default().into_root_schema_for::<O>().to_value()
}

/// Whether an operation expects its members in the query rather than in a JSON body.
fn expects_query<O: Op>() -> bool {
    matches!(O::METHOD, Method::Get | Method::Delete) || matches!(O::BODY, BodyKind::Stream(_))
}

/// Reads a JSON document as strictly as a request's body, with the same errors.
pub fn bind_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let read_once = |body: &[u8]| {
        let mut members = Members::default();
        add_body(&mut members, body, false)?;
        read(members, Rules::default())
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

/// How the members of a request are read.
#[derive(Clone, Copy, Default)]
struct Rules {
    /// Whether missing members belong to the query.
    in_query: bool,
    /// Whether the body is a merge patch.
    patched: bool,
}

/// The fault of an unknown member.
fn unknown_member(pointer: String) -> FieldError {
    let name = pointer.rsplit(['/', '?', '.']).next().unwrap_or_default();
    let detail = format!("unknown member {name}");
    FieldError { pointer, code: codes::UNKNOWN_MEMBER.into(), detail }
}

/// The fault of a member that is given twice.
fn duplicate_member(pointer: String) -> FieldError {
    FieldError { pointer, code: codes::DUPLICATE_MEMBER.into(), detail: "duplicate member".to_owned() }
}

/// Adds the members of a JSON object to those of path and query; an empty body has none.
fn add_body<'a>(members: &mut Members<'a>, body: &'a [u8], patched: bool) -> Result<(), Error> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    if depth(body) > MAX_DEPTH {
        let detail = format!("JSON may nest at most {MAX_DEPTH} levels deep.");
        return Err(Error::new(Kind::Malformed, codes::JSON_TOO_DEEP, detail));
    }
    let object = Members::of_json(body).map_err(|error| fault(&error, "", Rules::default()))?;
    let mut seen = HashSet::with_capacity(object.0.len());
    let sent: HashSet<Cow<'a, str>> = members.0.iter().map(|(name, _)| name.clone()).collect();
    for (name, value) in object.0 {
        if sent.contains(&name) {
            return Err(Error::invalid(vec![unknown_member(format!("/{name}"))]));
        }
        if !seen.insert(name.clone()) {
            return Err(Error::invalid(vec![duplicate_member(format!("/{name}"))]));
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
pub(crate) fn unpack<T: DeserializeOwned>(mut bytes: &[u8]) -> Result<T, Error> {
    let source = Source::Packed(rmpv::decode::read_value_ref(&mut bytes).map_err(Error::internal)?);
    let notes = Notes::default();
    T::deserialize(Value { source, place: Place { path: &Path::Root, notes: &notes } }).map_err(Error::internal)
}

fn read<T: DeserializeOwned>(members: Members<'_>, rules: Rules) -> Result<T, Error> {
    let notes = Notes::default();
    let result =
        T::deserialize(Value { source: Source::Members(members), place: Place { path: &Path::Root, notes: &notes } });
    let unknown = notes.unknown.into_inner().into_iter().map(unknown_member);
    match result {
        Ok(value) if unknown.len() == 0 => Ok(value),
        Ok(_) => Err(Error::invalid(unknown.collect())),
        Err(error) => {
            let error = fault(&error, &notes.failed_at.into_inner().unwrap_or_default(), rules);
            if error.kind() != Kind::Schema {
                return Err(error);
            }
            Err(Error::invalid(error.errors().iter().cloned().chain(unknown).collect()))
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

/// Rewrites the deserializer's message for a value of the wrong type so that it names JSON types instead of Rust types.
fn readable(detail: &str) -> String {
    let mismatch = detail.strip_prefix("invalid type: ").or_else(|| detail.strip_prefix("invalid value: "));
    let Some((found, wanted)) = mismatch.and_then(|rest| rest.rsplit_once(", expected ")) else {
        return detail.to_owned();
    };
    let wanted = match wanted {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number that is not negative",
        "i32" => "a whole number from -2147483648 to 2147483647",
        "i8" | "i16" | "i64" | "isize" => "a whole number",
        "a boolean" => "true or false",
        "a sequence" => "an array",
        "a map" => "an object",
        structure if structure.starts_with("struct ") => "an object",
        other => other,
    };
    let found = match found {
        "map" => "an object",
        "sequence" => "an array",
        found => ["integer `", "floating point `", "boolean `"]
            .iter()
            .find_map(|kind| found.strip_prefix(kind))
            .or_else(|| found.strip_prefix("string "))
            .map_or(found, |value| value.trim_end_matches('`')),
    };
    format!("must be {wanted}; got {found}")
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
