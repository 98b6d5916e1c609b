//! Webhooks: verified, processed once, in any order.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use promox_contract::payment::PaymentStatus as Status;
use promox_kernel::{Body, BodyReader, Error, Kind};
use serde_json::json;

use super::shop::{SECRET, Shop};
use crate::api::ReceiveWebhook;
use promox_storage::Service as _;

fn sign(secret: &str, id: &str, at: i64, body: &str) -> String {
    let key = STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), format!("{id}.{at}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag))
}

async fn send(shop: &Shop, headers: &[(&str, String)], body: &str) -> Result<(), Error> {
    let (sender, reader) = BodyReader::pair();
    sender.send(Ok(body.as_bytes().to_vec().into())).await;
    drop(sender);
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let body = Body { media_type: "application/json".into(), reader: Some(reader), headers };
    shop.call(ReceiveWebhook { provider: "sandbox".into(), body }).await
}

async fn post(shop: &Shop, id: &str, kind: &str, data: &str) -> Result<(), Error> {
    let body = format!(r#"{{"type":"{kind}","data":{data},"more":1}}"#);
    let at = shop.node.clock.now().seconds();
    let signature = format!("v1,AAAA {}", sign(SECRET, id, at, &body));
    let headers = [("webhook-id", id.into()), ("webhook-timestamp", at.to_string()), ("webhook-signature", signature)];
    send(shop, &headers, &body).await
}

const CHARGE: &str = r#"{"key":"order-1-charge","reference":"ch_1","amount":"9.00","currency":"GBP","code":"STOLEN"}"#;

#[tokio::test]
async fn webhooks_are_processed_once_and_in_any_order() {
    let kinds = ["payment.captured", "payment.declined", "payment.authorized", "payment.voided", "payment.unknown"];
    for first in 0..kinds.len() {
        let shop = Shop::open();
        shop.take(1, "tok_timeout", "9.00").await.unwrap();
        for n in 0..kinds.len() * 2 {
            let kind = kinds[(first + n) % kinds.len()];
            post(&shop, &format!("evt_{}", n % kinds.len()), kind, CHARGE).await.unwrap();
        }
        assert_eq!(
            shop.status_and_amounts(1).await,
            (Status::Captured, "9.00".into(), "0.00".into()),
            "{}",
            kinds[first]
        );
        let captures = shop.event_types("PAYMENT").await.iter().filter(|kind| *kind == "PAYMENT_CAPTURED").count();
        assert_eq!(captures, 1);
        shop.verify();
    }
}

#[tokio::test]
async fn a_capture_after_the_end_is_refunded_once() {
    let shop = Shop::open();
    shop.take(1, "tok_timeout", "9.00").await.unwrap();
    shop.cancel(1).await.unwrap();
    for id in ["evt_1", "evt_1", "evt_2"] {
        post(&shop, id, "payment.captured", CHARGE).await.unwrap();
    }
    assert_eq!(shop.status_and_amounts(1).await, (Status::Refunded, "9.00".into(), "9.00".into()));
    assert_eq!(shop.event_types("PAYMENT").await, ["PAYMENT_CAPTURED", "PAYMENT_REFUNDED"]);
    shop.take(2, "tok_declined", "9.00").await.unwrap();
    let late = CHARGE.replace("order-1", "order-2");
    post(&shop, "evt_3", "payment.captured", &late).await.unwrap();
    assert_eq!(shop.status_and_amounts(2).await.0, Status::Captured, "the order has not ended yet");
    shop.cancel(2).await.unwrap();
    assert_eq!(shop.status_and_amounts(2).await.0, Status::Refunded);
    shop.verify();
}

#[tokio::test]
async fn an_authorised_payment_is_captured_or_voided_by_an_administrator() {
    let shop = Shop::open();
    for order in [1, 2] {
        shop.take(order, "tok_timeout", "9.00").await.unwrap();
        let data = CHARGE.replace("order-1", &format!("order-{order}"));
        post(&shop, &format!("evt_{order}"), "payment.authorized", &data).await.unwrap();
    }
    let (one, two) = (promox_contract::ids::PaymentId(1), promox_contract::ids::PaymentId(2));
    assert_eq!(shop.call(crate::api::CapturePayment { id: one }).await.unwrap().status, Status::Captured);
    assert_eq!(shop.call(crate::api::VoidPayment { id: two }).await.unwrap().status, Status::Voided);
    shop.verify();
}

#[tokio::test]
async fn a_webhook_can_report_a_refund() {
    let quick = Shop::open();
    quick.take(1, "tok_visa", "9.00").await.unwrap();
    let slow = quick.reopen(Duration::from_hours(1));
    slow.cancel(1).await.unwrap_err();
    for id in ["a", "b"] {
        post(&quick, id, "payment.refunded", r#"{"key":"refund-1","reference":"re_1"}"#).await.unwrap();
    }
    assert_eq!(quick.status_and_amounts(1).await, (Status::Refunded, "9.00".into(), "9.00".into()));
    quick.verify();
}

#[tokio::test]
async fn webhooks_with_a_bad_signature_or_a_mismatch_are_rejected() {
    let shop = Shop::open();
    shop.take(1, "tok_timeout", "9.00").await.unwrap();
    let body = format!(r#"{{"type":"payment.captured","data":{CHARGE}}}"#);
    let now = shop.node.clock.now().seconds();
    let other = format!("whsec_{}", STANDARD.encode("another secret"));
    for (at, signature) in [
        (now, sign(&other, "evt", now, &body)),
        (now, sign(SECRET, "evt", now, "{}")),
        (now, sign(SECRET, "evt2", now, &body)),
        (now - 301, sign(SECRET, "evt", now - 301, &body)),
        (now + 301, sign(SECRET, "evt", now + 301, &body)),
        (now, "v1,".into()),
        (now, String::new()),
    ] {
        let headers =
            [("Webhook-Id", "evt".into()), ("webhook-timestamp", at.to_string()), ("webhook-signature", signature)];
        assert_eq!(send(&shop, &headers, &body).await.unwrap_err().kind(), Kind::Unauthenticated);
    }
    assert_eq!(send(&shop, &[], &body).await.unwrap_err().code(), "BAD_SIGNATURE");
    let other_amount = CHARGE.replace("9.00", "9.01");
    for (data, code) in [
        (other_amount.as_str(), "PAYMENT_MISMATCH"),
        (r#"{"key":"order-77-charge"}"#, "NOT_FOUND"),
        (r#"{"key":"nonsense"}"#, "NOT_FOUND"),
        ("7", "MALFORMED_JSON"),
    ] {
        assert_eq!(post(&shop, "evt_9", "payment.captured", data).await.unwrap_err().code(), code);
    }
    assert_eq!(shop.status_and_amounts(1).await.0, Status::Pending);
    assert_eq!(shop.payment(1).await.failure_code.as_deref(), Some("PAYMENT_MISMATCH"), "staff see the deviation");
    let audited = shop.events_of("AUDITED").await;
    let shown = audited.iter().map(|entry| (&entry["action"], &entry["before"], &entry["after"])).collect::<Vec<_>>();
    assert_eq!(shown, [(&json!("payment.mismatch"), &json!("9.00 GBP"), &json!("9.01 GBP"))], "once");
    post(&shop, "evt_9", "payment.captured", CHARGE).await.unwrap();
    assert_eq!(shop.status_and_amounts(1).await.0, Status::Captured, "a rejected webhook may be sent again");
    shop.verify();
}

#[tokio::test]
async fn old_webhooks_are_deleted() {
    let shop = Shop::open();
    post(&shop, "evt_1", "anything", "{}").await.unwrap();
    let job = shop.service.jobs().remove(1);
    shop.advance(Duration::from_hours(31 * 24));
    assert!(!job.run(shop.cx()).await.unwrap());
    let left = shop.db.read(|tx| tx.scan::<crate::records::ProviderEvent>().first()).await.unwrap();
    assert_eq!(left, None);
}
