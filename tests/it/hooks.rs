//! Hooks: the merchant's own service is asked for tax and shipping rates, and whether an order may be placed. It
//! answers, hangs, answers nonsense, or is gone.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::description::Description;
use crate::receiver::Received;
use crate::shop::{Shop, order_of};
use crate::webhooks::is_signed;

/// How the service behaves.
#[derive(Clone, Debug, PartialEq)]
enum Behaviour {
    /// Answers with the status and this body.
    Answer(u16, String),
    /// Never answers.
    Hang,
}

/// The merchant's service.
struct Service {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Received>>>,
    behaviour: Arc<Mutex<Behaviour>>,
    running: JoinHandle<()>,
}

impl Service {
    async fn start(body: &Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<Received>>>::default();
        let behaviour = Arc::new(Mutex::new(Behaviour::Answer(200, body.to_string())));
        let (log, how) = (asked.clone(), behaviour.clone());
        let running = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((connection, _)) = listener.accept().await {
                let (log, how) = (log.clone(), how.clone());
                let service = service_fn(move |request| answer(request, log.clone(), how.clone()));
                let http = hyper::server::conn::http1::Builder::new();
                connections.spawn(http.serve_connection(TokioIo::new(connection), service));
            }
        });
        Self { address, asked, behaviour, running }
    }

    fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock() = behaviour;
    }

    fn answer_with(&self, body: &Value) {
        self.behave(Behaviour::Answer(200, body.to_string()));
    }

    fn count(&self) -> usize {
        self.asked.lock().len()
    }

    fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Ends the service and its connections.
    async fn kill(self) {
        self.running.abort();
        assert!(self.running.await.unwrap_err().is_cancelled());
    }
}

async fn answer(
    request: Request<hyper::body::Incoming>,
    log: Arc<Mutex<Vec<Received>>>,
    how: Arc<Mutex<Behaviour>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let headers = request.headers().iter().map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap())));
    let headers = Value::Object(headers.collect());
    let body = request.into_body().collect().await.unwrap().to_bytes().to_vec();
    log.lock().push(Received { path, headers, body });
    let behaviour = how.lock().clone();
    match behaviour {
        Behaviour::Answer(status, body) => {
            Ok(Response::builder().status(status).body(Full::new(Bytes::from(body))).unwrap())
        }
        Behaviour::Hang => std::future::pending().await,
    }
}

/// A shop whose hooks may be on this machine, with a product at 10.00 and a tax of 20 % by its own rates.
async fn shop() -> Shop {
    let shop = Shop::start_with(&[("PROMOX_WEBHOOKS__NETWORKS", "127.0.0.0/8")]).await;
    let rate = json!({"country": "GB", "taxClass": "STANDARD", "percent": "20"});
    let taxes = json!({"pricesIncludeTax": false, "rates": [rate]});
    shop.admin.patch("/api/settings/taxes", &taxes).await.expect(200);
    shop.product("A", "10.00", 1_000).await;
    shop
}

/// Adds a hook. Returns its path and its secret.
async fn add(shop: &Shop, kind: &str, url: &str, fallback: &str) -> (String, String) {
    let hook = json!({"kind": kind, "url": url, "fallback": fallback, "timeoutMs": 500});
    let created = shop.admin.post("/api/hooks", &hook).await.expect(201);
    (format!("/api/hooks/{}", created["hook"]["id"]), created["secret"].as_str().unwrap().to_owned())
}

/// An order of two units.
fn body() -> Value {
    let mut order = order_of(&[("A", 2)], "tok_visa");
    order["shippingAddress"] = json!({"name": "N", "line1": "1 Road", "city": "Town", "country": "GB"});
    order
}

fn rates() -> Value {
    json!({"methods": [
        {"method": "EXPRESS", "name": "Express", "amount": "9.90"},
        {"method": "SLOW", "name": "Slow", "amount": "3.00"},
    ]})
}

/// `[shipping, tax, total]` of an order or a quote.
fn totals(priced: &Value) -> [&str; 3] {
    ["shipping", "tax", "total"].map(|member| priced["totals"][member].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_and_an_order_take_tax_and_rates_from_the_merchants_service() {
    let shop = shop().await;
    let (tax, ship) =
        (Service::start(&json!({"lines": ["1.23"], "shipping": "0.45"})).await, Service::start(&rates()).await);
    assert_eq!(totals(&shop.anyone.post("/api/orders", &body()).await.expect(201)), ["0.00", "4.00", "24.00"]);
    let (tax_path, secret) = add(&shop, "TAX", &tax.url(), "REFUSE").await;
    add(&shop, "SHIPPING_RATES", &ship.url(), "REFUSE").await;
    let quote = shop.anyone.post("/api/orders/quote", &body()).await.expect(200);
    assert_eq!(totals(&quote), ["3.00", "1.68", "24.68"]);
    assert_eq!(quote["shippingOptions"][1]["method"], "EXPRESS");
    let keyed = shop.anyone.key("once");
    let placed = keyed.post("/api/orders", &body()).await.expect(201);
    assert_eq!(totals(&placed), ["3.00", "1.68", "24.68"], "a quote and an order agree");
    let message = tax.asked.lock().last().unwrap().clone();
    assert!(is_signed(&secret, &message) && !is_signed("whsec_AAAA", &message));
    let asked = message.json();
    assert_eq!(
        (&asked["type"], &asked["test"], &asked["data"]["shipping"]),
        (&json!("TAX"), &json!(false), &json!("3.00"))
    );
    assert_eq!(asked["data"]["lines"][0]["amount"], "20.00");
    // The answers are recorded with the order: a repetition asks nobody, whatever the service would say now.
    let asked_before = tax.count();
    tax.answer_with(&json!({"lines": ["9.99"], "shipping": "0.00"}));
    assert_eq!(totals(&keyed.post("/api/orders", &body()).await.expect(201)), ["3.00", "1.68", "24.68"]);
    let order = shop.admin.get(&format!("/api/orders/{}", placed["id"])).await.expect(200);
    let records = order["hooks"].as_array().unwrap();
    assert_eq!(records.iter().map(|it| it["kind"].as_str().unwrap()).collect::<Vec<_>>(), ["SHIPPING_RATES", "TAX"]);
    assert_eq!(records[1]["answer"]["tax"], json!({"lines": ["1.23"], "shipping": "0.45"}));
    assert_eq!((&records[1]["message"], &records[1]["outcome"]), (&message.headers["webhook-id"], &json!("ANSWERED")));
    // The price of a quote holds too, with a method that only the merchant's service has.
    let mut quoted = body();
    quoted["quoteId"] = quote["quoteId"].clone();
    let placed = shop.anyone.post("/api/orders", &quoted).await.expect(201);
    assert_eq!((totals(&placed), tax.count()), (["3.00", "1.68", "24.68"], asked_before));
    let mut express = body();
    express["shippingMethod"] = json!("EXPRESS");
    assert_eq!(totals(&shop.anyone.post("/api/orders", &express).await.expect(201)), ["9.90", "9.99", "39.89"]);
    ship.answer_with(&json!({"methods": []}));
    shop.anyone.post("/api/orders", &body()).await.refused(422, "SHIPPING_UNAVAILABLE");
    // A cart without an address asks nobody, and neither does a disabled hook.
    shop.admin.patch(&tax_path, &json!({"enabled": false})).await.expect(200);
    let asked_before = tax.count();
    ship.answer_with(&rates());
    assert_eq!(totals(&shop.anyone.post("/api/orders", &body()).await.expect(201)), ["3.00", "4.60", "27.60"]);
    assert_eq!(tax.count(), asked_before);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_fails_is_replaced_or_refuses_the_checkout() {
    let shop = shop().await;
    let service = Service::start(&json!({})).await;
    let (path, _) = add(&shop, "TAX", &service.url(), "STORE_RATES").await;
    let huge = json!({"lines": ["1.00"], "shipping": "0.00", "more": "x".repeat(70_000)}).to_string();
    let broken = [
        Behaviour::Hang,
        Behaviour::Answer(200, "garbage".to_owned()),
        Behaviour::Answer(500, "{}".to_owned()),
        Behaviour::Answer(200, huge),
        Behaviour::Answer(200, "x".repeat(2 << 20)),
        Behaviour::Answer(200, json!({"lines": ["-1.00"], "shipping": "0.00"}).to_string()),
        Behaviour::Answer(200, json!({"lines": ["1.001"], "shipping": "0.00"}).to_string()),
        Behaviour::Answer(200, json!({"lines": ["1.00", "1.00"], "shipping": "0.00"}).to_string()),
    ];
    for (n, behaviour) in broken.iter().enumerate() {
        // A changed hook has a new breaker, so each case is asked.
        for (fallback, timeout) in [("STORE_RATES", 200 + n), ("REFUSE", 200 + n)] {
            let change = json!({"fallback": fallback, "timeoutMs": timeout});
            shop.admin.patch(&path, &change).await.expect(200);
            service.behave(behaviour.clone());
            let (stock, asked) = (shop.settled_stock("A").await, service.count());
            let answer = shop.anyone.post("/api/orders", &body()).await;
            if fallback == "REFUSE" {
                answer.refused(503, "HOOK_UNAVAILABLE");
                assert_eq!(shop.settled_stock("A").await, stock, "a refusal holds nothing");
            } else {
                let order = answer.expect(201);
                assert_eq!(totals(&order)[1], "4.00", "{behaviour:?}");
                assert_eq!(
                    (&order["hooks"][0]["outcome"], &order["hooks"][0]["answer"]),
                    (&json!("FALLBACK"), &Value::Null)
                );
            }
            assert_eq!(service.count(), asked + 1);
        }
    }
    // After five failures the service is not asked for a while, and the fallback applies at once.
    let change = json!({"fallback": "STORE_RATES", "timeoutMs": 100});
    shop.admin.patch(&path, &change).await.expect(200);
    let asked = service.count();
    for _ in 0..8 {
        assert_eq!(totals(&shop.anyone.post("/api/orders", &body()).await.expect(201))[1], "4.00");
    }
    assert_eq!(service.count(), asked + 5);
    service.kill().await;
    shop.admin.patch(&path, &json!({"timeoutMs": 101})).await.expect(200);
    assert_eq!(totals(&shop.anyone.post("/api/orders", &body()).await.expect(201))[1], "4.00");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_merchants_service_accepts_and_rejects_orders() {
    let shop = shop().await;
    let service = Service::start(&json!({"accepted": true})).await;
    let (path, _) = add(&shop, "VALIDATION", &service.url(), "REFUSE").await;
    let accepted = shop.anyone.post("/api/orders", &body()).await.expect(201);
    assert_eq!(accepted["hooks"][0]["answer"]["validation"], json!({"accepted": true}));
    let asked = service.asked.lock().last().unwrap().json();
    assert_eq!(
        (&asked["data"]["totals"]["total"], &asked["data"]["email"]),
        (&json!("24.00"), &json!("guest@example.com"))
    );
    service.answer_with(&json!({"accepted": false, "message": "We do not sell this here."}));
    let stock = shop.settled_stock("A").await;
    let keyed = shop.anyone.key("rejected");
    let refused = keyed.post("/api/orders", &body()).await.refused(422, "CHECKOUT_REJECTED");
    assert_eq!(refused["detail"], "We do not sell this here.");
    assert_eq!(shop.settled_stock("A").await, stock);
    assert_eq!(totals(&shop.anyone.post("/api/orders/quote", &body()).await.expect(200))[2], "24.00");
    service.kill().await;
    let refused = shop.anyone.post("/api/orders", &body()).await.refused(503, "HOOK_UNAVAILABLE");
    let for_staff = shop.admin.post("/api/orders", &body()).await.refused(503, "HOOK_UNAVAILABLE");
    assert!(
        refused["reason"].is_null() && for_staff["reason"].as_str().is_some_and(|it| !it.is_empty()),
        "{for_staff}"
    );
    shop.admin.patch(&path, &json!({"fallback": "ACCEPT"})).await.expect(200);
    assert_eq!(shop.anyone.post("/api/orders", &body()).await.expect(201)["hooks"][0]["outcome"], "FALLBACK");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_and_answers_are_as_the_description_says() {
    let shop = shop().await;
    let description = Description::read(&shop.anyone.get("/openapi.json").await.bytes).unwrap();
    let (tax, accepted) = (json!({"lines": ["1.23"], "shipping": "0.45"}), json!({"accepted": true}));
    for (kind, answer) in [("SHIPPING_RATES", rates()), ("TAX", tax), ("VALIDATION", accepted)] {
        let service = Service::start(&answer).await;
        add(&shop, kind, &service.url(), "REFUSE").await;
        shop.anyone.post("/api/orders", &body()).await.expect(201);
        let asked = service.asked.lock().last().unwrap().clone();
        assert_eq!(description.contradicts_message(&asked).as_deref(), Ok(kind));
        assert_eq!(description.contradicts_answer(kind, &answer), Ok(()), "what is accepted is described");
        assert!(description.contradicts_answer(kind, &json!({})).is_err(), "{kind}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_are_managed_by_those_who_may() {
    let shop = shop().await;
    let service = Service::start(&json!({"lines": ["1.00"], "shipping": "0.00"})).await;
    let (path, secret) = add(&shop, "TAX", &service.url(), "STORE_RATES").await;
    let hook = |kind: &str, url: &str, fallback: &str| json!({"kind": kind, "url": url, "fallback": fallback});
    let (url, admin) = (service.url(), &shop.admin);
    admin.post("/api/hooks", &hook("TAX", &url, "REFUSE")).await.refused(409, "HOOK_EXISTS");
    for (refused, pointer) in [
        (hook("VALIDATION", "http://192.168.0.1/", "REFUSE"), "/url"),
        (hook("VALIDATION", "https://10.0.0.1/", "REFUSE"), "/url"),
        (hook("VALIDATION", &format!("{}/hook", shop.url()), "REFUSE"), "/url"),
        (hook("VALIDATION", &url, "STORE_RATES"), "/fallback"),
        (hook("SHIPPING_RATES", &url, "ACCEPT"), "/fallback"),
    ] {
        let answer = admin.post("/api/hooks", &refused).await.refused(422, "VALIDATION_FAILED");
        assert_eq!(answer["errors"][0]["pointer"], pointer, "{refused}");
    }
    admin.patch(&path, &json!({"timeoutMs": 10_001})).await.refused(422, "VALIDATION_FAILED");
    let tested = admin.post(&format!("{path}/test"), &json!({})).await.expect(200);
    assert_eq!((&tested["answer"]["tax"]["lines"], &tested["detail"]), (&json!(["1.00"]), &Value::Null));
    let asked = service.asked.lock().last().unwrap().clone();
    assert!(is_signed(&secret, &asked) && asked.json()["test"] == true);
    service.behave(Behaviour::Answer(503, String::new()));
    let tested = admin.post(&format!("{path}/test"), &json!({})).await.expect(200);
    assert!(tested["answer"].is_null() && tested["detail"].as_str().unwrap().contains("503"), "{tested}");
    for shown in ["/api/hooks", &path, "/api/audit?action=hook.create"] {
        let text = String::from_utf8_lossy(&admin.get(shown).await.bytes).into_owned();
        assert!(!text.contains("whsec_") && text.contains("TAX"), "{shown}: {text}");
    }
    let ada = shop.customer("ada@example.com").await;
    ada.get("/api/hooks").await.refused(403, "FORBIDDEN");
    let shop = shop.restart().await;
    assert_eq!(shop.admin.get("/api/hooks").await.expect(200)["items"].as_array().unwrap().len(), 1);
    assert_eq!(shop.admin.delete(&path).await.status, 204);
    shop.admin.get(&path).await.refused(404, "NOT_FOUND");
    let placed = shop.anyone.post("/api/orders", &body()).await.expect(201);
    assert!(placed["hooks"].is_null() && totals(&placed)[1] == "4.00");
    shop.close().await;
}
