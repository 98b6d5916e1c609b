//! Slow and disconnecting clients, and the shutdown of the server.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Reply, Rig, request};

const SHORT: (&str, &str) = ("PROMOX_SERVER__HEADER_TIMEOUT_MS", "40");

#[tokio::test]
async fn a_connection_without_a_complete_head_is_closed() {
    let rig = Rig::start(&[SHORT]).await;
    for start in ["", "GET /things/7 HTTP/1.1\r\nhost:"] {
        let mut stream = rig.connect().await;
        stream.write_all(start.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes);
        let ended = tokio::time::timeout(Duration::from_secs(5), read).await;
        assert!(ended.is_ok() && bytes.is_empty(), "{start:?}: {ended:?}");
    }
}

#[tokio::test]
async fn a_connection_is_closed_when_it_is_idle() {
    let rig = Rig::start(&[SHORT, ("PROMOX_SERVER__IDLE_TIMEOUT_MS", "60")]).await;
    let mut stream = rig.connect().await;
    for _ in 0..2 {
        stream.write_all(b"GET /things/7 HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
        let mut buffer = [0; 2048];
        let length = stream.read(&mut buffer).await.unwrap();
        assert_eq!(Reply::parse(&buffer[..length]).status, 200);
    }
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok() && rest.is_empty());
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_refused() {
    let rig = Rig::start(&[("PROMOX_SERVER__BODY_TIMEOUT_MS", "40")]).await;
    let headers = [("content-type", "application/json"), ("content-length", "10")];
    assert_eq!(rig.request("POST /things", &headers, "").await.code(), "BODY_TIMEOUT");
}

#[tokio::test]
async fn heads_that_are_too_long_are_refused() {
    let rig = Rig::start(&[("PROMOX_LIMITS__HEADER_BYTES", "8192")]).await;
    let long = "x".repeat(9_000);
    assert_eq!(rig.request("GET /things/7", &[("x-long", &long)], "").await.status, 431);
}

#[tokio::test]
async fn a_head_that_cannot_be_read_gets_a_problem_document() {
    let rig = Rig::start(&[("PROMOX_LIMITS__HEADER_BYTES", "8192")]).await;
    let (long, many) = (format!("x-long: {}", "x".repeat(200_000)), "x-one: 1\r\n".repeat(101));
    let good = "GET /things/7 HTTP/1.1\r\nhost: shop\r\n\r\n";
    for (bad, status, code) in [
        ("GET /things/7 HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), 400, "MALFORMED_REQUEST"),
        ("GET / HTTP/9\r\n\r\n".to_owned(), 400, "MALFORMED_REQUEST"),
        ("\u{1}\u{2}\r\n\r\n".to_owned(), 400, "MALFORMED_REQUEST"),
        (format!("GET /things/7 HTTP/1.1\r\nhost: shop\r\n{long}\r\n\r\n"), 431, "HEAD_TOO_LARGE"),
        (format!("GET /things/7 HTTP/1.1\r\nhost: shop\r\n{many}\r\n"), 431, "HEAD_TOO_LARGE"),
        (format!("GET /things/{} HTTP/1.1\r\nhost: shop\r\n\r\n", "7".repeat(60_000)), 431, "HEAD_TOO_LARGE"),
    ] {
        let start = bad.get(..40).unwrap_or(&bad).to_owned();
        let alone = rig.send(&bad).await;
        // After a valid request, on the same connection and in the same packet.
        let both = rig.send(&format!("{good}{bad}")).await;
        assert_eq!(both.status, 200, "{start}");
        let (_, second) = both.body.split_once("HTTP/1.1 ").expect("a second response");
        for refused in [alone, Reply::parse(format!("HTTP/1.1 {second}").as_bytes())] {
            assert_eq!((refused.status, refused.code().as_str()), (status, code), "{start}");
            assert_eq!(refused.header("content-type"), "application/problem+json");
            assert_eq!(refused.header("content-length"), refused.body.len().to_string());
            assert_eq!(refused.header("connection"), "close");
            assert_eq!(refused.json()["requestId"], refused.header("x-request-id"), "{refused:?}");
            assert_eq!(refused.json()["status"], status);
            assert!(!refused.header("x-request-id").is_empty() && !refused.header("date").is_empty());
        }
    }
}

#[tokio::test]
async fn limits_accept_their_value_and_refuse_one_more() {
    let rig = Rig::start(&[("PROMOX_LIMITS__BODY_BYTES", "2048")]).await;
    let body = |length: usize| format!("{{\"name\":\"{}\"}}", "x".repeat(length - 11));
    assert_eq!(rig.post("/things", &[], &body(2048)).await.status, 201);
    assert_eq!(rig.post("/things", &[], &body(2049)).await.status, 413);
    // Two of the headers are added by the client.
    let headers = |count: usize| vec![("x-one", "1"); count - 2];
    assert_eq!(rig.request("GET /things/7", &headers(100), "").await.status, 200);
    assert_eq!(rig.request("GET /things/7", &headers(101), "").await.status, 431);
}

#[tokio::test]
async fn a_connection_beyond_the_limit_is_turned_away_while_all_are_busy() {
    let rig = Rig::start(&[("PROMOX_LIMITS__CONNECTIONS", "1")]).await;
    let mut busy = rig.connect().await;
    busy.write_all(request("POST /slow", &[], "").as_bytes()).await.unwrap();
    rig.probe.entered.acquire().await.unwrap().forget();
    let mut second = rig.connect().await;
    let mut bytes = Vec::new();
    let _ = second.read_to_end(&mut bytes).await;
    assert!(bytes.is_empty());
    rig.probe.released.add_permits(1);
    let mut buffer = [0; 2048];
    assert!(busy.read(&mut buffer).await.unwrap() > 0, "the first request is answered");
}

#[tokio::test]
async fn an_idle_connection_gives_way_to_a_new_one() {
    let rig = Rig::start(&[("PROMOX_LIMITS__CONNECTIONS", "1")]).await;
    let get = b"GET /things/7 HTTP/1.1\r\nhost: shop\r\n\r\n";
    let mut buffer = [0; 2048];
    let mut idle = rig.connect().await;
    idle.write_all(get).await.unwrap();
    assert!(idle.read(&mut buffer).await.unwrap() > 0);
    let mut second = rig.connect().await;
    second.write_all(get).await.unwrap();
    assert!(second.read(&mut buffer).await.unwrap() > 0);
    assert_eq!(idle.read(&mut buffer).await.unwrap(), 0, "the idle one was closed");
}

#[tokio::test]
async fn a_disconnected_client_does_not_stop_its_write() {
    let rig = Rig::start(&[]).await;
    let mut stream = rig.connect().await;
    stream.write_all(request("POST /slow", &[], "").as_bytes()).await.unwrap();
    rig.probe.entered.acquire().await.unwrap().forget();
    drop(stream);
    rig.probe.released.add_permits(1);
    let done = tokio::time::timeout(Duration::from_secs(5), rig.probe.done.acquire()).await;
    assert!(done.is_ok(), "the operation was completed");
}

#[tokio::test]
async fn an_operation_that_takes_too_long_gets_503() {
    let rig = Rig::start(&[("PROMOX_SERVER__REQUEST_TIMEOUT_MS", "100")]).await;
    let reply = rig.post("/slow", &[], "").await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "DEADLINE_EXCEEDED"));
}

#[tokio::test]
async fn a_shutdown_waits_for_running_requests() {
    let rig = Rig::start(&[]).await;
    let idle = rig.connect().await;
    let mut stream = rig.connect().await;
    stream.write_all(request("POST /slow", &[], "").as_bytes()).await.unwrap();
    rig.probe.entered.acquire().await.unwrap().forget();
    let probe = rig.probe.clone();
    let finish = async {
        probe.released.add_permits(1);
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        Reply::parse(&bytes).status
    };
    let address = rig.address;
    let (drained, status) = tokio::join!(rig.server.shutdown(), finish);
    assert!(drained);
    assert_eq!(status, 204);
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "the port is closed");
    drop(idle);
}

#[tokio::test]
async fn a_shutdown_stops_waiting_at_its_time_limit() {
    let rig = Rig::start(&[("PROMOX_SERVER__DRAIN_TIMEOUT_MS", "40")]).await;
    let mut stream = rig.connect().await;
    stream.write_all(request("POST /slow", &[], "").as_bytes()).await.unwrap();
    rig.probe.entered.acquire().await.unwrap().forget();
    assert!(!rig.server.shutdown().await);
}
