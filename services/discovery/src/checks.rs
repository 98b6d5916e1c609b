//! Who may register and read. With `discovery.open` anyone may.

use std::net::IpAddr;

use promox_contract::codes;
use promox_contract::discovery::is_reserved_app;
use promox_contract::gateway::CheckAddress;
use promox_kernel::{Access, Cx, Error, FieldError, Principal};

use crate::{Discovery, reject};

/// The permission to register applications and to read the registry.
const REGISTER: &str = "discovery:register";
/// A permission that suffices to read the registry.
const READ: &str = "ops:read";

impl Discovery {
    /// Refuses callers who may not read the registry.
    pub(crate) fn check_reader(&self, cx: &Cx) -> Result<(), Error> {
        if self.settings.open || cx.principal.allows(READ) {
            return Ok(());
        }
        Access::Permission(REGISTER).check(cx)
    }

    /// Refuses callers who may not register this application. Returns its name in upper case.
    pub(crate) fn check_writer(&self, cx: &Cx, app: &str) -> Result<String, Error> {
        let app = app.to_uppercase();
        if !self.settings.open {
            Access::Permission(REGISTER).check(cx)?;
        }
        let services = cx.node.registry()?.entries().iter().map(|entry| entry.service);
        if self.registry.lock().is_own(&app) || is_reserved_app(&app, services) {
            return Err(reject::reserved(&app));
        }
        match &cx.principal {
            Principal::Key { applications, .. } if !self.settings.open && !applications.contains(&app) => {
                Err(reject::not_yours(&app))
            }
            _ => Ok(app),
        }
    }

    /// Refuses an instance at an address from which no route would pass requests on to its application.
    pub(crate) async fn check_address(&self, cx: &Cx, app: &str, address: Option<IpAddr>) -> Result<(), Error> {
        let Some(address) = address else { return Ok(()) };
        if cx.call(CheckAddress { app: app.to_owned(), address }).await?.permitted {
            return Ok(());
        }
        let detail = format!("{address} is not in the networks of the routes to {app}");
        Err(Error::invalid(vec![FieldError::coded("/instance/ipAddr", codes::ADDRESS_REFUSED, detail)]))
    }
}
