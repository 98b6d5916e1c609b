//! Requests and responses: routes, bodies, headers, errors.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Rig, request};
use crate::http::Conflict;

#[tokio::test]
async fn a_route_binds_path_and_query() {
    let rig = Rig::start(&[]).await;
    let answer = rig.get("/things/7?tag=a%20b").await;
    assert_eq!((answer.status, answer.json()), (200, json!({"id": 7, "name": "a b", "version": 3})));
    let tag = answer.header("etag").to_owned();
    assert!(tag.starts_with("\"3-"), "{tag}");
    let known = rig.ask("GET /things/7?tag=a%20b", &[("if-none-match", &tag)], "").await;
    assert_eq!((known.status, known.body.as_str(), known.header("etag")), (304, "", &*tag));
    assert_eq!(rig.ask("GET /things/7?tag=c", &[("if-none-match", &tag)], "").await.json()["name"], "c");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert!(!answer.header("x-request-id").is_empty() && !answer.header("ratelimit-remaining").is_empty());
    assert_eq!(rig.get("/things/named/a%2Fb%20%C3%A9").await.json()["name"], "a/b é");
    assert_eq!(rig.get("/things/named/%FF").await.code(), "MALFORMED_PATH");
}

#[tokio::test]
async fn what_is_not_there_is_said_so() {
    let rig = Rig::start(&[]).await;
    let nothing = rig.ask("GET /nope", &[("x-request-id", "mine")], "").await;
    assert_eq!((nothing.status, nothing.header("content-type")), (404, "application/problem+json"));
    let problem = nothing.json();
    assert_eq!(
        (&problem["requestId"], &problem["instance"], &problem["status"]),
        (&json!("mine"), &json!("/nope"), &json!(404))
    );
    let other = rig.ask("DELETE /things/7", &[], "").await;
    assert_eq!((other.status, other.header("allow")), (405, "GET, PATCH, HEAD, OPTIONS"));
    assert_eq!(rig.ask("OPTIONS /things/7", &[], "").await.status, 204);
    assert_eq!(rig.ask("BREW /things/7", &[], "").await.status, 405);
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let rig = Rig::start(&[]).await;
    let (whole, head) = (rig.get("/things/7").await, rig.ask("HEAD /things/7", &[], "").await);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), whole.header("content-length"));
}

#[tokio::test]
async fn bad_requests_are_pointed_at() {
    let rig = Rig::start(&[("PROMOX_LIMITS__BODY_BYTES", "2048")]).await;
    let table = [
        ("{", 400, "MALFORMED_JSON", ""),
        ("{\"name\":7}", 422, "VALIDATION_FAILED", "/name"),
        ("{}", 422, "VALIDATION_FAILED", "/name"),
        ("{\"name\":\"x\",\"nmae\":1}", 422, "VALIDATION_FAILED", "/nmae"),
        ("[]", 422, "VALIDATION_FAILED", ""),
    ];
    for (body, status, code, pointer) in table {
        let answer = rig.post("/things", &[], body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}");
        if !pointer.is_empty() {
            assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{body}");
        }
    }
    assert_eq!(rig.get("/things/x").await.json()["errors"][0]["pointer"], "?id");
    assert_eq!(rig.get("/things/7?nope=1").await.json()["errors"][0]["pointer"], "?nope");
    let long = format!("{{\"name\":\"{}\"}}", "x".repeat(3_000));
    assert_eq!(rig.post("/things", &[], &long).await.code(), "BODY_TOO_LARGE");
    let chunked = format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
    let headers = [("content-type", "application/json"), ("transfer-encoding", "chunked")];
    let answer = rig.send(&(request("POST /things", &headers, "") + &chunked)).await;
    assert_eq!(answer.code(), "BODY_TOO_LARGE", "a body without an announced length is counted as it comes");
    assert_eq!(rig.ask("POST /things", &[("content-type", "text/plain")], "{}").await.status, 415);
    assert_eq!(rig.ask("POST /things", &[], "{}").await.status, 415);
    assert_eq!(rig.post("/things", &[("content-encoding", "gzip")], "{}").await.status, 415);
    assert_eq!(rig.ask("GET /things/7", &[("content-type", "application/json")], "{}").await.code(), "BODY_NOT_TAKEN");
    assert_eq!(rig.probe.made.load(std::sync::atomic::Ordering::Relaxed), 0, "nothing was made");
}

#[tokio::test]
async fn conditions_and_callers_are_checked() {
    let rig = Rig::start(&[]).await;
    for (tag, status) in
        [("\"3\"", 200), ("\"2\", \"3\"", 200), ("*", 200), ("\"2\"", 412), ("W/\"3\"", 412), ("3", 400)]
    {
        let headers = [("content-type", "application/merge-patch+json"), ("if-match", tag)];
        assert_eq!(rig.ask("PATCH /things/7", &headers, "{}").await.status, status, "{tag}");
    }
    let secret = async |token: &str| {
        let headers = [("authorization", token)];
        rig.ask("GET /secret", if token.is_empty() { &[] } else { &headers }, "").await
    };
    for (token, status) in
        [("", 401), ("Bearer reader", 200), ("Bearer nobody", 403), ("Bearer forged", 401), ("Basic x", 401)]
    {
        assert_eq!(secret(token).await.status, status, "{token}");
    }
    assert_eq!(secret("Bearer reader").await.json()["name"], "user:7");
    assert_eq!(secret("").await.header("www-authenticate"), "Bearer");
    assert_eq!(rig.ask("GET /things/7", &[("authorization", "Bearer forged")], "").await.status, 401);
}

#[tokio::test]
async fn our_own_faults_tell_nothing() {
    let rig = Rig::start(&[]).await;
    let broken = rig.post("/things", &[], "{\"name\":\"broken\"}").await;
    assert_eq!((broken.status, broken.code().as_str()), (500, "INTERNAL"));
    assert!(!broken.body.contains("secret cause"));
    let panicked = rig.get("/fail").await;
    assert_eq!((panicked.status, panicked.code().as_str()), (500, "INTERNAL"));
    assert_eq!(rig.get("/things/7").await.status, 200, "and the server goes on");
}

#[tokio::test]
async fn uploads_stream_in_and_large_answers_are_compressed() {
    let rig = Rig::start(&[("PROMOX_SERVER__CORS_ORIGINS", "https://shop.example")]).await;
    let csv = "a,b\n".repeat(1_000);
    let answer = rig.ask("POST /upload", &[("content-type", "text/CSV; charset=utf-8")], &csv).await;
    assert_eq!(answer.json(), json!({"bytes": 4000, "mediaType": "text/csv"}));
    assert_eq!(rig.ask("POST /upload", &[("content-type", "text/html")], &csv).await.status, 415);
    let small = rig.ask("GET /long", &[("accept-encoding", "gzip")], "").await;
    assert_eq!((small.header("content-encoding"), small.header("vary")), ("gzip", "accept-encoding, origin"));
    assert!(small.header("content-length").parse::<usize>().unwrap() < 1_000);
    assert_eq!(rig.get("/long").await.body.len(), 12_000);
    let near = rig.ask("GET /things/7", &[("accept-encoding", "br"), ("origin", "https://shop.example")], "").await;
    assert_eq!(near.header("content-encoding"), "", "small answers go as they are");
    assert_eq!(near.header("access-control-allow-origin"), "https://shop.example");
    let far = rig.ask("GET /things/7", &[("origin", "https://evil.example")], "").await;
    assert_eq!(far.header("access-control-allow-origin"), "");
    let preflight = [("origin", "https://shop.example"), ("access-control-request-method", "PATCH")];
    assert!(
        rig.ask("OPTIONS /things/7", &preflight, "").await.header("access-control-allow-methods").contains("PATCH")
    );
}

#[tokio::test]
async fn a_client_has_its_rate_and_a_switch_turns_rates_off() {
    let settings = [("PROMOX_LIMITS__BURST", "5"), ("PROMOX_LIMITS__RATES", "probe.named=1/60")];
    let rig = Rig::start(&settings).await;
    assert_eq!(rig.get("/things/named/a").await.header("ratelimit-limit"), "1");
    let refused = rig.get("/things/named/a").await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "TOO_MANY_REQUESTS"));
    assert_eq!((refused.header("ratelimit-remaining"), refused.header("retry-after")), ("0", "60"));
    assert_eq!(rig.get("/things/7").await.status, 200, "other operations have another bucket");
    let free = Rig::start(&[&settings[..], &[("PROMOX_LIMITS__ENABLED", "false")]].concat()).await;
    for _ in 0..3 {
        let answer = free.get("/things/named/a").await;
        assert_eq!((answer.status, answer.header("ratelimit-limit")), (200, ""));
    }
}

#[tokio::test]
async fn until_it_is_open_the_server_says_that_it_starts() {
    let rig = Rig::closed(&[], None).await;
    let answer = rig.get("/actuator/health").await;
    assert_eq!((answer.status, answer.code().as_str(), answer.header("retry-after")), (503, "STARTING", "1"));
    assert_eq!(rig.get("/actuator/health/liveness").await.body, r#"{"status":"UP"}"#);
    let Err(Conflict::Operations(fault)) = rig.server.open(&rig.node) else { panic!("it is not refused") };
    assert!(fault.contains("probe.make"), "a keyed operation without a place for keys: {fault}");
}

#[tokio::test]
async fn streams_go_out_in_pieces_compressed_when_asked() {
    let rig = Rig::start(&[]).await;
    let plain = rig.get("/trickle").await;
    assert_eq!((plain.header("transfer-encoding"), plain.header("content-type")), ("chunked", "text/csv"));
    assert_eq!(plain.body, "4\r\none \r\n4\r\ntwo \r\n5\r\nthree\r\n0\r\n\r\n");
    let small = rig.ask("GET /trickle", &[("accept-encoding", "gzip")], "").await;
    assert_eq!((small.status, small.header("content-encoding")), (200, "gzip"));
}

#[tokio::test]
async fn a_full_service_is_refused_and_the_others_are_spared() {
    let rig = Rig::start(&[("PROMOX_LIMITS__SERVICE_REQUESTS", "256")]).await;
    let mut slow = Vec::new();
    for _ in 0..256 {
        let mut stream = rig.connect().await;
        stream.write_all(request("POST /slow", &[], "").as_bytes()).await.unwrap();
        slow.push(stream);
    }
    rig.probe.entered.acquire_many(256).await.unwrap().forget();
    let refused = rig.get("/things/7").await;
    assert_eq!((refused.status, refused.code().as_str(), refused.header("retry-after")), (503, "SERVICE_BUSY", "1"));
    assert_eq!(rig.get("/actuator/health").await.status, 200);
    rig.probe.released.add_permits(256);
    rig.probe.done.acquire_many(256).await.unwrap().forget();
    for mut stream in slow {
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    }
    assert_eq!(rig.get("/things/7").await.status, 200);
}
