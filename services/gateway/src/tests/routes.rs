//! Routes on the memory engine.

use promox_kernel::Handle as _;
use promox_testkit::{Harness, Setup, code};
use serde_json::json;

use crate::{CreateRoute, DeleteRoute, Gateway, GatewaySettings, ListRoutes, RouteRule, Traffic, TrafficSettings};

fn open(routes: Vec<RouteRule>) -> Harness<Gateway> {
    Setup::at("2027-01-15T08:00:00Z").start(move |databases| {
        let settings = TrafficSettings {
            max_running: 10,
            breaker: crate::BreakerSettings::default(),
            slow_start: std::time::Duration::ZERO,
        };
        let own = GatewaySettings { issuer: "promox".to_owned(), routes: routes.clone() };
        Gateway::new(databases.ecommerce.clone(), Traffic::new(settings), own)
    })
}

fn rule(app: &str, path: &str) -> RouteRule {
    RouteRule { app: app.to_owned(), path: path.to_owned(), ..RouteRule::default() }
}

#[tokio::test]
async fn a_stored_route_is_used_with_those_of_the_configuration() {
    let node = open(vec![rule("shop-front", "/front")]);
    let cx = node.cx();
    promox_storage::Service::recover(&*node.service, &cx).await.unwrap();
    let created = node.service.handle(&cx, CreateRoute(rule("blog", "/api/blog"))).await.unwrap();
    let paths = async || {
        let listed = node.service.handle(&cx, ListRoutes {}).await.unwrap().items;
        listed.into_iter().map(|route| route.path).collect::<Vec<_>>()
    };
    assert_eq!(paths().await, ["/api/blog", "/front"]);
    let again = node.service.handle(&cx, CreateRoute(rule("SHOP-FRONT", "/front"))).await;
    assert_eq!(again.map(drop).unwrap_err().code(), "ROUTE_EXISTS");
    node.service.handle(&cx, DeleteRoute { id: created.id.unwrap() }).await.unwrap();
    assert_eq!(paths().await, ["/front"]);
    node.verify();
}

#[tokio::test]
async fn a_route_over_a_path_of_promox_is_refused() {
    let node = open(Vec::new());
    let refused = node.ask::<CreateRoute>(json!({"app": "blog", "path": "/api/gateway/routes"})).await;
    assert_eq!(code(refused), "VALIDATION_FAILED");
}
