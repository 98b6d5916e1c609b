//! The ports besides the main one: discovery's, and one for each service.

use std::net::SocketAddr;

use crate::config::Settings;
use crate::http::edge::scope::Scope;

/// The services that have a port of their own with `server.service_ports`, and the names under which discovery shows them.
pub(crate) const SERVICES: [(&str, &str, u16); 13] = [
    ("product", "PRODUCT-SERVICE", 8001),
    ("inventory", "INVENTORY-SERVICE", 8002),
    ("order", "ORDER-SERVICE", 8003),
    ("payment", "PAYMENT-SERVICE", 8004),
    ("user", "USER-SERVICE", 8005),
    ("cart", "CART-SERVICE", 8006),
    ("notification", "NOTIFICATION-SERVICE", 8007),
    ("campaign", "CAMPAIGN-SERVICE", 9000),
    ("promotion", "PROMOTION-SERVICE", 9001),
    ("flashsale", "FLASH-SALE-SERVICE", 9002),
    ("coupon", "COUPON-SERVICE", 9003),
    ("reward", "REWARD-SERVICE", 9005),
    ("analytics", "ANALYTICS-SERVICE", 9006),
];

/// The addresses besides `server.listen`, each with its setting and what it serves.
pub(crate) fn others(settings: &Settings) -> Vec<(&'static str, SocketAddr, Scope)> {
    let mut others = Vec::new();
    if let Some(address) = settings.discovery.listen.0 {
        others.push(("discovery.listen", address, Scope::DISCOVERY));
    }
    if settings.server.service_ports {
        let address = settings.server.service_address;
        let own =
            |(service, _, port)| ("server.service_ports", SocketAddr::from((address, port)), Scope::Service(service));
        others.extend(SERVICES.into_iter().map(own));
    }
    others
}
