//! The operations that a listener serves, and the addresses that lead to them.

use std::borrow::Cow;

/// The service with the registry, which Eureka's clients speak to.
const DISCOVERY: &str = "discovery";
/// What the paths of the registry begin with.
const REGISTRY: &str = "/eureka";
/// What the paths of the actuator begin with.
const ACTUATOR: &str = "/actuator";

/// The operations that a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those of all services.
    All,
    /// Those of one service, and the actuator.
    Service(&'static str),
}

impl Scope {
    /// The listener of discovery.
    pub(crate) const DISCOVERY: Self = Self::Service(DISCOVERY);

    /// The service, if the listener serves only one.
    pub(crate) fn service(self) -> Option<&'static str> {
        match self {
            Self::All => None,
            Self::Service(name) => Some(name),
        }
    }

    /// Whether the listener serves an operation of this service at this path.
    pub(crate) fn includes(self, service: &str, path: &str) -> bool {
        match self {
            Self::All => true,
            Self::Service(own) => own == service || path.starts_with(ACTUATOR),
        }
    }

    /// The path of the operation that a raw path leads to. Eureka's clients differ in the version and in a slash at the
    /// end, and expect the registry's page at the root of its own port.
    pub(crate) fn resolve(self, path: &str) -> Cow<'_, str> {
        if path == "/" && self == Self::DISCOVERY {
            return Cow::Borrowed(REGISTRY);
        }
        let Some(rest) = path.strip_prefix(REGISTRY).filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
            return Cow::Borrowed(path);
        };
        let rest = rest.strip_prefix("/v2").filter(|rest| rest.is_empty() || rest.starts_with('/')).unwrap_or(rest);
        Cow::Owned(format!("{REGISTRY}{}", rest.strip_suffix('/').unwrap_or(rest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_eureka_lead_to_one_operation() {
        for (path, resolved) in [
            ("/eureka/apps", "/eureka/apps"),
            ("/eureka/apps/", "/eureka/apps"),
            ("/eureka/v2/apps/delta", "/eureka/apps/delta"),
            ("/eureka/v2/apps/", "/eureka/apps"),
            ("/eureka/v2", "/eureka"),
            ("/eureka/", "/eureka"),
            ("/eureka/v2x", "/eureka/v2x"),
            ("/eurekas/", "/eurekas/"),
            ("/api/products/", "/api/products/"),
            ("/", "/"),
        ] {
            assert_eq!(Scope::All.resolve(path), resolved, "{path}");
        }
        assert_eq!(Scope::DISCOVERY.resolve("/"), "/eureka");
        assert_eq!(Scope::Service("order").resolve("/"), "/");
    }

    #[test]
    fn a_listener_of_one_service_serves_that_and_the_actuator() {
        let order = Scope::Service("order");
        assert!(order.includes("order", "/api/orders") && order.includes("ops", "/actuator/health"));
        assert!(!order.includes("product", "/api/products") && !order.includes("ops", "/api/ops/runs"));
        assert!(Scope::All.includes("product", "/api/products"));
    }
}
