//! Handlers of the operations.

use std::sync::Arc;

use promox_contract::gateway::{AddressCheck, CheckAddress, GetTrafficStates, TrafficStates};
use promox_contract::jwks::Jwks;
use promox_kernel::{Cx, Error, Faults, Handle};

use crate::api::{CreateRoute, DeleteRoute, GetIdentityKeys, ListRoutes, RouteList, RouteView};
use crate::rules::route::RouteRule;
use crate::{Gateway, commands, queries};

impl Handle<ListRoutes> for Gateway {
    async fn handle(&self, cx: &Cx, _: ListRoutes) -> Result<RouteList, Error> {
        Ok(RouteList { items: queries::views(&self.traffic, cx.node.registry()?) })
    }
}

impl Gateway {
    /// The rule in its normal form, if it can be used.
    fn checked(&self, cx: &Cx, rule: &RouteRule) -> Result<RouteRule, Error> {
        let (rule, mut faults) = (rule.normalised(), Faults::default());
        rule.check(&queries::reserved(cx.node.registry()?), &mut faults);
        rule.check_own(self.traffic.own(), &mut faults);
        faults.finish().map(|()| rule)
    }
}

impl Handle<CreateRoute> for Gateway {
    async fn handle(&self, cx: &Cx, op: CreateRoute) -> Result<RouteView, Error> {
        let rule = self.checked(cx, &op.0)?;
        let (caller, configured) = (cx.clone(), Arc::new(self.configured.clone()));
        let id = self.db.write(cx, move |tx| commands::create(tx, &caller, &rule, &configured)).await?;
        self.load(cx).await?;
        let routes = self.traffic.routes();
        let route = routes.iter().find(|route| route.id == Some(id)).ok_or(Error::not_found("route"))?;
        Ok(queries::view(&self.traffic, route))
    }

    async fn check(&self, cx: &Cx, op: CreateRoute) -> Result<(), Error> {
        self.checked(cx, &op.0).map(drop)
    }
}

impl Handle<DeleteRoute> for Gateway {
    async fn handle(&self, cx: &Cx, op: DeleteRoute) -> Result<(), Error> {
        let caller = cx.clone();
        self.db.write(cx, move |tx| commands::delete(tx, &caller, op.id)).await?;
        self.load(cx).await
    }
}

impl Handle<CheckAddress> for Gateway {
    async fn handle(&self, _: &Cx, op: CheckAddress) -> Result<AddressCheck, Error> {
        Ok(AddressCheck { permitted: queries::permits(&self.traffic.routes(), &op.app, op.address) })
    }
}

impl Handle<GetTrafficStates> for Gateway {
    async fn handle(&self, _: &Cx, _: GetTrafficStates) -> Result<TrafficStates, Error> {
        Ok(queries::traffic_states(&self.traffic))
    }
}

impl Handle<GetIdentityKeys> for Gateway {
    async fn handle(&self, _: &Cx, _: GetIdentityKeys) -> Result<Jwks, Error> {
        Ok(queries::jwks(self.db.read(queries::identity_keys).await?))
    }
}
