//! One registered operation as an OpenAPI operation: its fields become parameters of path and query, or the body.

#![allow(clippy::indexing_slicing, reason = "assigning to an index of a JSON object creates the member")]

use promox_kernel::{Access, BodyKind, CLEARS, Entry, Method, Replay};
use schemars::Schema;
use serde_json::{Map, Value, json};

use super::schemas::Schemas;

/// What shows the use of an operation besides its declaration.
pub(super) struct Shown<'a> {
    /// An example of its request body.
    pub(super) request: Option<&'a Value>,
    /// An answer that it gave.
    pub(super) answer: Option<&'a Value>,
    /// The codes of its refusals by status.
    pub(super) codes: Value,
}

/// The operation object of an entry.
pub(super) fn describe(entry: &Entry, schemas: &mut Schemas, shown: Shown<'_>) -> Value {
    let (request, _) = entry.schemas(&mut schemas.requests).unwrap_or_default();
    let (_, reply) = entry.schemas(&mut schemas.responses).unwrap_or_default();
    let mut fields = Fields::of(Schemas::resolve(&request, &schemas.requests), entry.method);
    let mut parameters = fields.path(entry.path);
    let in_query = matches!(entry.method, Method::Get | Method::Delete) || entry.body != BodyKind::Json;
    if in_query {
        parameters.extend(fields.query());
    }
    parameters.extend(header_parameters(entry));
    let is_list = reply
        .as_ref()
        .is_some_and(|reply| Schemas::resolve(reply, &schemas.responses).pointer("/properties/nextCursor").is_some());
    let mut operation = json!({
        "operationId": entry.name,
        "tags": [entry.service],
        "summary": entry.summary,
        "parameters": parameters,
        "security": security(entry),
        "responses": responses(entry, (reply, shown.answer), is_list),
        "x-codes": shown.codes,
    });
    if let Some(body) = body(entry, fields, in_query, (schemas, shown.request)) {
        operation["requestBody"] = body;
    }
    if let Some(permission) = entry.access.permission() {
        operation["x-permission"] = permission.into();
    }
    if matches!(entry.access, Access::UserOr(_)) {
        // A user without the permission gets what is their own.
        operation["x-own"] = true.into();
    }
    operation
}

/// The name of an operation's body: `order.place` takes an `OrderPlaceBody`.
fn body_name(operation: &str) -> String {
    let words = operation.split(['.', '_']).map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + rest
    });
    words.collect::<String>() + "Body"
}

/// The fields of an operation that are not yet assigned to a place.
struct Fields {
    members: Map<String, Value>,
    required: Vec<Value>,
    description: Option<Value>,
}

impl Fields {
    fn of(schema: &Value, method: Method) -> Self {
        let get = |name: &str| schema.get(name).cloned();
        let members = get("properties").and_then(|value| value.as_object().cloned()).unwrap_or_default();
        let nullable = |schema: &mut Value| {
            let clears = schema.as_object_mut().and_then(|schema| schema.remove(CLEARS));
            clears.is_some() || method != Method::Patch
        };
        let member = |(name, mut schema)| {
            let schema = if nullable(&mut schema) { schema } else { without_null(schema) };
            (name, schema)
        };
        Self {
            members: members.into_iter().map(member).collect(),
            required: get("required").and_then(|value| value.as_array().cloned()).unwrap_or_default(),
            description: get("description"),
        }
    }

    fn is_required(&self, name: &str) -> bool {
        self.required.iter().any(|required| required == name)
    }

    /// Takes the fields that are path parameters.
    fn path(&mut self, path: &str) -> Vec<Value> {
        let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let names: Vec<&str> = names.map(|name| name.trim_start_matches('*')).collect();
        let parameter = |name: &&str| {
            let mut schema = self.members.remove(*name).unwrap_or_else(|| json!({"type": "string"}));
            self.required.retain(|required| required != name);
            let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            let description = description.unwrap_or_else(|| json!(format!("The {} in the path.", words_of(name))));
            let schema = without_null(schema);
            json!({"name": name, "in": "path", "required": true, "schema": schema, "description": description})
        };
        names.iter().map(parameter).collect()
    }

    /// Takes all remaining fields as query parameters.
    fn query(&mut self) -> Vec<Value> {
        let members = std::mem::take(&mut self.members);
        members.into_iter().map(|(name, schema)| self.query_parameter(&name, schema)).collect()
    }

    fn query_parameter(&self, name: &str, mut schema: Value) -> Value {
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let schema = without_null(schema);
        let is_map = schema.get("additionalProperties").is_some();
        let mut parameter = json!({"name": name, "in": "query", "required": self.is_required(name), "schema": schema});
        parameter["description"] = match description {
            _ if is_map => json!(format!("Written as `{name}.NAME=value`, once per name.")),
            Some(description) => description,
            None => json!(format!("The {}.", words_of(name))),
        };
        parameter
    }

    fn schema(self) -> Value {
        let mut schema = json!({"type": "object", "properties": self.members, "additionalProperties": false});
        if !self.required.is_empty() {
            schema["required"] = Value::Array(self.required);
        }
        if let Some(description) = self.description {
            schema["description"] = description;
        }
        schema
    }
}

/// The words of a name in camelCase.
fn words_of(name: &str) -> String {
    name.chars().flat_map(|c| c.is_uppercase().then_some(' ').into_iter().chain(c.to_lowercase())).collect()
}

/// A parameter is present or absent, and so is most of a merge patch: it cannot be null.
fn without_null(mut schema: Value) -> Value {
    let Some(members) = schema.as_object_mut() else { return schema };
    if members.get("default").is_some_and(Value::is_null) {
        members.remove("default");
    }
    if let Some(types) = members.get_mut("type").filter(|types| types.is_array()) {
        let named = types.as_array().and_then(|names| names.iter().find(|name| *name != "null").cloned());
        *types = named.unwrap_or_default();
    }
    let variants = members.get("anyOf").and_then(Value::as_array);
    let other = variants.and_then(|variants| variants.iter().find(|variant| variant["type"] != "null").cloned());
    if let Some(Value::Object(other)) = other {
        members.remove("anyOf");
        for (name, value) in other {
            members.entry(name).or_insert(value);
        }
    }
    schema
}

fn header_parameters(entry: &Entry) -> Vec<Value> {
    let mut names = Vec::new();
    if entry.replay == Replay::Keyed {
        names.push("IdempotencyKey");
    }
    if takes_if_match(entry) {
        names.push("IfMatch");
    }
    if entry.versioned && entry.method.is_safe() {
        names.push("IfNoneMatch");
    }
    names.into_iter().map(|name| json!({"$ref": format!("#/components/parameters/{name}")})).collect()
}

/// Whether an operation changes a resource whose version the caller can name.
pub(super) fn takes_if_match(entry: &Entry) -> bool {
    match entry.method {
        Method::Get => false,
        Method::Put | Method::Patch | Method::Delete => true,
        Method::Post => entry.versioned && entry.status == 200,
    }
}

fn body(
    entry: &Entry,
    fields: Fields,
    in_query: bool,
    (schemas, example): (&mut Schemas, Option<&Value>),
) -> Option<Value> {
    match entry.body {
        BodyKind::Stream(types) => {
            let content = types.iter().map(|media_type| ((*media_type).to_owned(), binary()));
            Some(json!({"required": true, "content": content.collect::<Map<_, _>>()}))
        }
        BodyKind::Ignored => None,
        BodyKind::Json if in_query || fields.members.is_empty() => None,
        BodyKind::Json => {
            // Without a body a change would reset something, or do nothing, so it is refused.
            let required = !fields.required.is_empty() || matches!(entry.method, Method::Put | Method::Patch);
            let media_type =
                if entry.method == Method::Patch { "application/merge-patch+json" } else { "application/json" };
            let schema = schemas.add_body(body_name(entry.name), fields.schema());
            let mut content = json!({"application/json": {"schema": schema}});
            if let Some(example) = example {
                content["application/json"]["example"] = example.clone();
            }
            if media_type != "application/json" {
                content[media_type] = content["application/json"].clone();
            }
            Some(json!({"required": required, "content": content}))
        }
    }
}

fn binary() -> Value {
    json!({"schema": {"type": "string", "format": "binary"}})
}

/// Services whose operations for anyone answer differently to a caller that is known: by its prices, limits or orders.
const KNOW_THEIR_CALLERS: [&str; 8] =
    ["product", "promotion", "order", "coupon", "flashsale", "reward", "cart", "payment"];

/// The credentials that an operation takes. An empty object stands for none.
fn security(entry: &Entry) -> Value {
    match entry.access {
        Access::Anyone if entry.service == "order" => {
            json!([{}, {"bearer": []}, {"cartToken": []}, {"orderToken": []}])
        }
        Access::Anyone if ["user.login", "user.register"].contains(&entry.name) => json!([{}, {"cartToken": []}]),
        Access::Anyone if KNOW_THEIR_CALLERS.contains(&entry.service) => json!([{}, {"bearer": []}]),
        Access::Anyone | Access::Signed | Access::Internal => json!([]),
        Access::Guest => json!([{"bearer": []}, {"cartToken": []}]),
        Access::Owner(_) => json!([{"bearer": []}, {"orderToken": []}]),
        Access::User | Access::Account => json!([{"bearer": []}]),
        Access::UserOr(_) | Access::Permission(_) | Access::Checked(_) => json!([{"bearer": []}, {"basic": []}]),
    }
}

/// The responses of an operation. If it `is_list`, damaged rows may be left out, which a header then reports.
fn responses(entry: &Entry, (reply, answer): (Option<Schema>, Option<&Value>), is_list: bool) -> Value {
    let mut success = json!({
        "description": entry.summary,
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}},
    });
    let json = reply.map(|schema| {
        let mut content = json!({"schema": schema});
        if let Some(answer) = answer {
            content["example"] = answer.clone();
        }
        ("application/json", content)
    });
    // JSON under another name has the same schema.
    let same = json.as_ref().map(|(_, content)| content.clone());
    let other = |media_type: &&'static str| match &same {
        Some(same) if media_type.ends_with("+json") => (*media_type, same.clone()),
        _ => (*media_type, content(media_type)),
    };
    let others = entry.media_types.iter().map(other);
    let content: Map<String, Value> = json.into_iter().chain(others).map(|(name, it)| (name.to_owned(), it)).collect();
    let has_content = !content.is_empty();
    if has_content {
        success["content"] = Value::Object(content);
    }
    for name in ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"] {
        success["headers"][name] = json!({"$ref": format!("#/components/headers/{name}")});
    }
    if entry.replay == Replay::Keyed {
        success["headers"]["Idempotent-Replayed"] = json!({"$ref": "#/components/headers/IdempotentReplayed"});
    }
    if entry.versioned {
        success["headers"]["ETag"] = json!({"$ref": "#/components/headers/ETag"});
    }
    if entry.located {
        success["headers"]["Location"] =
            json!({"description": "The path of the work that goes on.", "schema": {"type": "string"}});
    }
    if is_list {
        success["headers"]["Warning"] = json!({"$ref": "#/components/headers/Warning"});
    }
    let mut responses = json!({});
    for status in refusals(entry).into_iter().chain(has_content.then_some(406)).chain(entry.refusals.iter().copied()) {
        responses[status.to_string()] = reference(status);
    }
    responses["default"] = json!({"$ref": "#/components/responses/Problem"});
    for status in entry.other_statuses.iter().chain([&entry.status]) {
        responses[status.to_string()] = success.clone();
    }
    if entry.versioned && entry.method.is_safe() {
        responses["304"] = json!({"$ref": "#/components/responses/NotModified"});
    }
    responses
}

/// The content of a response that is not a value of a JSON schema. One in JSON is a document with a format of its own.
fn content(media_type: &str) -> Value {
    if media_type == "application/json" {
        return json!({"schema": {"type": "object"}});
    }
    let text = media_type.starts_with("text/")
        || media_type.ends_with("text")
        || media_type.ends_with("json")
        || media_type.ends_with("xml");
    if text { json!({"schema": {"type": "string"}}) } else { binary() }
}

/// The response of a refusal.
fn reference(status: u16) -> Value {
    let name = match status {
        400 => "Malformed",
        401 => "Unauthenticated",
        402 => "Declined",
        403 => "Forbidden",
        404 => "NotFound",
        406 => "NotAcceptable",
        409 => "Conflict",
        412 => "Precondition",
        413 => "TooLarge",
        415 => "UnsupportedMedia",
        422 => "Invalid",
        429 => "Throttled",
        503 => "Unavailable",
        _ => "Problem",
    };
    json!({"$ref": format!("#/components/responses/{name}")})
}

/// The statuses of refusals that follow from an operation's access, path and method. A credential is checked wherever one is
/// sent.
fn refusals(entry: &Entry) -> Vec<u16> {
    let mut refusals = vec![400, 401, 422, 429, 503];
    if !matches!(entry.access, Access::Anyone | Access::Signed) {
        refusals.push(403);
    }
    if entry.path.contains('{') {
        refusals.push(404);
    }
    if !entry.method.is_safe() {
        refusals.extend([409, 413, 415]);
    }
    if takes_if_match(entry) {
        refusals.push(412);
    }
    refusals
}
