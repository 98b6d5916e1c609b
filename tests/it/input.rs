//! Invalid input to every operation of the API description: each is refused with a problem that points at the fault,
//! and nothing changes.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::shop::{Shop, order_of};

/// An operation of the API description.
pub(crate) struct Operation {
    pub(crate) method: String,
    pub(crate) path: String,
    described: Value,
}

impl Operation {
    pub(crate) fn body(&self) -> Option<&Value> {
        self.described.pointer("/requestBody/content/application~1json/schema")
    }

    fn required(&self) -> Vec<&str> {
        let required = self.body().and_then(|schema| schema["required"].as_array());
        required.map(|names| names.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    }

    /// Whether it follows Eureka's conventions, which its clients rely on, and not ours.
    fn is_of_eureka(&self) -> bool {
        self.path.starts_with("/eureka")
    }

    /// Whether it takes its parameters from the query although it is no GET: then it ignores a body.
    fn ignores_body(&self) -> bool {
        let parameters = self.described["parameters"].as_array().into_iter().flatten();
        self.method == "POST" && parameters.into_iter().any(|parameter| parameter["in"] == "query")
    }

    fn accepts_stream(&self) -> bool {
        self.body().is_none() && self.described.get("requestBody").is_some_and(|body| !body["content"].is_null())
            || self.path.contains("webhooks")
    }

    /// The path with parameters filled in; the id belongs to no resource.
    fn example_path(&self) -> String {
        let mut path = self.path.clone();
        for (name, value) in [
            ("id", "987654"),
            ("fid", "1"),
            ("rid", "1"),
            ("sku", "A"),
            ("slug", "a"),
            ("key", "x"),
            ("name", "X"),
            ("provider", "sandbox"),
        ] {
            path = path.replace(&format!("{{{name}}}"), value);
        }
        path
    }

    fn media_type(&self) -> &'static str {
        if self.method == "PATCH" { "application/merge-patch+json" } else { "application/json" }
    }

    pub(crate) async fn send(&self, client: &Client, body: impl Into<Bytes>) -> Answer {
        client.send(&self.method, &self.example_path(), self.media_type(), body.into()).await.unwrap()
    }

    fn has_query(&self, name: &str) -> bool {
        self.described["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .any(|item| item["in"] == "query" && item["name"] == name)
    }
}

pub(crate) async fn operations(shop: &Shop) -> Vec<Operation> {
    let document = shop.anyone.get("/openapi.json").await.expect(200);
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, described) in methods.as_object().unwrap() {
            let mut described = described.clone();
            if let Some(body) = described.pointer_mut("/requestBody/content/application~1json/schema")
                && let Some(pointer) = body["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'))
            {
                *body = document.pointer(pointer).unwrap().clone();
            }
            operations.push(Operation { method: method.to_uppercase(), path: path.clone(), described });
        }
    }
    operations
}

/// Asserts that the answer is a problem document with one of these statuses, and returns it.
#[track_caller]
pub(crate) fn problem(answer: &Answer, statuses: &[u16], context: &str) -> Value {
    let text = String::from_utf8_lossy(&answer.bytes);
    assert!(statuses.contains(&answer.status), "{context}: {} {text}", answer.status);
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{context}");
    let body = answer.json();
    for member in ["type", "title", "detail", "instance", "code", "requestId"] {
        assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{context}: no {member}: {body}");
    }
    assert_eq!(body["status"], answer.status, "{context}");
    assert_eq!(answer.headers["x-request-id"], body["requestId"].as_str().unwrap(), "{context}");
    let code = body["code"].as_str().unwrap();
    assert!(
        code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte.is_ascii_digit()),
        "{context}: {code}"
    );
    body
}

/// Pointers of a problem's faults.
pub(crate) fn pointers(problem: &Value) -> Vec<&str> {
    problem["errors"]
        .as_array()
        .map(|errors| errors.iter().filter_map(|error| error["pointer"].as_str()).collect())
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_member_of_every_body_is_validated() {
    let shop = Shop::start().await;
    let mut checked = 0;
    for operation in operations(&shop).await.iter().filter(|item| item.method != "GET" && item.method != "DELETE") {
        if operation.accepts_stream() || operation.is_of_eureka() || operation.ignores_body() {
            continue;
        }
        let context = format!("{} {}", operation.method, operation.path);
        for (body, statuses) in [
            ("{\"a\":", &[400][..]),
            ("[1]", &[400, 422]),
            ("\"text\"", &[400, 422]),
            ("null", &[400, 422]),
            ("{\"a\":1}{}", &[400]),
            ("\u{7f}", &[400]),
        ] {
            problem(&operation.send(&shop.admin, body).await, statuses, &format!("{context} {body}"));
        }
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(40), "]".repeat(40));
        assert_eq!(problem(&operation.send(&shop.admin, deep).await, &[400], &context)["code"], "JSON_TOO_DEEP");
        let unknown = problem(&operation.send(&shop.admin, "{\"noSuchMember\":1}").await, &[422], &context);
        let members = operation.body().and_then(|schema| schema["properties"].as_object());
        let known = |pointer: &str| members.is_some_and(|member| member.contains_key(pointer.trim_start_matches('/')));
        let faults = pointers(&unknown);
        assert!(faults.contains(&"/noSuchMember"), "{context}: {unknown}");
        assert!(faults.iter().all(|item| *item == "/noSuchMember" || known(item)), "{context}: {unknown}");
        if !operation.required().is_empty() {
            let empty = problem(&operation.send(&shop.admin, "{}").await, &[422], &context);
            for name in operation.required() {
                assert!(pointers(&empty).contains(&format!("/{name}").as_str()), "{context}: {name} in {empty}");
            }
        }
        checked += check_wrong_types(&shop, operation, &context).await;
    }
    assert!(checked > 150, "{checked}");
    shop.close().await;
}

/// Sends each member with values of wrong types, and returns the number of members.
async fn check_wrong_types(shop: &Shop, operation: &Operation, context: &str) -> usize {
    let Some(members) = operation.body().and_then(|schema| schema["properties"].as_object()) else { return 0 };
    for (name, schema) in members {
        // Unknown members of a nested object are reported only when everything else is valid.
        let scalar = !schema["type"].is_null() && !schema["type"].to_string().contains("object");
        for wrong in [json!([[[1]]]), json!({"nope": {"nope": 1}}), json!(1e300)] {
            if wrong.is_object() && !scalar {
                continue;
            }
            let body = json!({ name: wrong }).to_string();
            let answer = operation.send(&shop.admin, body.clone()).await;
            let context = format!("{context} {body}");
            if answer.status == 404 && operation.path.contains('{') {
                // The resource is looked up before the body is validated.
                problem(&answer, &[404], &context);
                continue;
            }
            let (refused, pointer) = (problem(&answer, &[422], &context), format!("/{name}"));
            assert!(pointers(&refused).iter().any(|item| item.starts_with(&pointer)), "{context}: {refused}");
        }
    }
    let all_wrong: serde_json::Map<String, Value> = members.keys().map(|name| (name.clone(), json!([[[1]]]))).collect();
    let answer = operation.send(&shop.admin, Value::Object(all_wrong).to_string()).await;
    if answer.status != 404 || !operation.path.contains('{') {
        let refused = problem(&answer, &[422], context);
        for name in members.keys() {
            let pointer = format!("/{name}");
            assert!(
                pointers(&refused).iter().any(|item| item.starts_with(&pointer)),
                "{context}: no {name} in {refused}"
            );
        }
    }
    members.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_declare_the_success_statuses_of_their_method() {
    let shop = Shop::start().await;
    for operation in operations(&shop).await {
        let declared: Vec<&str> = operation.described["responses"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .filter(|status| status.starts_with('2'))
            .collect();
        let allowed: &[&str] = match operation.method.as_str() {
            // A verification that takes longer goes on after the answer.
            "GET" if operation.path == "/api/ops/verify" => &["200", "202"],
            "GET" => &["200"],
            "POST" => &["200", "201", "202", "204"],
            "DELETE" if operation.is_of_eureka() => &["200"],
            "DELETE" => &["204", "202"],
            _ => &["200", "204"],
        };
        let context = format!("{} {}: {declared:?}", operation.method, operation.path);
        assert!(!declared.is_empty() && declared.iter().all(|status| allowed.contains(status)), "{context}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_shared_by_operations_are_described_in_full() {
    let shop = Shop::start().await;
    let operations = operations(&shop).await;
    let members = |method: &str, path: &str| {
        let found = operations.iter().find(|operation| operation.method == method && operation.path == path).unwrap();
        found.body().map(|schema| schema["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>())
    };
    let order = members("POST", "/api/orders").unwrap();
    assert!(order.len() > 10, "{order:?}");
    assert_eq!(members("POST", "/api/orders/quote"), Some(order));
    for settings in ["store", "shipping", "taxes", "payments"] {
        for method in ["PUT", "PATCH"] {
            assert!(members(method, &format!("/api/settings/{settings}")).is_some(), "{method} {settings}");
        }
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_validate_limits_and_cursors() {
    let shop = Shop::start().await;
    shop.product("A", "1.00", 1).await;
    let mut lists = 0;
    for operation in operations(&shop).await.iter().filter(|item| item.method == "GET") {
        let (path, context) = (operation.example_path(), format!("GET {}", operation.path));
        let unknown = shop.admin.get(&format!("{path}?noSuchMember=1")).await;
        if operation.is_of_eureka() {
            assert!(matches!(unknown.status, 200 | 404), "{context}");
            continue;
        }
        problem(&unknown, &[422, 404], &context);
        if !operation.has_query("limit") {
            continue;
        }
        lists += 1;
        for limit in ["0", "201", "-1", "x", "1.5", "99999999999999999999", ""] {
            let refused = problem(&shop.admin.get(&format!("{path}?limit={limit}")).await, &[422], &context);
            assert_eq!(pointers(&refused), ["?limit"], "{context} {limit}");
        }
        for limit in [1, 200] {
            let answer = shop.admin.get(&format!("{path}?limit={limit}")).await;
            assert!(
                answer.status == 200 || answer.status == 404 && operation.path.contains('{'),
                "{context}: {answer:?}"
            );
        }
        for cursor in ["", "x", "%00", "AAAAAAAAAAAAAAAAAAAAAAAAAAAA", "////", "%F0%9F%90%8C", &"A".repeat(3_000)] {
            let answer = shop.admin.get(&format!("{path}?cursor={cursor}")).await;
            assert!(answer.status < 500, "{context} cursor {cursor}: {answer:?}");
        }
    }
    assert!(lists >= 12, "{lists}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_ids_paths_and_methods_are_refused() {
    let shop = Shop::start().await;
    for operation in operations(&shop).await {
        let context = format!("{} {}", operation.method, operation.path);
        if operation.path.contains("{id}") {
            for id in ["x", "-1", "0", "1.5", "99999999999999999999", "%00", "1%2F2", "%F0%9F"] {
                let path = operation.path.replace("{id}", id);
                let path = path.replace("{fid}", "1").replace("{rid}", "1");
                let answer =
                    shop.admin.send(&operation.method, &path, operation.media_type(), "{}".into()).await.unwrap();
                problem(&answer, &[400, 404, 422], &format!("{context} {id}"));
            }
        }
        if operation.method == "GET" {
            let get = shop.admin.get(&operation.example_path()).await;
            let head =
                shop.admin.send("HEAD", &operation.example_path(), "application/json", Bytes::new()).await.unwrap();
            assert_eq!((head.status, head.bytes.len()), (get.status, 0), "{context}");
        }
    }
    for (method, path) in
        [("PUT", "/api/orders"), ("DELETE", "/api/orders/1"), ("POST", "/api/users/me"), ("PATCH", "/api/carts")]
    {
        let answer = shop.admin.send(method, path, "application/json", "{}".into()).await.unwrap();
        problem(&answer, &[405], path);
        assert!(!answer.headers["allow"].is_empty(), "{path}");
    }
    for path in ["/api/nothing", "/api", "/nope", "/api/orders/", "/api//orders", "/api/orders/1/nope"] {
        problem(&shop.admin.get(path).await, &[404], path);
    }
    let unknown_method = shop.admin.send("BREW", "/api/orders", "application/json", Bytes::new()).await.unwrap();
    problem(&unknown_method, &[405, 501], "BREW");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_is_exact_or_refused() {
    let shop = Shop::start().await;
    let product = |price: &str| format!("{{\"sku\":{},\"name\":\"M\",\"price\":{price}}}", json!(price));
    for price in [
        "\"1.001\"",
        "1.001",
        "\"1e2\"",
        "\"NaN\"",
        "\"Infinity\"",
        "\"\"",
        "\"1,50\"",
        "\"-0.01\"",
        "-1",
        "1e400",
        "\"0x10\"",
        "\"1000000000000000000.01\"",
        "\"99999999999999999999999999999999999999\"",
        "true",
        "null",
        "\"1.2.3\"",
        "\"--1\"",
        "\"\u{661}\"",
    ] {
        let answer = shop.admin.send("POST", "/api/products", "application/json", product(price).into()).await.unwrap();
        let refused = problem(&answer, &[422], price);
        assert_eq!(pointers(&refused), ["/price"], "{price}");
    }
    assert_eq!(shop.all("/api/products").await, Vec::<Value>::new());
    for (sent, stored) in [
        ("19.90", "19.90"),
        ("\"19.9\"", "19.90"),
        ("0.1", "0.10"),
        ("\"1000000000000000\"", "1000000000000000.00"),
        ("0", "0.00"),
        ("12345678901234.56", "12345678901234.56"),
    ] {
        let answer = shop.admin.send("POST", "/api/products", "application/json", product(sent).into()).await.unwrap();
        assert_eq!(answer.expect(201)["price"], stored, "{sent}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_that_overflow_are_refused() {
    let shop = Shop::start().await;
    shop.product("BIG", "9999999999999999.00", 1_000_000).await;
    shop.product("BIG2", "9999999999999999.00", 1_000_000).await;
    let cases = [&[("BIG", 1_000_000)][..], &[("BIG", 1), ("BIG2", 1)]];
    for lines in cases {
        for path in ["/api/orders", "/api/orders/quote"] {
            let answer = shop.anyone.post(path, &order_of(lines, "tok_visa")).await;
            assert_eq!(problem(&answer, &[422], path)["code"], "AMOUNT_TOO_LARGE");
        }
    }
    assert_eq!(shop.stock_of("BIG").await, (1_000_000, 0));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn type_length_and_encoding_of_bodies_are_checked() {
    let shop = Shop::start().await;
    let body = json!({"sku": "T", "name": "T", "price": "1.00"}).to_string();
    let send = |media: &'static str, body: String| {
        let admin = shop.admin.clone();
        async move { admin.send("POST", "/api/products", media, body.into()).await.unwrap() }
    };
    for media in ["text/plain", "application/x-www-form-urlencoded", "text/csv", "nonsense", "application/jsonp"] {
        problem(&send(media, body.clone()).await, &[415], media);
    }
    let gzipped = shop.admin.with("content-encoding", "gzip");
    problem(&gzipped.post("/api/products", &json!({})).await, &[415], "gzip");
    let long = json!({"sku": "T", "name": "T", "price": "1.00", "description": "x".repeat(3 << 20)}).to_string();
    problem(&send("application/json", long).await, &[413], "3 MiB");
    let twice = "{\"sku\":\"T\",\"sku\":\"U\",\"name\":\"T\",\"price\":\"1.00\"}".to_owned();
    let refused = problem(&send("application/json", twice).await, &[422], "twice");
    assert_eq!(pointers(&refused), ["/sku"]);
    let latin =
        shop.admin.send("POST", "/api/products", "application/json", Bytes::from_static(b"{\"name\":\"\xe9\"}"));
    problem(&latin.await.unwrap(), &[400], "not UTF-8");
    send("application/json; charset=utf-8", body).await.expect(201);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_headers_are_refused_or_ignored() {
    let shop = Shop::start().await;
    shop.product("A", "1.00", 10).await;
    let body = order_of(&[("A", 1)], "tok_visa");
    let long = "k".repeat(256);
    for key in ["", long.as_str()] {
        problem(&shop.anyone.key(key).post("/api/orders", &body).await, &[400], "key");
    }
    shop.anyone.key(&"k".repeat(255)).post("/api/orders", &body).await.expect(201);
    for token in ["Basic dXNlcjpwYXNz", "Bearer", "Bearer a b", "Bearer \u{20ac}", "garbage"] {
        let answer = shop.anyone.with("authorization", token).get("/api/users/me").await;
        problem(&answer, &[401], token);
        assert!(answer.headers.contains_key("www-authenticate"), "{token}");
    }
    for (tag, status) in
        [("7", 400), ("\"7", 400), ("W/\"1\"", 412), ("\"x\"", 412), ("\"98\",\"99\"", 412), ("*", 200)]
    {
        let answer = shop.admin.with("if-match", tag).patch("/api/products/1", &json!({"name": "B"})).await;
        assert_eq!(answer.status, status, "{tag}");
    }
    let traced = shop.anyone.with("x-request-id", "mine-42").get("/api/products/999").await;
    assert_eq!(problem(&traced, &[404], "id")["requestId"], "mine-42");
    let malformed = shop.anyone.with("x-request-id", "a b\tc").get("/api/products/999").await;
    assert_ne!(problem(&malformed, &[404], "id")["requestId"], "a b\tc");
    let html = shop.anyone.with("accept", "text/html").get("/api/products/999").await;
    problem(&html, &[404], "problems ignore Accept");
    let either = shop.admin.with("if-match", "\"99\", W/\"1\", \"2\"");
    either.patch("/api/products/1", &json!({"name": "A"})).await.expect(200);
    let huge = shop.anyone.with("x-huge", "x".repeat(200_000)).send("GET", "/api/products", "", Bytes::new()).await;
    assert!(huge.as_ref().map_or(true, |answer| answer.status == 431), "{huge:?}");
    assert_eq!(shop.settled_stock("A").await, 9);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_price_bounds_countries_and_referral_codes_are_refused() {
    let shop = Shop::start().await;
    shop.product("A", "1.00", 10).await;
    for (query, pointer) in [("minPrice=1.001", "?minPrice"), ("maxPrice=0.999", "?maxPrice")] {
        let refused = problem(&shop.anyone.get(&format!("/api/products?{query}")).await, &[422], query);
        assert_eq!(refused["errors"][0]["pointer"], pointer);
    }
    let found = shop.anyone.get("/api/products?minPrice=1.000&maxPrice=1").await.expect(200);
    assert_eq!(found["total"], 1);
    let address = |country: &str| json!({"name": "A", "line1": "1 Road", "city": "Town", "country": country});
    let mut body = order_of(&[("A", 1)], "tok_visa");
    for country in ["UK", "ZZ", "GBR", ""] {
        body["shippingAddress"] = address(country);
        let refused = problem(&shop.anyone.post("/api/orders", &body).await, &[422], country);
        assert_eq!(refused["errors"][0]["pointer"], "/shippingAddress/country");
    }
    let zone = |country: &str| {
        let method = json!({"method": "STANDARD", "name": "Standard", "amount": "2.00"});
        json!({"zones": [{"name": "Z", "countries": [country], "methods": [method]}]})
    };
    let refused = shop.admin.patch("/api/settings/shipping", &zone("UK")).await.expect(422);
    assert_eq!(refused["errors"][0]["pointer"], "/zones/0/countries/0");
    let saved = shop.admin.patch("/api/settings/shipping", &zone("gb")).await.expect(200);
    assert_eq!(saved["zones"][0]["countries"][0], "GB");
    body["shippingAddress"] = address("gb");
    let order = shop.anyone.post("/api/orders", &body).await.expect(201);
    assert_eq!((&order["shippingAddress"]["country"], &order["totals"]["shipping"]), (&json!("GB"), &json!("2.00")));
    let account =
        json!({"email": "new@example.com", "password": crate::shop::PASSWORD, "referralCode": "NOBODY-HAS-IT"});
    let refused = shop.anyone.post("/api/auth/register", &account).await.expect(422);
    assert_eq!(refused["errors"][0]["pointer"], "/referralCode");
    assert_eq!(refused["errors"][0]["code"], "REFERRAL_CODE_UNKNOWN");
    shop.customer("new@example.com").await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_has_the_format_that_accept_or_the_query_names() {
    let shop = Shop::start().await;
    shop.product("A", "1.00", 10).await;
    let export = async |accept: &str, query: &str| {
        let client = if accept.is_empty() { shop.admin.clone() } else { shop.admin.with("accept", accept) };
        client.get(&format!("/api/products/export{query}")).await
    };
    for (accept, query, media_type) in [
        ("", "", "text/csv"),
        ("*/*", "", "text/csv"),
        ("text/csv", "", "text/csv"),
        ("application/x-ndjson", "", "application/x-ndjson"),
        ("text/csv;q=0.5, application/*", "", "application/x-ndjson"),
        ("*/*", "?format=ndjson", "application/x-ndjson"),
    ] {
        let answer = export(accept, query).await;
        answer.expect(200);
        assert_eq!(answer.headers["content-type"], media_type, "{accept} {query}");
    }
    export("text/html", "").await.refused(406, "NOT_ACCEPTABLE");
    export("text/csv", "?format=ndjson").await.refused(406, "NOT_ACCEPTABLE");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_cannot_be_read_hides_no_other_fault() {
    let shop = Shop::start().await;
    let (hour, action) = (json!({"from": 9}), json!({"type": "PERCENT_OFF", "value": "x"}));
    for (method, path, body, wanted) in [
        (
            "PATCH",
            "/api/rewards/settings",
            json!({"pendingDays": 900, "signupBonus": "x", "expiryMonths": 0, "minSharePercent": "101"}),
            &["/expiryMonths", "/minSharePercent", "/pendingDays", "/signupBonus"][..],
        ),
        (
            "POST",
            "/api/promotions",
            json!({"name": "", "priority": "x", "schedule": hour, "actions": [action, {"type": "GIFT", "quantity": 0}]}),
            &["/actions/0/value", "/actions/1/quantity", "/actions/1/sku", "/name", "/priority", "/schedule/from"],
        ),
        (
            "POST",
            "/api/auth/register",
            json!({"email": "x", "password": "short", "name": "", "nope": 1}),
            &["/email", "/name", "/nope", "/password"],
        ),
        (
            "POST",
            "/api/orders",
            json!({"items": [{"sku": "A", "quantity": 0}, {"sku": 1, "quantity": 1}], "note": "x".repeat(3_000)}),
            &["/items/0/quantity", "/items/1/sku", "/note"],
        ),
        (
            "POST",
            "/api/campaigns",
            json!({"name": "", "startsAt": "soon", "budget": "-1"}),
            &["/budget", "/name", "/startsAt"],
        ),
        ("PATCH", "/api/settings/store", json!({"returnDays": "x", "timezone": "Mars"}), &["/returnDays", "/timezone"]),
        ("POST", "/api/products", json!({"sku": "A", "name": "", "price": "x"}), &["/name", "/price"]),
    ] {
        let answer = shop.admin.send(method, path, "application/json", body.to_string().into()).await.unwrap();
        let refused = problem(&answer, &[422], path);
        let mut pointed = pointers(&refused);
        pointed.sort_unstable();
        assert_eq!(pointed, wanted, "{path}: {refused}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_described_by_a_schema_of_its_own_or_a_media_type() {
    let shop = Shop::start().await;
    for operation in operations(&shop).await {
        let what = format!("{} {}", operation.method, operation.path);
        for (status, response) in operation.described["responses"].as_object().unwrap() {
            let media_types = response["content"].as_object().into_iter().flatten().map(|(name, _)| name);
            assert!(media_types.clone().all(|name| !name.contains('*')), "{what} {status}");
            let has_content = status.starts_with('2') && status != "204" && !operation.is_of_eureka();
            assert!(!has_content || media_types.count() > 0, "{what} {status}");
        }
    }
    let document = shop.anyone.get("/openapi.json").await.expect(200);
    // Two types of one name are told apart by a number, which depends on the order of registration.
    let numbered = |name: &&String| name.ends_with(|last: char| last.is_ascii_digit());
    let schemas = document["components"]["schemas"].as_object().unwrap();
    assert_eq!(schemas.keys().filter(numbered).collect::<Vec<_>>(), Vec::<&String>::new());
    shop.close().await;
}
