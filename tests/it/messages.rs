//! Text messages through a provider's interface, and push messages as a browser decrypts them.

use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::client::Client;
use crate::eureka_clients::installed;
use crate::receiver::{Received, Receiver};
use crate::shop::{Shop, order_of};

/// Runs a script in the Python of the tests with `given` as its input, and returns its output.
fn python(script: &str, given: &Value) -> Value {
    let mut child = std::process::Command::new(installed().join("venv/bin/python"))
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // A script that needs no input may have ended.
    let _ = serde_json::to_writer(child.stdin.take().unwrap(), given);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Makes the keys of a browser's subscription.
const SUBSCRIBE: &str = "
import base64, json, os
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
text = lambda data: base64.urlsafe_b64encode(data).rstrip(b'=').decode()
key = ec.generate_private_key(ec.SECP256R1())
public = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
print(json.dumps({'p256dh': text(public), 'auth': text(os.urandom(16)), 'private': hex(key.private_numbers().private_value)}))
";

/// Decrypts a message with http_ece, and verifies the sender's identification.
const RECEIVE: &str = "
import base64, json, sys
import http_ece
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
given = json.load(sys.stdin)
data = lambda text: base64.urlsafe_b64decode(text + '=' * (-len(text) % 4))
key = ec.derive_private_key(int(given['private'], 16), ec.SECP256R1())
body = base64.b64decode(given['body'])
message = http_ece.decrypt(body, private_key=key, auth_secret=data(given['auth']), version='aes128gcm')
scheme, rest = given['authorization'].split(' ', 1)
assert scheme == 'vapid'
parts = dict(part.strip().split('=', 1) for part in rest.split(','))
head, claims, signature = parts['t'].split('.')
number = lambda part: int.from_bytes(part, 'big')
signature = data(signature)
signature = utils.encode_dss_signature(number(signature[:32]), number(signature[32:]))
sender = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), data(parts['k']))
sender.verify(signature, (head + '.' + claims).encode(), ec.ECDSA(hashes.SHA256()))
print(json.dumps({'message': json.loads(message), 'claims': json.loads(data(claims)), 'key': parts['k']}))
";

/// Turns one kind of message on or off in a channel.
async fn prefer(customer: &Client, kind: &str, channel: &str, enabled: bool) {
    let body = json!({"preferences": [{"kind": kind, "channel": channel, "enabled": enabled}]});
    customer.put("/api/notifications/preferences", &body).await.expect(200);
}

async fn order(customer: &Client) -> Value {
    customer.post("/api/orders", &order_of(&[("A", 1)], "tok_visa")).await.expect(201)
}

/// Waits until a delivery through a channel has a status and returns it.
async fn delivery(shop: &Shop, channel: &str, status: &str) -> Value {
    loop {
        let page = shop.admin.get("/api/notifications/deliveries?limit=200").await.expect(200);
        let found =
            page["items"].as_array().unwrap().iter().find(|it| it["channel"] == channel && it["status"] == status);
        if let Some(found) = found {
            return found.clone();
        }
        tokio::task::yield_now().await;
    }
}

/// Waits until `count` mails of a kind are sent, so that what belongs to them is decided.
async fn mailed(shop: &Shop, kind: &str, count: usize) {
    loop {
        let page = shop.admin.get("/api/notifications/deliveries?limit=200&status=SENT").await.expect(200);
        let is_mail = |it: &&Value| it["channel"] == "EMAIL" && it["kind"] == kind;
        if page["items"].as_array().unwrap().iter().filter(is_mail).count() >= count {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_wants_text_messages_gets_them_through_the_provider() {
    let receiver = Receiver::start().await;
    let settings = [
        ("PROMOX_SMS__MODE", "twilio"),
        ("PROMOX_SMS__URL", &receiver.url("/switch")),
        ("PROMOX_SMS__USER", "AC123"),
        ("PROMOX_SMS__PASSWORD", "hush"),
        ("PROMOX_SMS__FROM", "+441632960000"),
    ];
    *receiver.status.lock() = 201;
    let shop = Shop::start_with(&settings).await;
    shop.product("A", "10.00", 100).await;
    let ada = shop.customer("ada@example.com").await;
    ada.patch("/api/users/me", &json!({"phone": "+44 7700 900123"})).await.expect(200);
    order(&ada).await;
    mailed(&shop, "ORDER_CONFIRMED", 1).await;
    prefer(&ada, "ORDER_CONFIRMED", "SMS", true).await;
    let placed = order(&ada).await;
    let sent = receiver.wait_for("/switch", 1).await;
    let form: Vec<(String, String)> =
        form_urlencoded::parse(&sent[0].body).map(|(name, value)| (name.into(), value.into())).collect();
    let of = |wanted: &str| form.iter().find(|(name, _)| name == wanted).unwrap().1.clone();
    assert_eq!((of("To").as_str(), of("From").as_str()), ("+447700900123", "+441632960000"));
    assert!(of("Body").contains(placed["number"].as_str().unwrap()), "{form:?}");
    assert_eq!(sent[0].headers["authorization"], format!("Basic {}", STANDARD.encode("AC123:hush")));
    delivery(&shop, "SMS", "SENT").await;
    assert_eq!(receiver.received.lock().len(), 1, "the first order came before the wish");
    // A refusal for good is not repeated, a failure is.
    *receiver.status.lock() = 400;
    order(&ada).await;
    delivery(&shop, "SMS", "DEAD").await;
    *receiver.status.lock() = 503;
    order(&ada).await;
    delivery(&shop, "SMS", "FAILED").await;
    shop.close().await;
}

/// Subscribes a browser of a customer, with this URL at its push service. Returns the browser's keys.
async fn subscribe(customer: &Client, endpoint: &str) -> Value {
    let keys = python(SUBSCRIBE, &Value::Null);
    let body = json!({
        "endpoint": endpoint,
        "expirationTime": null,
        "keys": {"p256dh": keys["p256dh"], "auth": keys["auth"]},
    });
    customer.post("/api/notifications/subscriptions", &body).await.expect(201);
    keys
}

/// A push message as its browser reads it.
fn read(keys: &Value, message: &Received) -> Value {
    let given = json!({
        "private": keys["private"],
        "auth": keys["auth"],
        "body": STANDARD.encode(&message.body),
        "authorization": message.headers["authorization"],
    });
    python(RECEIVE, &given)
}

/// Whether a push message is about an order.
fn is_about(got: &Value, order: &Value) -> bool {
    got["message"]["title"].as_str().unwrap().contains(order["number"].as_str().unwrap())
}

/// Waits for the push message about an order, and returns it with what the browser reads. Messages are sent side by side,
/// so that others, such as the welcome, may arrive before or after it.
async fn push_about(receiver: &Receiver, keys: &Value, order: &Value) -> (Received, Value) {
    let mut read_so_far = 0;
    loop {
        for request in receiver.wait_for("/push", read_so_far + 1).await.split_off(read_so_far) {
            read_so_far += 1;
            let got = read(keys, &request);
            if is_about(&got, order) {
                return (request, got);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_decrypts_its_push_messages() {
    let receiver = Receiver::start().await;
    let shop = Shop::start_with(&[("PROMOX_WEBHOOKS__NETWORKS", "127.0.0.1")]).await;
    shop.product("A", "10.00", 100).await;
    let ada = shop.customer("ada@example.com").await;
    mailed(&shop, "WELCOME", 1).await;
    let keys = subscribe(&ada, &receiver.url("/push")).await;
    subscribe(&ada, &receiver.url("/gone")).await;
    let placed = order(&ada).await;
    let (request, got) = push_about(&receiver, &keys, &placed).await;
    assert_eq!((&request.headers["content-encoding"], &request.headers["ttl"]), (&json!("aes128gcm"), &json!("86400")));
    assert!(!String::from_utf8_lossy(&request.body).contains("Order"));
    assert_eq!(got["claims"]["aud"], receiver.url(""));
    let key = shop.anyone.get("/api/notifications/push-key").await.expect(200)["key"].clone();
    assert_eq!(got["key"], key);
    // A subscription that its browser has ended is removed.
    delivery(&shop, "PUSH", "DEAD").await;
    let listed = ada.get("/api/notifications/subscriptions").await.expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    // Preferences are honoured, and the key outlives a restart.
    prefer(&ada, "ORDER_CONFIRMED", "PUSH", false).await;
    let shop = shop.restart().await;
    let unwanted = order(&ada_of(&shop).await).await;
    mailed(&shop, "ORDER_CONFIRMED", 2).await;
    prefer(&ada_of(&shop).await, "ORDER_CONFIRMED", "PUSH", true).await;
    let placed = order(&ada_of(&shop).await).await;
    let (_, got) = push_about(&receiver, &keys, &placed).await;
    assert_eq!(got["key"], key);
    for request in receiver.wait_for("/push", 2).await {
        assert!(!is_about(&read(&keys, &request), &unwanted), "the customer had turned it off");
    }
    let ada = ada_of(&shop).await;
    let path = format!("/api/notifications/subscriptions/{}", listed["items"][0]["id"]);
    let bob = shop.customer("bob@example.com").await;
    assert_eq!(bob.delete(&path).await.status, 404, "another's subscription");
    assert_eq!(ada.delete(&path).await.status, 204);
    for (endpoint, pointer) in [("https://169.254.169.254/", "/endpoint"), ("http://push.example/", "/endpoint")] {
        let body = json!({"endpoint": endpoint, "keys": {"p256dh": keys["p256dh"], "auth": keys["auth"]}});
        let refused = ada.post("/api/notifications/subscriptions", &body).await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }
    let body = json!({"endpoint": "https://1.1.1.1/", "keys": {"p256dh": "AAAA", "auth": keys["auth"]}});
    let refused = ada.post("/api/notifications/subscriptions", &body).await.expect(422);
    assert_eq!(refused["errors"][0]["pointer"], "/keys/p256dh");
    shop.close().await;
}

/// The customer, logged in again.
async fn ada_of(shop: &Shop) -> Client {
    crate::shop::log_in(&shop.anyone, "ada@example.com").await
}
