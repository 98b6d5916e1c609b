//! The permissions that the operations of this node require, for the service that manages roles.

use std::sync::Arc;

use promox_contract::user::{GetNodePermissions, PermissionNames};
use promox_kernel::{Cx, Error, Handle, Registry, register};

/// Reads the permissions from the registry.
#[derive(Clone, Copy, Debug)]
pub struct Permissions;

impl Permissions {
    /// Registers the operation that lists the permissions.
    pub fn register(registry: &mut Registry) {
        let own = Arc::new(Self);
        register!(registry, &own; GetNodePermissions);
    }
}

impl Handle<GetNodePermissions> for Permissions {
    async fn handle(&self, cx: &Cx, _: GetNodePermissions) -> Result<PermissionNames, Error> {
        let named = cx.node.registry()?.entries().iter().filter_map(|entry| entry.access.permission());
        Ok(PermissionNames { names: named.map(str::to_owned).collect() })
    }
}
