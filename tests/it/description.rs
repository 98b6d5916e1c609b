//! Holds every answer to `/openapi.json`: its status is declared, its media type too, and JSON validates against the schema.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::receiver::Received;
use crate::recorder;
use crate::shop::Shop;

/// Statuses of any route, which come from before an operation is reached: the `default` response describes them.
const BEFORE_ROUTES: [u16; 4] = [405, 408, 414, 431];

/// Keywords that describe and do not restrict, that are checked with others, or that the tests of fields check.
const UNCHECKED: [&str; 16] = [
    "$schema",
    "title",
    "description",
    "default",
    "example",
    "examples",
    "format",
    "discriminator",
    "deprecated",
    "additionalProperties",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
];

/// The description of a server.
pub(crate) struct Description {
    document: Value,
    /// Paths by their segments; a segment in braces stands for any.
    paths: Vec<(Vec<String>, Value)>,
}

/// The parts of an answer that are described.
pub(crate) struct Shown<'a> {
    pub(crate) status: u16,
    /// The media type without parameters.
    pub(crate) media_type: Option<&'a str>,
    /// Whether it says when to repeat the request.
    pub(crate) may_be_repeated: bool,
    pub(crate) bytes: &'a [u8],
}

impl Description {
    pub(crate) fn read(bytes: &[u8]) -> Option<Arc<Self>> {
        let document: Value = serde_json::from_slice(bytes).ok()?;
        let paths = document["paths"].as_object()?.iter();
        let paths = paths.map(|(path, item)| (path.split('/').map(str::to_owned).collect(), item.clone())).collect();
        Some(Arc::new(Self { document, paths }))
    }

    /// What of an answer the description does not say; nothing for routes and methods that are not described.
    pub(crate) fn contradicts(&self, method: &str, path: &str, answer: &Shown<'_>) -> Result<(), String> {
        let Some(operation) = self.operation(method, path) else { return Ok(()) };
        if answer.status >= 400 && answer.status < 500 && !BEFORE_ROUTES.contains(&answer.status) {
            self.check_code(operation, answer)?;
        }
        let responses = &operation["responses"];
        let declared = match responses.get(answer.status.to_string()) {
            Some(declared) => declared,
            None if answer.status >= 500 || BEFORE_ROUTES.contains(&answer.status) => &responses["default"],
            None => return Err("the status is not declared".to_owned()),
        };
        let Some(content) = self.resolve(declared).get("content").and_then(Value::as_object) else {
            return if answer.bytes.is_empty() { Ok(()) } else { Err("content is not declared".to_owned()) };
        };
        let media_type = answer.media_type.unwrap_or_default();
        let described = content.get(media_type).ok_or_else(|| format!("{media_type:?} is not declared"))?;
        if !media_type.ends_with("json") || described["schema"]["type"] == "string" {
            return Ok(());
        }
        let value = serde_json::from_slice(answer.bytes).map_err(|error| format!("not JSON: {error}"))?;
        self.check(&described["schema"], &value, "")
    }

    /// Whether the code of a refusal is listed. The timing of a test decides which operation meets a refusal that ends by
    /// itself, so one operation that lists it is enough.
    fn check_code(&self, operation: &Value, answer: &Shown<'_>) -> Result<(), String> {
        let Ok(problem) = serde_json::from_slice::<Value>(answer.bytes) else { return Ok(()) };
        let Some(listed) = operation["x-codes"][answer.status.to_string()].as_array() else { return Ok(()) };
        if problem["code"].is_null() || listed.contains(&problem["code"]) || recorder::is_on() {
            return Ok(());
        }
        if answer.may_be_repeated && self.lists(answer.status, &problem["code"]) {
            return Ok(());
        }
        Err(format!("x-codes does not list {}; CONTRIBUTING.md says how it is recorded", problem["code"]))
    }

    /// Whether any operation lists the code.
    fn lists(&self, status: u16, code: &Value) -> bool {
        let methods = self.paths.iter().filter_map(|(_, methods)| methods.as_object());
        let mut lists = methods.flat_map(|methods| methods.values()).map(|it| &it["x-codes"][status.to_string()]);
        lists.any(|listed| listed.as_array().is_some_and(|listed| listed.contains(code)))
    }

    /// Records an answer if the tests run for that.
    pub(crate) fn record(&self, method: &str, path: &str, answer: &Shown<'_>) {
        let Some(operation) = self.operation(method, path).filter(|_| recorder::is_on()) else { return };
        let name = operation["operationId"].as_str().unwrap_or_default();
        recorder::append(name, answer.status, answer.media_type.unwrap_or_default(), answer.bytes);
    }

    /// The operations whose successes are JSON, with their example and its schema.
    pub(crate) fn check_examples(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (_, methods) in &self.paths {
            for operation in methods.as_object().unwrap().values() {
                let name = operation["operationId"].as_str().unwrap_or_default();
                for parameter in operation["parameters"].as_array().unwrap() {
                    if self.resolve(parameter)["description"].as_str().is_none_or(str::is_empty) {
                        faults.push(format!("{name}: {parameter} has no description"));
                    }
                }
                for (status, response) in operation["responses"].as_object().unwrap() {
                    let content = &self.resolve(response)["content"]["application/json"];
                    if !status.starts_with('2') || content.is_null() || content["schema"] == json!({"type": "object"}) {
                        continue;
                    }
                    match content.get("example") {
                        None => faults.push(format!("{name}: {status} has no example")),
                        Some(example) => {
                            let checked = self.check(&content["schema"], example, "");
                            faults.extend(checked.err().map(|fault| format!("{name}: {fault}")));
                        }
                    }
                }
            }
        }
        faults
    }

    /// What of a message to the merchant's systems the description does not say. Returns the type of the message.
    pub(crate) fn contradicts_message(&self, message: &Received) -> Result<String, String> {
        let body = message.json();
        let kind = body["type"].as_str().unwrap_or_default();
        let operation = self.document["webhooks"].get(kind).ok_or_else(|| format!("{kind} is not described"))?;
        let operation = &operation["post"];
        let described = operation["parameters"].as_array().unwrap().iter();
        let missing = described
            .filter(|it| it["required"] == true)
            .find(|it| message.headers[it["name"].as_str().unwrap()].is_null());
        if let Some(missing) = missing {
            return Err(format!("{kind}: the header {} is absent", missing["name"]));
        }
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        self.check(schema, &body, kind).map(|()| kind.to_owned())
    }

    /// What of an answer to a question the description does not say.
    pub(crate) fn contradicts_answer(&self, kind: &str, answer: &Value) -> Result<(), String> {
        let operation = &self.document["webhooks"][kind]["post"];
        self.check(&operation["responses"]["200"]["content"]["application/json"]["schema"], answer, kind)
    }

    fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let path = path.split('?').next().unwrap_or_default();
        let segments: Vec<&str> = path.split('/').collect();
        let fits = |known: &&(Vec<String>, Value)| {
            known.0.len() == segments.len()
                && known.0.iter().zip(&segments).all(|(known, sent)| known.starts_with('{') || known == sent)
        };
        // The more of a path is fixed, the better it fits.
        let fixed = |known: &&(Vec<String>, Value)| known.0.iter().filter(|segment| !segment.starts_with('{')).count();
        self.paths.iter().filter(fits).max_by_key(fixed)?.1.get(method.to_lowercase())
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        let reference = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        reference.map_or(value, |pointer| self.document.pointer(pointer).unwrap_or(&Value::Null))
    }

    fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let Some(keywords) = schema.as_object() else {
            return if schema == false { Err(format!("{at}: nothing is allowed here")) } else { Ok(()) };
        };
        for (keyword, wanted) in keywords {
            let good = match keyword.as_str() {
                "$ref" => return self.check(self.resolve(schema), value, at),
                "type" => is_of(wanted, value),
                "const" => wanted == value,
                "enum" => wanted.as_array().unwrap().contains(value),
                "required" => {
                    let missing = |name: &&Value| value.is_object() && value.get(name.as_str().unwrap()).is_none();
                    if let Some(name) = wanted.as_array().unwrap().iter().find(missing) {
                        return Err(format!("{at}/{}: required, but absent", name.as_str().unwrap()));
                    }
                    true
                }
                "properties" => {
                    self.members(keywords, value, at)?;
                    true
                }
                "items" => {
                    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(wanted, item, &format!("{at}/{number}"))?;
                    }
                    true
                }
                "allOf" => {
                    wanted.as_array().unwrap().iter().try_for_each(|one| self.check(one, value, at))?;
                    true
                }
                "anyOf" => self.fitting(wanted, value, at)? >= 1,
                "oneOf" => self.fitting(wanted, value, at)? == 1,
                "minimum" => value.as_f64().is_none_or(|number| number >= wanted.as_f64().unwrap()),
                "maximum" => value.as_f64().is_none_or(|number| number <= wanted.as_f64().unwrap()),
                "additionalProperties" if !keywords.contains_key("properties") => {
                    self.members(keywords, value, at)?;
                    true
                }
                other => {
                    assert!(UNCHECKED.contains(&other) || other.starts_with("x-"), "{at}: unknown keyword {other}");
                    true
                }
            };
            if !good {
                return Err(format!("{at}: {value} is not of {keyword} {wanted}"));
            }
        }
        Ok(())
    }

    /// Checks each member of an object. Members that are not described are contradictions, unless others are allowed.
    fn members(&self, keywords: &serde_json::Map<String, Value>, value: &Value, at: &str) -> Result<(), String> {
        for (name, member) in value.as_object().into_iter().flatten() {
            let at = format!("{at}/{name}");
            match (keywords.get("properties").and_then(|known| known.get(name)), keywords.get("additionalProperties")) {
                (Some(schema), _) | (None, Some(schema)) => self.check(schema, member, &at)?,
                (None, None) => return Err(format!("{at}: not described")),
            }
        }
        Ok(())
    }

    /// How many of some schemas the value fits. When it fits none and there is only one that is not null, the error is its.
    fn fitting(&self, schemas: &Value, value: &Value, at: &str) -> Result<usize, String> {
        let schemas = schemas.as_array().unwrap();
        let results: Vec<_> = schemas.iter().map(|schema| self.check(schema, value, at)).collect();
        let errors: Vec<_> = results
            .iter()
            .zip(schemas)
            .filter(|(_, schema)| schema["type"] != "null")
            .map(|(result, _)| result)
            .collect();
        if let [Err(error)] = errors.as_slice()
            && !value.is_null()
        {
            return Err(error.clone());
        }
        Ok(results.iter().filter(|result| result.is_ok()).count())
    }
}

fn is_of(wanted: &Value, value: &Value) -> bool {
    if let Some(several) = wanted.as_array() {
        return several.iter().any(|one| is_of(one, value));
    }
    match wanted.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("unknown type {other}"),
    }
}

/// A description that says what these tests need.
fn sample() -> Arc<Description> {
    let document = json!({
        "paths": {
            "/things/{id}": {"get": {"responses": {
                "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
                "404": {"$ref": "#/components/responses/NotFound"},
                "default": {"$ref": "#/components/responses/NotFound"},
            }}},
            "/things/all": {"get": {"responses": {"200": {"content": {"text/csv": {"schema": {"type": "string"}}}}}}},
        },
        "components": {
            "schemas": {"Thing": {
                "type": "object",
                "required": ["id"],
                "properties": {"id": {"type": "integer"}, "note": {"type": ["string", "null"]}, "most": {"type": "string"}},
            }},
            "responses": {"NotFound": {"content": {"application/problem+json": {"schema": {"type": "object"}}}}},
        },
    });
    Description::read(document.to_string().as_bytes()).unwrap()
}

#[test]
fn a_code_must_be_listed_by_the_operation_or_by_another_if_it_passes() {
    let operation = |codes: Value| json!({"x-codes": {"409": codes}, "responses": {"409": {}}});
    let document = json!({"paths": {
        "/orders": {"post": operation(json!(["IN_PROGRESS"]))},
        "/returns": {"post": operation(json!(["DECIDED"]))},
    }});
    let description = Description::read(document.to_string().as_bytes()).unwrap();
    let refused = |code: &str, may_be_repeated: bool| {
        let body = json!({"code": code}).to_string();
        let shown = Shown { status: 409, media_type: None, may_be_repeated, bytes: body.as_bytes() };
        description.contradicts("POST", "/returns", &shown).is_err_and(|fault| fault.starts_with("x-codes"))
    };
    assert_eq!(["DECIDED", "IN_PROGRESS", "OTHER"].map(|code| refused(code, false)), [false, true, true]);
    assert_eq!(["DECIDED", "IN_PROGRESS", "OTHER"].map(|code| refused(code, true)), [false, false, true]);
}

#[test]
fn what_is_not_declared_is_found() {
    let description = sample();
    let verdict = |path: &str, status: u16, media_type: &str, body: &str| {
        let shown = Shown { status, media_type: Some(media_type), may_be_repeated: false, bytes: body.as_bytes() };
        description.contradicts("GET", path, &shown).err()
    };
    let json = |status, body| verdict("/things/7", status, "application/json", body);
    assert_eq!(json(200, r#"{"id":7,"note":null}"#), None);
    assert_eq!(json(200, r#"{"note":"x"}"#).unwrap(), "/id: required, but absent");
    assert!(json(200, r#"{"id":7,"most":null}"#).unwrap().starts_with("/most: null is not of type"));
    assert_eq!(json(200, r#"{"id":7,"other":1}"#).unwrap(), "/other: not described");
    assert_eq!(json(202, r#"{"id":7}"#).unwrap(), "the status is not declared");
    assert_eq!(verdict("/things/7", 403, "application/problem+json", "{}").unwrap(), "the status is not declared");
    assert_eq!(verdict("/things/7", 404, "application/problem+json", "{}"), None);
    assert_eq!(verdict("/things/7", 507, "application/problem+json", "{}"), None);
    assert_eq!(verdict("/things/7", 405, "text/html", "").unwrap(), "\"text/html\" is not declared");
    assert_eq!(verdict("/things/all?x=1", 200, "text/csv", "a,b"), None);
    assert_eq!(verdict("/things/all", 200, "*/*", "a,b").unwrap(), "\"*/*\" is not declared");
    assert_eq!(verdict("/elsewhere", 418, "text/plain", "x"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_has_a_valid_example_and_described_parameters() {
    let shop = Shop::start().await;
    let bytes = shop.anyone.get("/openapi.json").await.bytes;
    assert!(bytes.len() < 2_000_000, "the document has {} bytes", bytes.len());
    let faults = Description::read(&bytes).unwrap().check_examples();
    assert!(faults.is_empty() || recorder::is_on(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    shop.close().await;
}

/// The number of schemas of integers without a maximum.
fn unbounded_integers(value: &Value) -> usize {
    match value {
        Value::Object(members) => {
            let is_integer = members.get("format").is_some_and(|it| it == "uint32" || it == "int64");
            let own = usize::from(is_integer && !members.contains_key("maximum"));
            own + members.values().map(unbounded_integers).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(unbounded_integers).sum(),
        _ => 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_described_as_strictly_as_they_are_read() {
    let shop = Shop::start().await;
    let document = shop.anyone.get("/openapi.json").await.json();
    let operations = document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap());
    let optional = operations
        .filter(|(method, operation)| {
            ["put", "patch"].contains(&method.as_str()) && !operation["requestBody"].is_null()
        })
        .filter(|(_, operation)| operation["requestBody"]["required"] != true);
    let optional: Vec<_> = optional.map(|(_, operation)| &operation["operationId"]).collect();
    assert!(optional.is_empty(), "without a body these are refused: {optional:?}");
    let member = |body: &str, name: &str| {
        let schema = &document["components"]["schemas"][body]["properties"][name];
        assert!(!schema.is_null(), "no {name} in {body}");
        schema.clone()
    };
    for (body, name, is_cleared) in [
        ("CampaignUpdateBody", "name", false),
        ("CampaignUpdateBody", "budget", true),
        ("ProductUpdateBody", "name", false),
        ("ProductUpdateBody", "status", false),
        ("ProductUpdateBody", "barcode", true),
        ("PromotionUpdateBody", "actions", false),
        ("PromotionUpdateBody", "campaignId", true),
    ] {
        let schema = member(body, name).to_string();
        assert_eq!(schema.contains("\"null\""), is_cleared, "{body}/{name}: {schema}");
    }
    assert_eq!(unbounded_integers(&document), 0);
    assert_eq!(document["components"]["schemas"]["CartAddItemBody"]["additionalProperties"], false);
    assert!(!document.to_string().contains("x-clears"));
    shop.close().await;
}
