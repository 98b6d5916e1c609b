//! Requests and responses: routes, bodies, headers, errors.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Reply, Rig, request};
use crate::http::Conflict;

#[tokio::test]
async fn a_route_binds_path_and_query() {
    let rig = Rig::start(&[]).await;
    let reply = rig.get("/things/7?tag=a%20b").await;
    assert_eq!((reply.status, reply.json()), (200, json!({"id": 7, "name": "a b", "version": 3})));
    let tag = reply.header("etag").to_owned();
    assert!(tag.starts_with("\"3-"), "{tag}");
    let known = rig.request("GET /things/7?tag=a%20b", &[("if-none-match", &tag)], "").await;
    assert_eq!((known.status, known.body.as_str(), known.header("etag")), (304, "", &*tag));
    assert_eq!(rig.request("GET /things/7?tag=c", &[("if-none-match", &tag)], "").await.json()["name"], "c");
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
    assert!(!reply.header("x-request-id").is_empty() && !reply.header("ratelimit-remaining").is_empty());
    assert_eq!(rig.get("/things/named/a%2Fb%20%C3%A9").await.json()["name"], "a/b é");
    assert_eq!(rig.get("/things/named/%FF").await.code(), "MALFORMED_PATH");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused() {
    let rig = Rig::start(&[]).await;
    let nothing = rig.request("GET /nope", &[("x-request-id", "mine")], "").await;
    assert_eq!((nothing.status, nothing.header("content-type")), (404, "application/problem+json"));
    let problem = nothing.json();
    assert_eq!(
        (&problem["requestId"], &problem["instance"], &problem["status"]),
        (&json!("mine"), &json!("/nope"), &json!(404))
    );
    let other = rig.request("DELETE /things/7", &[], "").await;
    assert_eq!((other.status, other.header("allow")), (405, "GET, PATCH, HEAD, OPTIONS"));
    assert_eq!(rig.request("OPTIONS /things/7", &[], "").await.status, 204);
    assert_eq!(rig.request("BREW /things/7", &[], "").await.status, 405);
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let rig = Rig::start(&[]).await;
    let (whole, head) = (rig.get("/things/7").await, rig.request("HEAD /things/7", &[], "").await);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), whole.header("content-length"));
}

#[tokio::test]
async fn refusals_point_at_the_faulty_member() {
    let rig = Rig::start(&[("PROMOX_LIMITS__BODY_BYTES", "2048")]).await;
    let table = [
        ("{", 400, "MALFORMED_JSON", ""),
        ("{\"name\":7}", 422, "VALIDATION_FAILED", "/name"),
        ("{}", 422, "VALIDATION_FAILED", "/name"),
        ("{\"name\":\"x\",\"nmae\":1}", 422, "VALIDATION_FAILED", "/nmae"),
        ("[]", 422, "VALIDATION_FAILED", ""),
    ];
    for (body, status, code, pointer) in table {
        let reply = rig.post("/things", &[], body).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{body}");
        if !pointer.is_empty() {
            assert_eq!(reply.json()["errors"][0]["pointer"], pointer, "{body}");
        }
    }
    assert_eq!(rig.get("/things/x").await.json()["errors"][0]["pointer"], "?id");
    assert_eq!(rig.get("/things/7?nope=1").await.json()["errors"][0]["pointer"], "?nope");
    let long = format!("{{\"name\":\"{}\"}}", "x".repeat(3_000));
    assert_eq!(rig.post("/things", &[], &long).await.code(), "BODY_TOO_LARGE");
    let chunked = format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
    let headers = [("content-type", "application/json"), ("transfer-encoding", "chunked")];
    let reply = rig.send(&(request("POST /things", &headers, "") + &chunked)).await;
    assert_eq!(reply.code(), "BODY_TOO_LARGE", "a body without an announced length is counted as it arrives");
    assert_eq!(rig.request("POST /things", &[("content-type", "text/plain")], "{}").await.status, 415);
    assert_eq!(rig.request("POST /things", &[], "{}").await.status, 415);
    assert_eq!(rig.post("/things", &[("content-encoding", "gzip")], "{}").await.status, 415);
    assert_eq!(
        rig.request("GET /things/7", &[("content-type", "application/json")], "{}").await.code(),
        "BODY_NOT_TAKEN"
    );
    assert_eq!(rig.probe.made.load(std::sync::atomic::Ordering::Relaxed), 0, "nothing was created");
}

#[tokio::test]
async fn a_change_needs_a_body() {
    let rig = Rig::start(&[]).await;
    let json = ("content-type", "application/json");
    for headers in [&[][..], &[json], &[json, ("transfer-encoding", "chunked")]] {
        let body = if headers.len() > 1 { "0\r\n\r\n" } else { "" };
        let reply = rig.send(&(request("PATCH /things/7", headers, "") + body)).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "MALFORMED_JSON"), "{headers:?}");
    }
    for headers in [&[][..], &[json]] {
        let reply = rig.request("POST /things", headers, "").await;
        assert_eq!(reply.json()["errors"][0]["pointer"], "/name", "an action without a body lacks members only");
    }
}

#[tokio::test]
async fn an_empty_body_in_chunks_is_no_body() {
    let rig = Rig::start(&[]).await;
    let chunked = [("transfer-encoding", "chunked")];
    let empty = rig.send(&(request("POST /things", &chunked, "") + "0\r\n\r\n")).await;
    assert_eq!((empty.status, &empty.json()["errors"][0]["pointer"]), (422, &"/name".into()), "it lacks members only");
    assert_eq!(rig.send(&(request("PATCH /things/7", &chunked, "") + "0\r\n\r\n")).await.code(), "MALFORMED_JSON");
    assert_eq!(rig.send(&(request("GET /things/7", &chunked, "") + "0\r\n\r\n")).await.status, 200);
    let filled = rig.send(&(request("POST /things", &chunked, "") + "2\r\n{}\r\n0\r\n\r\n")).await;
    assert_eq!(filled.code(), "UNSUPPORTED_MEDIA_TYPE");
    let filled = rig.send(&(request("GET /things/7", &chunked, "") + "2\r\n{}\r\n0\r\n\r\n")).await;
    assert_eq!(filled.code(), "BODY_NOT_TAKEN");
}

#[tokio::test]
async fn json_is_taken_in_utf_8_only() {
    let rig = Rig::start(&[]).await;
    for (charset, status) in [("utf-8", 201), ("\"UTF-8\"", 201), ("utf-16", 415), ("iso-8859-1", 415)] {
        let media_type = format!("application/json; charset={charset}");
        let reply = rig.request("POST /things", &[("content-type", &media_type)], r#"{"name":"x"}"#).await;
        assert_eq!(reply.status, status, "{charset}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_is_asked_for() {
    let rig = Rig::start(&[("PROMOX_LIMITS__BODY_BYTES", "2048")]).await;
    let head = "POST /things HTTP/1.1\r\nhost: shop\r\nconnection: close\r\ncontent-type: application/json\r\n\
                expect: 100-continue\r\ncontent-length: 5000\r\n\r\n";
    assert_eq!(rig.send(head).await.status, 413, "no 100 Continue comes first");
}

#[tokio::test]
async fn a_head_that_another_server_could_read_otherwise_is_refused() {
    let rig = Rig::start(&[]).await;
    let json = ("content-type", "application/json");
    assert_eq!(rig.request("GET /things/7", &[("host", "other")], "").await.code(), "MALFORMED_REQUEST");
    let nameless = rig.send("GET /things/7 HTTP/1.1\r\nconnection: close\r\n\r\n").await;
    assert_eq!((nameless.status, nameless.code().as_str()), (400, "MALFORMED_REQUEST"), "HTTP/1.1 requires a host");
    assert_eq!(rig.send("GET /things/7 HTTP/1.0\r\n\r\n").await.status, 200);
    for coding in ["gzip, chunked", "chunked, chunked"] {
        let refused = rig.request("POST /things", &[json, ("transfer-encoding", coding)], "").await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "MALFORMED_REQUEST"), "{coding}");
    }
}

/// RFC 9112, section 6.3: the coding counts, the length is removed, and the connection is closed, so that nobody can make
/// promox and a proxy before it disagree on where the next request begins.
#[tokio::test]
async fn a_request_with_a_length_and_a_coding_ends_its_connection() {
    let rig = Rig::start(&[]).await;
    let (length, coding) = ("content-length: 4", "transfer-encoding: chunked");
    for framing in [format!("{length}\r\n{coding}"), format!("{coding}\r\n{length}")] {
        let mut stream = rig.connect().await;
        let head =
            format!("POST /things HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\n{framing}\r\n\r\n");
        let smuggled = request("GET /things/7", &[], "");
        let body = "c\r\n{\"name\":\"x\"}\r\n0\r\n\r\n";
        stream.write_all((head + body + &smuggled).as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let reply = Reply::parse(&bytes);
        assert_eq!((reply.status, reply.header("connection")), (201, "close"), "{framing}");
        assert!(!reply.body.contains("HTTP/1.1 200"), "{framing}: {reply:?}");
    }
}

#[tokio::test]
async fn a_client_that_sends_a_refused_body_to_its_end_sees_the_response() {
    let rig = Rig::start(&[("PROMOX_LIMITS__BODY_BYTES", "2048"), ("PROMOX_LIMITS__UPLOAD_MIB", "1")]).await;
    // More than the buffers of a connection hold.
    let body = vec![b'x'; 32 << 20];
    for (path, media_type) in [("/things", "application/json"), ("/upload", "text/csv"), ("/nowhere", "text/csv")] {
        for framing in [format!("content-length: {}", body.len()), "transfer-encoding: chunked".to_owned()] {
            let mut stream = rig.connect().await;
            let head = format!("POST {path} HTTP/1.1\r\nhost: shop\r\ncontent-type: {media_type}\r\n{framing}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            if framing.starts_with("transfer") {
                stream.write_all(format!("{:x}\r\n", body.len()).as_bytes()).await.unwrap();
            }
            stream.write_all(&body).await.unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.unwrap();
            let reply = Reply::parse(&bytes);
            let expected = if path == "/nowhere" { 404 } else { 413 };
            assert_eq!(reply.status, expected, "{path} {framing}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn a_connection_is_kept_after_a_short_refused_body_and_closed_after_a_long_one() {
    let rig = Rig::start(&[("PROMOX_LIMITS__BODY_BYTES", "2048")]).await;
    for (length, is_kept, is_chunked) in
        [(3_000, true, false), (3_000, true, true), (200_000, false, false), (200_000, false, true)]
    {
        let mut stream = rig.connect().await;
        let body = "x".repeat(length);
        let refused = if is_chunked {
            let chunk = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
            format!("POST /nowhere HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n{chunk}")
        } else {
            format!("POST /nowhere HTTP/1.1\r\nhost: shop\r\ncontent-length: {length}\r\n\r\n{body}")
        };
        stream.write_all((refused + &request("GET /things/7", &[], "")).as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let reply = Reply::parse(&bytes);
        assert_eq!((reply.status, reply.header("connection")), (404, if is_kept { "" } else { "close" }));
        assert_eq!(reply.body.contains("HTTP/1.1 200"), is_kept, "{reply:?}");
    }
    let mut stream = rig.connect().await;
    let headers = "content-type: application/json\r\ntransfer-encoding: chunked";
    let accepted =
        format!("POST /things HTTP/1.1\r\nhost: shop\r\n{headers}\r\n\r\nc\r\n{{\"name\":\"x\"}}\r\n0\r\n\r\n");
    stream.write_all((accepted + &request("GET /things/7", &[], "")).as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let reply = Reply::parse(&bytes);
    assert_eq!((reply.status, reply.header("connection")), (201, ""));
    assert!(reply.body.contains("HTTP/1.1 200"), "{reply:?}");
}

#[tokio::test]
async fn preconditions_and_permissions_are_checked() {
    let rig = Rig::start(&[]).await;
    for (tag, status) in
        [("\"3\"", 200), ("\"2\", \"3\"", 200), ("*", 200), ("\"2\"", 412), ("W/\"3\"", 412), ("3", 400)]
    {
        let headers = [("content-type", "application/merge-patch+json"), ("if-match", tag)];
        assert_eq!(rig.request("PATCH /things/7", &headers, "{}").await.status, status, "{tag}");
    }
    let secret = async |token: &str| {
        let headers = [("authorization", token)];
        rig.request("GET /secret", if token.is_empty() { &[] } else { &headers }, "").await
    };
    for (token, status) in
        [("", 401), ("Bearer reader", 200), ("Bearer nobody", 403), ("Bearer forged", 401), ("Basic x", 401)]
    {
        assert_eq!(secret(token).await.status, status, "{token}");
    }
    assert_eq!(secret("Bearer reader").await.json()["name"], "user:7");
    assert_eq!(secret("").await.header("www-authenticate"), "Bearer");
    assert_eq!(rig.request("GET /things/7", &[("authorization", "Bearer forged")], "").await.status, 401);
}

#[tokio::test]
async fn internal_errors_reveal_nothing() {
    let rig = Rig::start(&[]).await;
    let broken = rig.post("/things", &[], "{\"name\":\"broken\"}").await;
    assert_eq!((broken.status, broken.code().as_str()), (500, "INTERNAL"));
    assert!(!broken.body.contains("secret cause"));
    let panicked = rig.get("/fail").await;
    assert_eq!((panicked.status, panicked.code().as_str()), (500, "INTERNAL"));
    assert_eq!(rig.get("/things/7").await.status, 200, "the server continues");
}

#[tokio::test]
async fn uploads_are_streamed_and_large_responses_are_compressed() {
    let rig = Rig::start(&[("PROMOX_SERVER__CORS_ORIGINS", "https://shop.example")]).await;
    let csv = "a,b\n".repeat(1_000);
    let reply = rig.request("POST /upload", &[("content-type", "text/CSV; charset=utf-8")], &csv).await;
    assert_eq!(reply.json(), json!({"bytes": 4000, "mediaType": "text/csv"}));
    assert_eq!(rig.request("POST /upload", &[("content-type", "text/html")], &csv).await.status, 415);
    let small = rig.request("GET /long", &[("accept-encoding", "gzip")], "").await;
    assert_eq!((small.header("content-encoding"), small.header("vary")), ("gzip", "accept-encoding, origin"));
    assert!(small.header("content-length").parse::<usize>().unwrap() < 1_000);
    assert_eq!(rig.get("/long").await.body.len(), 12_000);
    let near = rig.request("GET /things/7", &[("accept-encoding", "br"), ("origin", "https://shop.example")], "").await;
    assert_eq!(near.header("content-encoding"), "", "small responses are not compressed");
    assert_eq!(near.header("access-control-allow-origin"), "https://shop.example");
    let far = rig.request("GET /things/7", &[("origin", "https://evil.example")], "").await;
    assert_eq!(far.header("access-control-allow-origin"), "");
    let preflight = [("origin", "https://shop.example"), ("access-control-request-method", "PATCH")];
    assert!(
        rig.request("OPTIONS /things/7", &preflight, "").await.header("access-control-allow-methods").contains("PATCH")
    );
}

#[tokio::test]
async fn rates_limit_a_client_unless_they_are_switched_off() {
    let settings = [("PROMOX_LIMITS__BURST", "5"), ("PROMOX_LIMITS__RATES", "probe.named=1/60")];
    let rig = Rig::start(&settings).await;
    assert_eq!(rig.get("/things/named/a").await.header("ratelimit-limit"), "1");
    let refused = rig.get("/things/named/a").await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "TOO_MANY_REQUESTS"));
    assert_eq!((refused.header("ratelimit-remaining"), refused.header("retry-after")), ("0", "60"));
    assert_eq!(rig.get("/things/7").await.status, 200, "other operations have buckets of their own");
    let free = Rig::start(&[&settings[..], &[("PROMOX_LIMITS__ENABLED", "false")]].concat()).await;
    for _ in 0..3 {
        let reply = free.get("/things/named/a").await;
        assert_eq!((reply.status, reply.header("ratelimit-limit")), (200, ""));
    }
}

#[tokio::test]
async fn a_server_that_is_not_open_responds_that_it_is_starting() {
    let rig = Rig::starting(&[], None).await;
    let reply = rig.get("/actuator/health").await;
    assert_eq!((reply.status, reply.code().as_str(), reply.header("retry-after")), (503, "STARTING", "1"));
    assert_eq!(rig.get("/actuator/health/liveness").await.body, r#"{"status":"UP"}"#);
    let Err(Conflict::Operations(fault)) = rig.server.open(&rig.node) else { panic!("the registry was accepted") };
    assert!(fault.contains("probe.make"), "a keyed operation without a table for keys: {fault}");
}

#[tokio::test]
async fn streams_are_sent_in_chunks_and_compressed_on_request() {
    let rig = Rig::start(&[]).await;
    let plain = rig.get("/trickle").await;
    assert_eq!((plain.header("transfer-encoding"), plain.header("content-type")), ("chunked", "text/csv"));
    assert_eq!(plain.body, "4\r\none \r\n4\r\ntwo \r\n5\r\nthree\r\n0\r\n\r\n");
    let small = rig.request("GET /trickle", &[("accept-encoding", "gzip")], "").await;
    assert_eq!((small.status, small.header("content-encoding")), (200, "gzip"));
}

#[tokio::test]
async fn a_service_at_its_limit_refuses_requests_and_others_do_not() {
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
