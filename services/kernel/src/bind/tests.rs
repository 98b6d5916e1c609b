//! Requests that are read, and the faults of those that cannot be.

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
fn null_clears_clearable_members_and_is_refused_elsewhere() {
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
fn values_of_a_wrong_type_get_a_readable_message() {
    let refused = |body: &str| bind_json::<Lines>(body.as_bytes()).unwrap_err().errors()[0].detail.clone();
    for (body, want) in [
        (r#"{"items":[{"sku":5,"quantity":1}]}"#, "must be a string; got 5"),
        (r#"{"items":[{"sku":"A","quantity":-1}]}"#, "must be a whole number from 0 to 4294967295; got -1"),
        (r#"{"items":[{"sku":"A","quantity":"1"}]}"#, "must be a whole number from 0 to 4294967295; got \"1\""),
        (r#"{"items":[{"sku":"A","quantity":1.5}]}"#, "must be a whole number from 0 to 4294967295; got 1.5"),
        (r#"{"items":[{"sku":null,"quantity":1}]}"#, "must be a string; got null"),
        (r#"{"items":{}}"#, "must be an array; got an object"),
        (r#"{"items":[{"sku":"A"}]}"#, "is required"),
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
fn texts_are_converted_to_the_types_of_the_fields() {
    let probe: Probe = request(&[("attr.color", "red"), ("minPrice", "1.50")], "").bind().unwrap();
    assert_eq!(
        (probe.id, probe.attr["color"].as_str(), probe.min_price.unwrap().to_string().as_str()),
        (7, "red", "1.50")
    );
}

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[allow(dead_code, reason = "only its validation errors are checked")]
struct Part {
    sku: crate::Sku,
    quantity: u32,
    note: Option<String>,
}

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[allow(dead_code, reason = "only its validation errors are checked")]
struct Whole {
    id: i64,
    email: crate::Email,
    price: Amount,
    parts: Vec<Part>,
    gift: Option<Part>,
}
crate::operation! { Whole => (), "test.whole", Post "/{id}", Anyone, 200, "A whole." }

#[test]
fn every_fault_is_reported_once() {
    let pointers = |body: &str| {
        let error = request(&[], body).bind::<Whole>().unwrap_err();
        let mut reported: Vec<_> =
            error.errors().iter().map(|item| format!("{} {}", item.pointer, item.code)).collect();
        reported.sort();
        reported.join(", ")
    };
    assert_eq!(pointers("{}"), "/email MISSING, /parts MISSING, /price MISSING");
    assert_eq!(
        pointers(r#"{"email":"x","price":"1,5","parts":[{"sku":"A"},{"sku":"","quantity":-1},{"quantity":1,"x":2}]}"#),
        "/email INVALID_VALUE, /parts/0/quantity MISSING, /parts/1/quantity INVALID_VALUE, /parts/1/sku INVALID_VALUE, \
         /parts/2/sku MISSING, /parts/2/x UNKNOWN_MEMBER, /price INVALID_VALUE"
    );
    assert_eq!(
        pointers(r#"{"id":7,"gift":{"note":5,"y":[]},"parts":{"a":1},"z":null}"#),
        "/email MISSING, /gift/note INVALID_VALUE, /gift/quantity MISSING, /gift/sku MISSING, /gift/y UNKNOWN_MEMBER, \
         /id UNKNOWN_MEMBER, /parts INVALID_VALUE, /price MISSING, /z UNKNOWN_MEMBER"
    );
    let whole = r#"{"email":"a@b.example","price":1,"parts":[{"sku":"A","quantity":1},{"sku":"B","quantity":"2"}]}"#;
    assert_eq!(pointers(whole), "/parts/1/quantity INVALID_VALUE");
    let query = request(&[("minPrice", "x"), ("nope", "1")], "").bind::<Probe>().unwrap_err();
    let query: Vec<_> = query.errors().iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(query, ["?minPrice", "?nope"]);
}

#[test]
fn errors_point_to_the_faulty_members() {
    let pointers = |error: Error| error.errors().iter().map(|e| e.pointer.clone()).collect::<Vec<_>>();
    assert_eq!(pointers(request(&[("nope", "1")], "").bind::<Probe>().unwrap_err()), ["?nope"]);
    assert_eq!(pointers(request(&[("minPrice", "x")], "").bind::<Probe>().unwrap_err()), ["?minPrice"]);
    let mut twice = request(&[("minPrice", "1"), ("minPrice", "2")], "");
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
    assert_eq!(bind_json::<Lines>("[".repeat(40).as_bytes()).unwrap_err().code(), codes::JSON_TOO_DEEP);
}

#[test]
fn a_query_name_is_either_a_value_or_has_members() {
    let refused = |query: &[(&str, &str)]| request(query, "").bind::<Probe>().unwrap_err().errors()[0].pointer.clone();
    assert_eq!(refused(&[("minPrice", "1"), ("minPrice.x", "1")]), "?minPrice");
    assert_eq!(refused(&[("minPrice.x", "1"), ("minPrice", "1")]), "?minPrice");
    assert!(request(&[("attr.color", "red"), ("attr", "x")], "").bind::<Probe>().is_err());
    let deep = format!("attr{}", ".a".repeat(20_000));
    let probe: Probe = request(&[(&deep, "1")], "").bind().unwrap();
    assert_eq!(probe.attr.len(), 1, "only the first dot separates");
    let many: Vec<_> = (0..201).map(|_| ("minPrice", "1")).collect();
    assert_eq!(refused(&many), "?");
}

#[test]
fn a_body_of_many_members_is_refused_quickly_and_an_object_is_no_amount() {
    let members: Vec<_> = (0..100_000).map(|n| format!("\"k{n}\":1")).collect();
    let refused = request(&[], &format!("{{{}}}", members.join(","))).bind::<Whole>().unwrap_err();
    assert!(refused.errors().iter().any(|fault| fault.code == codes::UNKNOWN_MEMBER));
    let pointer = |price: &str| {
        let body = format!(r#"{{"email":"a@b.example","price":{price},"parts":[]}}"#);
        request(&[], &body).bind::<Whole>().unwrap_err().errors()[0].pointer.clone()
    };
    assert_eq!(pointer(r#"{"a":1}"#), "/price");
    assert_eq!(pointer(r#"{"$serde_json::private::Number":"7"}"#), "/price");
}

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[allow(dead_code, reason = "only its validation errors are checked")]
struct Login {
    password: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    count: Option<u32>,
    choice: Option<Choice>,
}
crate::operation! { Login => (), "test.login", Post "/{id}", Anyone, 200, "A login." }

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its validation errors are checked")]
enum Choice {
    One(String),
    Many(Vec<u8>),
}

/// The faults of a refused login, each with its pointer, code and detail.
fn login_faults(query: &[(&str, &str)], body: &str) -> Vec<(String, String, String)> {
    let mut request = Request { path: Vec::new(), ..request(query, body) };
    let error = request.bind::<Login>().unwrap_err();
    assert_eq!(error.kind(), Kind::Schema, "{body}: {error:?}");
    let fault = |fault: &FieldError| (fault.pointer.clone(), fault.code.to_string(), fault.detail.clone());
    error.errors().iter().map(fault).collect()
}

fn pointers_and_codes(query: &[(&str, &str)], body: &str) -> Vec<(String, String)> {
    login_faults(query, body).into_iter().map(|(pointer, code, _)| (pointer, code)).collect()
}

fn pair(pointer: &str, code: &str) -> (String, String) {
    (pointer.to_owned(), code.to_owned())
}

#[test]
fn members_of_a_body_are_not_taken_from_the_query() {
    let stray = pointers_and_codes(&[("password", "secret")], "");
    assert_eq!(stray, [pair("/password", MISSING), pair("?password", codes::UNKNOWN_MEMBER)]);
    let stray = pointers_and_codes(&[("tags.a", "1")], r#"{"password":"secret"}"#);
    assert_eq!(stray, [pair("?tags.a", codes::UNKNOWN_MEMBER)]);
}

#[test]
fn a_mistyped_member_is_named_with_the_one_that_was_meant() {
    let whole =
        r#"{"email":"a@b.example","price":"1","parts":[{"sku":"A","quantity":1,"quantiy":2}],"gfit":null,"zzz":1}"#;
    let details = |error: &Error| error.errors().iter().map(|fault| fault.detail.clone()).collect::<Vec<_>>();
    let mut found = details(&request(&[], whole).bind::<Whole>().unwrap_err());
    found.sort();
    let expected = ["gfit: did you mean \"gift\"?", "quantiy: did you mean \"quantity\"?", "zzz"];
    assert_eq!(found, expected.map(|rest| format!("unknown member {rest}")));
    let error = request(&[("minPrcie", "1")], "").bind::<Probe>().unwrap_err();
    assert_eq!(details(&error), ["unknown member minPrcie: did you mean \"minPrice\"?"]);
}

#[test]
fn a_member_that_is_given_twice_is_refused_wherever_it_is() {
    for (body, pointer) in [
        (r#"{"password":"a","password":"b"}"#, "/password"),
        (r#"{"password":"a","tags":{"x":"1","y":"2","x":"3"}}"#, "/tags/x"),
        (r#"{"password":"a","tags":{"caf\u00e9":"1","cafe\u0301":"2"}}"#, "/tags/café"),
    ] {
        assert_eq!(pointers_and_codes(&[], body), [pair(pointer, codes::DUPLICATE_MEMBER)], "{body}");
    }
    let both = pointers_and_codes(&[], r#"{"password":"a","tags":{"x":"1","x":"2","y":"3","y":"4"},"z":1}"#);
    assert_eq!(both.len(), 3, "{both:?}");
}

#[test]
fn pointers_are_escaped() {
    let found = pointers_and_codes(&[], r#"{"password":"a","tags":{"a/b~c":1},"d/e":2}"#);
    assert_eq!(found, [pair("/tags/a~1b~0c", codes::INVALID_VALUE), pair("/d~1e", codes::UNKNOWN_MEMBER)]);
    let detail = &login_faults(&[], r#"{"password":"a","d/e":2}"#)[0].2;
    assert_eq!(detail, "unknown member d/e");
}

#[test]
fn numbers_that_no_type_holds_are_faults_and_no_syntax_errors() {
    for number in ["1e400", "-1e400", "1e-400", "1.5", "15e-1", "99999999999999999999", "-1", "-1e0"] {
        let body = format!(r#"{{"password":"a","count":{number}}}"#);
        let found = login_faults(&[], &body);
        assert_eq!(found[0].0, "/count", "{body}");
        assert_eq!(found[0].2, format!("must be a whole number from 0 to 4294967295; got {number}"));
        for member in ["password", "choice"] {
            let body = format!(r#"{{"password":"a","{member}":{number}}}"#)
                .replace(r#""password":"a","password""#, r#""password""#);
            assert_eq!(login_faults(&[], &body)[0].0, format!("/{member}"), "{body}");
        }
    }
}

#[test]
fn no_message_names_a_type_of_rust() {
    let wrong = ["null", "true", "1.5", "1e400", "[]", "[300]", "[[1]]", "{}", r#"{"a":{"b":1}}"#, r#""x""#];
    for member in ["password", "tags", "count", "choice"] {
        for value in wrong {
            if (member, value) == ("password", r#""x""#) {
                continue;
            }
            let body = format!(r#"{{"{member}":{value}}}"#);
            for (_, _, detail) in login_faults(&[], &body) {
                for word in ["invalid type", "untagged", "variant", "struct", "integral", "u32", "u8", "map", "unit"] {
                    assert!(!detail.contains(word), "{body}: {detail}");
                }
            }
        }
    }
}

#[test]
fn a_whole_number_is_read_however_it_is_written() {
    for (number, quantity) in
        [("2.0", 2), ("2e0", 2), ("20E-1", 2), ("0.02e+2", 2), ("1.50e2", 150), ("-0.0", 0), ("0e9", 0)]
    {
        let part = super::bind_json::<Part>(format!(r#"{{"sku":"A","quantity":{number}}}"#).as_bytes());
        assert_eq!(part.unwrap().quantity, quantity, "{number}");
    }
    let path = Request { path: vec![("id".to_owned(), "7.0".to_owned())], ..request(&[], "") };
    assert!({ path }.bind::<Probe>().is_err(), "a resource has one address");
}
