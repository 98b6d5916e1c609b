//! Applications that hang, break off or answer garbage: each its documented answer, and promox goes on.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::upstream::{Upstream, answers_once_a_connection, writes};
use crate::process::Process;
use crate::shop::Shop;

async fn shop_with(address: SocketAddr, settings: &[(&str, &str)]) -> Shop {
    let address = address.to_string();
    let common =
        [("PROMOX_GATEWAY__APPS__BAD__ACCESS", "anyone"), ("PROMOX_GATEWAY__APPS__BAD__INSTANCES", address.as_str())];
    Shop::start_with(&[&common, settings].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_hangs_is_a_504_and_harms_nobody() {
    let app = Upstream::start("bad").await;
    let shop = shop_with(app.address, &[("PROMOX_GATEWAY__APPS__BAD__DEADLINE_MS", "50")]).await;
    shop.anyone.get("/api/bad/wait").await.refused(504, "UPSTREAM_TIMEOUT");
    shop.anyone.get("/api/products").await.expect(200);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_a_502() {
    let long: &'static [u8] =
        Box::leak(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(100_000)).into_bytes().into_boxed_slice());
    for bytes in [
        &b"SSH-2.0-OpenSSH_9.2\r\n\r\n"[..],
        b"HTTP/1.1 999999 What\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, gzip\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
        b"",
        long,
    ] {
        let shop = shop_with(writes(bytes).await, &[]).await;
        let answer = shop.anyone.get("/api/bad/x").await;
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
        assert!([502, 503].contains(&answer.status), "{text:?}: {}", answer.status);
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{text:?}");
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_that_is_repeated_is_passed_on_once() {
    for (lengths, passes) in [
        ("content-length: 5, 5", true),
        ("content-length: 5\r\ncontent-length: 5", true),
        ("content-length: 5 ,5,\t5", true),
        ("content-length: 5, 6", false),
        ("content-length: 5, x", false),
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{lengths}\r\n\r\nhello").into_bytes();
        let shop = shop_with(writes(Box::leak(bytes.into_boxed_slice())).await, &[]).await;
        let answer = shop.anyone.get("/api/bad/x").await;
        if passes {
            assert_eq!((answer.status, &answer.bytes[..]), (200, &b"hello"[..]), "{lengths}");
            let stated: Vec<_> = answer.headers.get_all("content-length").iter().collect();
            assert_eq!(stated, ["5"], "{lengths}");
        } else {
            // What hyper refuses to read is garbage, too.
            assert_eq!(answer.status, 502, "{lengths}");
        }
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_breaks_off_reaches_nobody_as_whole() {
    let cut = writes(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
    let shop = shop_with(cut, &[]).await;
    let broken = shop.anyone.send("GET", "/api/bad/x", "", Bytes::new()).await;
    assert!(broken.is_err(), "{broken:?}");
    shop.anyone.own_connection().get("/api/products").await.expect(200);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_safe_request_survives_the_end_of_a_kept_connection() {
    let (app, received) = answers_once_a_connection().await;
    let shop = shop_with(app, &[]).await;
    for _ in 0..5 {
        assert_eq!(shop.anyone.get("/api/bad/x").await.bytes, "hello");
    }
    // What may have had an effect is not repeated, whether its connection was kept or new.
    let (before, mut sent) = (received.load(Ordering::SeqCst), 0);
    loop {
        let posted = shop.anyone.send("POST", "/api/bad/x", "", Bytes::new()).await.unwrap();
        sent += 1;
        if posted.status != 200 {
            posted.refused(502, "UPSTREAM_FAILED");
            break;
        }
    }
    assert_eq!(received.load(Ordering::SeqCst) - before, sent);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_a_413() {
    let app = Upstream::start("bad").await;
    let shop = shop_with(app.address, &[("PROMOX_LIMITS__UPLOAD_MIB", "1")]).await;
    let body = Bytes::from(vec![1; 2 << 20]);
    shop.anyone.send("POST", "/api/bad/count", "x/y", body).await.unwrap().refused(413, "BODY_TOO_LARGE");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_response_takes_no_memory() {
    let app = Upstream::start("bad").await;
    let dir = tempfile::tempdir().unwrap();
    let address = app.address.to_string();
    let settings = [("ACCESS", "anyone"), ("INSTANCES", address.as_str())]
        .map(|(name, value)| (format!("PROMOX_GATEWAY__APPS__BAD__{name}"), value.to_owned()));
    let process = Process::start_with(dir.path(), &settings).await;
    let before = process.settled_kib().await;
    let mut stream = TcpStream::connect(process.address).await.unwrap();
    stream.write_all(b"GET /api/bad/endless HTTP/1.1\r\nHost: shop\r\n\r\n").await.unwrap();
    let mut buffer = vec![0; 1 << 20];
    for _ in 0..100 {
        stream.read_exact(&mut buffer).await.unwrap();
    }
    let peak = process.memory_kib().1;
    assert!(peak < before + 5 * 1024, "{before} KiB became {peak} KiB");
    drop(stream);
    process.anyone.get("/api/products").await.expect(200);
    process.stop().await;
}
