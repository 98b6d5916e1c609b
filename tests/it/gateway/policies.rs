//! Rates with costs, and the metrics of breakers.

use serde_json::json;

use super::routes::shop_with;
use super::upstream::Upstream;
use crate::client::Answer;
use crate::shop::Shop;

#[tokio::test(flavor = "multi_thread")]
async fn a_route_has_its_own_rate_and_costs() {
    let app = Upstream::start("blog").await;
    let settings = [
        ("PROMOX_LIMITS__ENABLED", "true"),
        ("PROMOX_GATEWAY__APPS__BLOG__REQUESTS_PER_MINUTE", "6"),
        ("PROMOX_GATEWAY__APPS__BLOG__COST", "2"),
    ];
    let shop = shop_with(&app, &settings).await;
    for left in ["4", "2", "0"] {
        let answer = shop.anyone.get("/api/blog/posts").await;
        assert_eq!((answer.status, answer.headers["ratelimit-remaining"].to_str().unwrap()), (200, left));
    }
    let refused = shop.anyone.get("/api/blog/posts").await;
    refused.refused(429, "TOO_MANY_REQUESTS");
    assert_eq!(refused.headers["ratelimit-limit"], "6");
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((18..=20).contains(&wait), "two tokens come back in 20 s; got {wait}");
    shop.anyone.get("/api/products").await.expect(200);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trying_codes_costs_more_than_a_page() {
    let settings = [
        ("PROMOX_LIMITS__ENABLED", "true"),
        ("PROMOX_LIMITS__BURST", "1000"),
        ("PROMOX_LIMITS__REQUESTS_PER_MINUTE", "1"),
        ("PROMOX_LIMITS__COSTS", "product.list_categories=7"),
    ];
    let shop = Shop::start_with(&settings).await;
    let left = |answer: &Answer| answer.headers["ratelimit-remaining"].to_str().unwrap().parse::<u32>().unwrap();
    let page = shop.anyone.get("/api/products").await;
    let categories = shop.anyone.get("/api/categories").await;
    let codes = shop.anyone.put("/api/carts/current/codes", &json!({"promotionCode": "X"})).await;
    assert_eq!((left(&page) - left(&categories), left(&categories) - left(&codes)), (7, 10));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_name_every_breaker() {
    let app = Upstream::start("blog").await;
    let shop = shop_with(&app, &[]).await;
    shop.anyone.get("/api/blog/fail").await;
    let metrics = shop.anyone.with("accept", "*/*").get("/actuator/prometheus").await;
    let text = String::from_utf8(metrics.bytes.to_vec()).unwrap();
    for line in [
        r#"resilience4j_circuitbreaker_state{name="app:BLOG",state="closed"} 1"#,
        r#"resilience4j_circuitbreaker_state{name="order",state="open"} 0"#,
        r#"resilience4j_circuitbreaker_buffered_calls{name="app:BLOG",kind="failed"} 1"#,
        r#"resilience4j_circuitbreaker_failure_rate{name="app:BLOG"} 100"#,
        r#"promox_gateway_failed_calls_total{name="app:BLOG"} 1"#,
    ] {
        assert!(text.lines().any(|known| known == line), "{line}\n{text}");
    }
    assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1);
    shop.close().await;
}
