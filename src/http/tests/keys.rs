//! Idempotency keys over the wire.

use std::sync::atomic::Ordering;

use super::Rig;

const THING: &str = "{\"name\":\"hen\"}";

#[tokio::test]
async fn the_first_reply_is_returned_again_byte_for_byte() {
    let rig = Rig::start(&[]).await;
    let key = [("idempotency-key", "k-1")];
    let (first, again) = (rig.post("/things", &key, THING).await, rig.post("/things", &key, THING).await);
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!((first.body.as_str(), first.header("etag")), (again.body.as_str(), again.header("etag")));
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
    assert_eq!(rig.probe.made.load(Ordering::Relaxed), 1);
    let other = rig.post("/things", &key, "{\"name\":\"cock\"}").await;
    assert_eq!((other.status, other.code().as_str()), (422, "IDEMPOTENCY_KEY_REUSED"));
    let mine = [("idempotency-key", "k-1"), ("authorization", "Bearer nobody")];
    assert_eq!(
        rig.post("/things", &mine, THING).await.header("idempotent-replayed"),
        "",
        "each caller has keys of its own"
    );
}

#[tokio::test]
async fn refusals_by_business_rules_are_stored_and_other_errors_are_not() {
    let rig = Rig::start(&[]).await;
    let key = [("idempotency-key", "k-2")];
    let (first, again) = (
        rig.post("/things", &key, "{\"name\":\"taken\"}").await,
        rig.post("/things", &key, "{\"name\":\"taken\"}").await,
    );
    assert_eq!((first.status, &first.body), (409, &again.body), "with the first request's id");
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.header("content-type"), "application/problem+json");
    let key = [("idempotency-key", "k-3")];
    assert_eq!(rig.post("/things", &key, "{\"name\":\"broken\"}").await.status, 500);
    assert_eq!(rig.post("/things", &key, "{\"nmae\":\"hen\"}").await.status, 422, "a schema violation is not stored");
    assert_eq!(rig.post("/things", &key, THING).await.status, 201);
    assert_eq!(rig.post("/things", &[("idempotency-key", "")], THING).await.code(), "MALFORMED_IDEMPOTENCY_KEY");
}

#[tokio::test]
async fn a_second_request_with_a_running_key_is_refused() {
    let rig = Rig::start(&[]).await;
    let key = [("idempotency-key", "k-4")];
    let slow = rig.post("/slow", &key, "");
    let second = async {
        rig.probe.entered.acquire().await.unwrap().forget();
        let second = rig.post("/slow", &key, "").await;
        rig.probe.released.add_permits(1);
        second
    };
    let (slow, second) = tokio::join!(slow, second);
    assert_eq!((slow.status, second.status, second.code().as_str()), (204, 409, "IDEMPOTENCY_IN_PROGRESS"));
    assert_eq!(rig.post("/slow", &key, "").await.header("idempotent-replayed"), "true");
}
