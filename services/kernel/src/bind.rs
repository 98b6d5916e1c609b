//! Binds a request to an operation: path, query and body members become the fields of one struct.
//!
//! Text in path and query is converted to the field's type; `attr.color=red` becomes the member `color` of the field
//! `attr`. An unknown member is an error, so that a typo is never silently ignored.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use schemars::SchemaGenerator;
use serde::de::value::{MapAccessDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::codes;
use crate::faults::{self, Faults, MISSING};
use crate::nulls;
use crate::strict::Strict;
use crate::text::as_kept;
use crate::{Body, BodyKind, Error, FieldError, Kind, Method, Op};

/// The maximum nesting of a JSON body.
const DEEPEST: usize = 32;

/// The parts of a request, before it is bound.
#[derive(Debug, Default)]
pub struct Request {
    /// Path parameters, percent-decoded.
    pub path: Vec<(String, String)>,
    /// Query pairs, decoded, in order.
    pub query: Vec<(String, String)>,
    /// The JSON body, empty for none.
    pub body: Bytes,
    /// The raw body of a streaming operation.
    pub raw: Option<Body>,
}

impl Request {
    /// Binds the operation.
    pub fn bind<O: Op>(mut self) -> Result<O, Error> {
        for (_, text) in self.path.iter_mut().chain(&mut self.query) {
            if let Cow::Owned(kept) = as_kept(text) {
                *text = kept;
            }
        }
        let query: Vec<&(String, String)> = self.query.iter().collect();
        let mut op: O = match self.read(&query, &self.body) {
            Ok(op) => op,
            Err(error) if error.kind() == Kind::Schema => return Err(Error::invalid(self.faults::<O>(&error))),
            Err(error) => return Err(error),
        };
        if let Some(body) = self.raw {
            op.attach(body);
        }
        Ok(op)
    }

    /// Binds the operation from the path, some of the query, and a body.
    fn read<O: Op>(&self, query: &[&(String, String)], body: &[u8]) -> Result<O, Error> {
        let mut members = Members::default();
        for (name, text) in self.path.iter().chain(query.iter().copied()) {
            members.text(name, text);
        }
        let named = members.0.len();
        members.json(body)?;
        let texts: Vec<String> = members.0.iter().take(named).map(|(name, _)| name.clone()).collect();
        if let Some((twice, _)) = members.0.iter().skip(named).find(|(name, _)| texts.contains(name)) {
            return Err(Error::invalid(vec![unknown(format!("/{twice}"))]));
        }
        read(members, &Place { texts, in_query: in_query::<O>(), patched: O::METHOD == Method::Patch })
    }

    /// All faults of an invalid request, the first one found in front.
    fn faults<O: Op>(&self, first: &Error) -> Vec<FieldError> {
        let mut found = Faults::default();
        first.errors().iter().cloned().for_each(|fault| found.add_once(fault));
        let errors = |result: Result<O, Error>| result.err().map_or_else(Vec::new, |error| error.errors().to_vec());
        for pair in &self.query {
            let alike: Vec<_> = self.query.iter().filter(|(name, _)| *name == pair.0).collect();
            let faults = errors(self.read(&alike, b""));
            faults.into_iter().filter(|fault| fault.code != MISSING).for_each(|fault| found.add_once(fault));
        }
        let body = serde_json::from_slice(&self.body).unwrap_or_else(|_| Value::Object(Map::new()));
        let query: Vec<&(String, String)> = self.query.iter().collect();
        faults::of_values(&body, &mut found, &mut |alone| errors(self.read(&query, alone.as_bytes())));
        let schema = serde_json::to_value(SchemaGenerator::default().into_root_schema_for::<O>()).unwrap_or_default();
        let sent = |name: &str| self.path.iter().chain(&self.query).any(|(known, _)| known == name);
        if in_query::<O>() {
            let required =
                schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
            required
                .filter(|name| !sent(name))
                .for_each(|name| found.add_once(faults::missing(format!("?{name}"), name)));
        } else {
            faults::of_absence(&schema, &body, &mut found, &sent);
        }
        found.into_list()
    }
}

/// Whether missing members of an operation belong to the query.
fn in_query<O: Op>() -> bool {
    matches!(O::METHOD, Method::Get | Method::Delete) || matches!(O::BODY, BodyKind::Stream(_))
}

/// Reads a JSON document with the same strictness and the same errors as a request's body.
pub fn bind_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let once = |body: &[u8]| {
        let mut members = Members::default();
        members.json(body)?;
        read(members, &Place::default())
    };
    let error = match once(body) {
        Err(error) if error.kind() == Kind::Schema => error,
        other => return other,
    };
    let mut found = Faults::default();
    error.errors().iter().cloned().for_each(|fault| found.add_once(fault));
    let whole = serde_json::from_slice(body).unwrap_or_default();
    faults::of_values(&whole, &mut found, &mut |alone| {
        once(alone.as_bytes()).err().map_or_else(Vec::new, |error: Error| error.errors().to_vec())
    });
    Err(Error::invalid(found.into_list()))
}

/// Where members come from, so that a fault can point there.
#[derive(Default)]
struct Place {
    /// Members of path and query that were sent.
    texts: Vec<String>,
    /// Whether missing members belong to the query too.
    in_query: bool,
    /// Whether the body is a merge patch.
    patched: bool,
}

fn unknown(pointer: String) -> FieldError {
    FieldError { pointer, code: codes::UNKNOWN_MEMBER.into(), detail: "There is no member of this name.".to_owned() }
}

fn read<T: DeserializeOwned>(members: Members<'_>, place: &Place) -> Result<T, Error> {
    let mut ignored = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(
        MapAccessDeserializer::new(members.into_access(place.patched)),
        &mut track,
    );
    let mut note = |path: serde_ignored::Path<'_>| ignored.push(path.to_string());
    let result = T::deserialize(serde_ignored::Deserializer::new(tracked, &mut note));
    match result {
        Ok(value) if ignored.is_empty() => Ok(value),
        Ok(_) => Err(Error::invalid(unknowns(&ignored, place).collect())),
        Err(error) => {
            let error = fault(&error, &track.path().to_string(), place);
            if error.kind() != Kind::Schema {
                return Err(error);
            }
            Err(Error::invalid(error.errors().iter().cloned().chain(unknowns(&ignored, place)).collect()))
        }
    }
}

fn unknowns(paths: &[String], place: &Place) -> impl Iterator<Item = FieldError> {
    paths.iter().map(|path| unknown(pointer(path, &place.texts)))
}

fn fault(error: &serde_json::Error, path: &str, place: &Place) -> Error {
    if error.is_syntax() || error.is_eof() {
        return Error::new(Kind::Malformed, codes::MALFORMED_JSON, format!("The body is not valid JSON: {error}"));
    }
    let detail = error.to_string();
    let detail = detail.split(" at line ").next().unwrap_or_default().to_owned();
    let missing = detail.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    let path = if path == "." || path == "?" { "" } else { path };
    let pointer = match missing {
        Some(name) if path.is_empty() && place.in_query => format!("?{name}"),
        Some(name) if path.is_empty() => format!("/{name}"),
        Some(name) => pointer(&format!("{path}.{name}"), &place.texts),
        None => pointer(path, &place.texts),
    };
    Error::invalid(vec![match missing {
        Some(name) => faults::missing(pointer, name),
        None => FieldError::new(pointer, for_people(&detail)),
    }])
}

/// The deserializer's message for a value of the wrong type, without the names of our types.
fn for_people(detail: &str) -> String {
    let of_kind = detail.strip_prefix("invalid type: ").or_else(|| detail.strip_prefix("invalid value: "));
    let Some((found, wanted)) = of_kind.and_then(|rest| rest.rsplit_once(", expected ")) else {
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

/// `items[0].sku` as `/items/0/sku`; members of path and query as `?name`.
fn pointer(path: &str, texts: &[String]) -> String {
    let path = path.replace('[', ".").replace(']', "").replace(".?", "");
    let first = path.split('.').next().unwrap_or_default();
    if texts.iter().any(|name| name == first) {
        return format!("?{path}");
    }
    path.split('.').filter(|part| !part.is_empty()).fold(String::new(), |pointer, part| pointer + "/" + part)
}

/// The source of a member's value.
enum Source<'a> {
    Texts(Vec<&'a str>),
    Nested(Members<'a>),
    Json(&'a RawValue),
}

/// Members by name, each name once.
#[derive(Default)]
struct Members<'a>(Vec<(String, Source<'a>)>);

impl<'a> Members<'a> {
    fn text(&mut self, name: &'a str, text: &'a str) {
        let (name, inner) = name.split_once('.').map_or((name, None), |(name, inner)| (name, Some(inner)));
        let at = self.0.iter().position(|(known, _)| known == name).unwrap_or(self.0.len());
        if at == self.0.len() {
            let empty = if inner.is_some() { Source::Nested(Members::default()) } else { Source::Texts(Vec::new()) };
            self.0.push((name.to_owned(), empty));
        }
        match (self.0.get_mut(at).map(|(_, source)| source), inner) {
            (Some(Source::Texts(texts)), None) => texts.push(text),
            (Some(Source::Nested(members)), Some(inner)) => members.text(inner, text),
            _ => {}
        }
    }

    /// The members of a JSON object; an empty body has none.
    fn json(&mut self, body: &'a [u8]) -> Result<(), Error> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        if depth(body) > DEEPEST {
            return Err(Error::new(
                Kind::Malformed,
                codes::JSON_TOO_DEEP,
                format!("JSON may nest at most {DEEPEST} levels deep."),
            ));
        }
        let object: Object<'a> = serde_json::from_slice(body).map_err(|error| fault(&error, "", &Place::default()))?;
        for (name, value) in object.0 {
            if self.0.iter().any(|(known, source)| *known == name && matches!(source, Source::Json(_))) {
                let detail = "duplicate member".to_owned();
                return Err(Error::invalid(vec![FieldError {
                    pointer: format!("/{name}"),
                    code: codes::DUPLICATE_MEMBER.into(),
                    detail,
                }]));
            }
            self.0.push((name, Source::Json(value)));
        }
        Ok(())
    }

    fn into_access(self, patched: bool) -> MemberAccess<'a> {
        MemberAccess { members: self.0.into_iter(), value: None, patched }
    }
}

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

/// A JSON object with its values unread.
struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Vec<(String, &'de RawValue)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        d.deserialize_map(ObjectVisitor).map(Self)
    }
}

/// Members as serde reads them.
struct MemberAccess<'a> {
    members: std::vec::IntoIter<(String, Source<'a>)>,
    value: Option<Source<'a>>,
    patched: bool,
}

impl<'de> MapAccess<'de> for MemberAccess<'de> {
    type Error = serde_json::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Self::Error> {
        let Some((name, source)) = self.members.next() else { return Ok(None) };
        self.value = Some(source);
        seed.deserialize(name.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Self::Error> {
        match self.value.take() {
            Some(Source::Json(raw)) if self.patched => seed.deserialize(Strict(nulls::Value(raw))),
            Some(Source::Json(raw)) => seed.deserialize(Strict(&mut serde_json::Deserializer::from_str(raw.get()))),
            Some(Source::Texts(texts)) => seed.deserialize(Texts(texts)),
            Some(Source::Nested(members)) => seed.deserialize(MapAccessDeserializer::new(members.into_access(false))),
            None => Err(de::Error::custom("a value without a key")),
        }
    }
}

/// The values of one name in path or query, parsed as the field requires.
struct Texts<'a>(Vec<&'a str>);

impl<'a> Texts<'a> {
    /// The only value of a field that is not a list; two values are ambiguous.
    fn one(&self) -> Result<&'a str, serde_json::Error> {
        match self.0.as_slice() {
            [one] => Ok(one),
            _ => Err(de::Error::custom("given more than once")),
        }
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $type:ty),+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            let text = self.one()?;
            let value = text.parse::<$type>().map_err(|_| de::Error::invalid_type(de::Unexpected::Str(text), &visitor))?;
            visitor.$visit(value)
        }
    )+};
}

impl<'de> Deserializer<'de> for Texts<'de> {
    type Error = serde_json::Error;

    parsed!(deserialize_bool visit_bool bool, deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64, deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64,
        deserialize_f32 visit_f32 f32, deserialize_f64 visit_f64 f64);

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_borrowed_str(self.one()?)
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        StrDeserializer::new(self.one()?).deserialize_enum(name, variants, visitor)
    }
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let parts = self.0.into_iter().flat_map(|text| text.split(','));
        visitor.visit_seq(SeqDeserializer::new(parts.map(|part| Texts(vec![part]))))
    }
    serde::forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, serde_json::Error> for Texts<'de> {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Amount;
    use std::collections::BTreeMap;

    #[derive(Debug, serde::Deserialize)]
    struct Line {
        sku: String,
        quantity: u32,
    }

    #[derive(Debug, serde::Deserialize)]
    struct Lines {
        items: Vec<Line>,
    }

    #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
    #[serde(rename_all = "camelCase")]
    struct Probe {
        id: i64,
        #[serde(default)]
        attr: BTreeMap<String, String>,
        min_price: Option<Amount>,
        #[serde(skip_deserializing)]
        #[schemars(skip)]
        _unused: (),
    }
    crate::operation! { Probe => (), "test.probe", Get "/{id}", Anyone, 200, "A probe." }

    #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
    struct Change {
        id: i64,
        name: Option<String>,
        #[serde(default)]
        note: crate::Patch<String>,
        #[serde(default)]
        size: crate::Patch<Option<u32>>,
    }
    crate::operation! { Change => (), "test.change", Patch "/{id}", Anyone, 200, "A change." }

    #[test]
    fn null_clears_what_can_be_cleared_and_is_refused_elsewhere() {
        let change = |body: &str| request(&[], body).bind::<Change>();
        let cleared = change(r#"{"name":"a","note":null,"size":3}"#).unwrap();
        assert_eq!((cleared.id, cleared.name.as_deref(), cleared.note), (7, Some("a"), crate::Patch::Clear));
        assert_eq!(cleared.size, crate::Patch::Set(Some(3)));
        let refused = change(r#"{"name":null}"#).unwrap_err();
        assert_eq!(
            (refused.errors()[0].pointer.as_str(), refused.errors()[0].detail.as_str()),
            ("/name", "must not be null")
        );
        assert_eq!(change(r#"{"note":[]}"#).unwrap_err().errors()[0].pointer, "/note");
        assert_eq!(change("{}").unwrap().name, None);
    }

    #[test]
    fn what_is_of_the_wrong_kind_is_told_to_people() {
        let refused = |body: &str| bind_json::<Lines>(body.as_bytes()).unwrap_err().errors()[0].detail.clone();
        for (body, want) in [
            (r#"{"items":[{"sku":5,"quantity":1}]}"#, "must be a string; got 5"),
            (r#"{"items":[{"sku":"A","quantity":-1}]}"#, "must be a whole number from 0 to 4294967295; got -1"),
            (r#"{"items":[{"sku":"A","quantity":"1"}]}"#, "must be a whole number from 0 to 4294967295; got \"1\""),
            (r#"{"items":[{"sku":"A","quantity":1.5}]}"#, "must be a whole number from 0 to 4294967295; got 1.5"),
            (r#"{"items":[{"sku":null,"quantity":1}]}"#, "must be a string; got null"),
            (r#"{"items":{}}"#, "must be an array; got an object"),
            (r#"{"items":[{"sku":"A"}]}"#, "quantity is missing"),
        ] {
            assert_eq!(refused(body), want, "{body}");
        }
    }

    fn request(query: &[(&str, &str)], body: &str) -> Request {
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Request {
            path: pairs(&[("id", "7")]),
            query: pairs(query),
            body: Bytes::copy_from_slice(body.as_bytes()),
            raw: None,
        }
    }

    #[test]
    fn texts_become_what_the_fields_want() {
        let probe: Probe = request(&[("attr.color", "red"), ("minPrice", "1.50")], "").bind().unwrap();
        assert_eq!(
            (probe.id, probe.attr["color"].as_str(), probe.min_price.unwrap().to_string().as_str()),
            (7, "red", "1.50")
        );
    }

    #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
    #[allow(dead_code, reason = "only what is wrong with it is looked at")]
    struct Part {
        sku: crate::Sku,
        quantity: u32,
        note: Option<String>,
    }

    #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
    #[allow(dead_code, reason = "only what is wrong with it is looked at")]
    struct Whole {
        id: i64,
        email: crate::Email,
        price: Amount,
        parts: Vec<Part>,
        gift: Option<Part>,
    }
    crate::operation! { Whole => (), "test.whole", Post "/{id}", Anyone, 200, "A whole." }

    #[test]
    fn every_fault_is_told_each_once() {
        let pointers = |body: &str| {
            let error = request(&[], body).bind::<Whole>().unwrap_err();
            let mut told: Vec<_> =
                error.errors().iter().map(|item| format!("{} {}", item.pointer, item.code)).collect();
            told.sort();
            told.join(", ")
        };
        assert_eq!(pointers("{}"), "/email MISSING, /parts MISSING, /price MISSING");
        assert_eq!(
            pointers(
                r#"{"email":"x","price":"1,5","parts":[{"sku":"A"},{"sku":"","quantity":-1},{"quantity":1,"x":2}]}"#
            ),
            "/email INVALID_VALUE, /parts/0/quantity MISSING, /parts/1/quantity INVALID_VALUE, /parts/1/sku INVALID_VALUE, \
             /parts/2/sku MISSING, /parts/2/x UNKNOWN_MEMBER, /price INVALID_VALUE"
        );
        assert_eq!(
            pointers(r#"{"id":7,"gift":{"note":5,"y":[]},"parts":{"a":1},"z":null}"#),
            "/email MISSING, /gift/note INVALID_VALUE, /gift/quantity MISSING, /gift/sku MISSING, /gift/y UNKNOWN_MEMBER, \
             /id UNKNOWN_MEMBER, /parts INVALID_VALUE, /price MISSING, /z UNKNOWN_MEMBER"
        );
        let whole =
            r#"{"email":"a@b.example","price":1,"parts":[{"sku":"A","quantity":1},{"sku":"B","quantity":"2"}]}"#;
        assert_eq!(pointers(whole), "/parts/1/quantity INVALID_VALUE");
        let query = request(&[("minPrice", "x"), ("nope", "1")], "").bind::<Probe>().unwrap_err();
        let query: Vec<_> = query.errors().iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(query, ["?minPrice", "?nope"]);
    }

    #[test]
    fn faults_are_pointed_at() {
        let pointers = |error: Error| error.errors().iter().map(|e| e.pointer.clone()).collect::<Vec<_>>();
        assert_eq!(pointers(request(&[("nope", "1")], "").bind::<Probe>().unwrap_err()), ["?nope"]);
        assert_eq!(pointers(request(&[("minPrice", "x")], "").bind::<Probe>().unwrap_err()), ["?minPrice"]);
        let twice = request(&[("minPrice", "1"), ("minPrice", "2")], "");
        assert_eq!(pointers(twice.bind::<Probe>().unwrap_err()), ["?minPrice"]);
        let missing = Request::default().bind::<Probe>().unwrap_err();
        assert_eq!(pointers(missing), ["?id"]);
        assert_eq!(pointers(request(&[], r#"{"id":8}"#).bind::<Probe>().unwrap_err()), ["/id"]);
        assert_eq!(request(&[], "{").bind::<Probe>().unwrap_err().kind(), Kind::Malformed);
        let lines = |json: &str| {
            bind_json::<Lines>(json.as_bytes())
                .map(|lines| lines.items.into_iter().map(|l| (l.sku, l.quantity)).collect::<Vec<_>>())
        };
        assert_eq!(pointers(lines(r#"{"items":[{"sku":"a","quantity":-1}]}"#).unwrap_err()), ["/items/0/quantity"]);
        assert_eq!(pointers(lines(r#"{"items":[{"sku":"a"}]}"#).unwrap_err()), ["/items/0/quantity"]);
        assert_eq!(pointers(lines(r#"{"items":[{"sku":"a","quantity":1,"x":{}}]}"#).unwrap_err()), ["/items/0/x"]);
        assert_eq!(pointers(lines(r#"{"items":[],"items":[]}"#).unwrap_err()), ["/items"]);
        assert_eq!(pointers(lines(r#"{"items":[["a",2]]}"#).unwrap_err()), ["/items/0"]);
        assert_eq!(lines(r#"{"items":[{"sku":"a","quantity":2}]}"#).unwrap(), [("a".to_owned(), 2)]);
        assert_eq!(bind_json::<Lines>("[".repeat(40).as_bytes()).unwrap_err().code(), "JSON_TOO_DEEP");
    }
}
