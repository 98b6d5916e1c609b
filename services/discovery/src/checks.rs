//! Who may register and read. With `discovery.open` anyone may.

use promox_kernel::{Access, Cx, Error, Principal};

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
        if self.registry.lock().is_own(&app) {
            return Err(reject::reserved(&app));
        }
        match &cx.principal {
            Principal::Key { applications, .. } if !self.settings.open && !applications.contains(&app) => {
                Err(reject::not_yours(&app))
            }
            _ => Ok(app),
        }
    }
}
