//! The operations of Eureka's REST interface. Paths with `/eureka/v2` and with a slash at the end lead to the same
//! operations.
//!
//! Unlike elsewhere, unknown members and parameters are ignored, because clients of every version send others.

use std::collections::BTreeMap;

use promox_contract::discovery::InstanceStatus;
use promox_kernel::{Body, Content, Download, Error, Reply, Response, operation};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::Value;

/// 200 without content, which Eureka's clients expect of renewals and changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done;

impl Reply for Done {
    const HAS_CONTENT: bool = false;

    fn respond(self, status: u16) -> Result<Response, Error> {
        Ok(Response { status, headers: Vec::new(), content: Content::Empty })
    }
    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        None
    }
    fn stored_response(&self, _: u16) -> Result<Option<Response>, Error> {
        Ok(None)
    }
}

/// Query parameters by name.
pub type Parameters = BTreeMap<String, Value>;

/// Declares operations on the registry. `values` takes all query parameters that are not fields.
macro_rules! requests {
    ($($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident: $type:ty),* $(,)? })+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            $($(#[$fmeta])* pub $field: $type,)*
            /// Other parameters, which are ignored.
            #[serde(flatten)]
            #[schemars(skip)]
            pub values: Parameters,
        }
    )+};
}

requests! {
    /// Renews the lease of an instance.
    Renew {
        /// The application.
        app: String,
        /// The instance.
        id: String,
        /// When the instance last changed, in milliseconds since 1970. A later time than the registered one is answered
        /// with 404, so that the instance registers again.
        #[serde(default)]
        last_dirty_timestamp: Option<i64>,
    }
    /// Cancels the lease of an instance.
    Cancel {
        /// The application.
        app: String,
        /// The instance.
        id: String,
    }
    /// Overrides the status of an instance.
    OverrideStatus {
        /// The application.
        app: String,
        /// The instance.
        id: String,
        /// The status to show in place of the instance's own, such as `OUT_OF_SERVICE`.
        value: InstanceStatus,
    }
    /// Removes the override of an instance's status.
    ClearOverride {
        /// The application.
        app: String,
        /// The instance.
        id: String,
        /// The instance's own status from now on; by default the one that it stated last.
        #[serde(default)]
        value: Option<InstanceStatus>,
    }
    /// Changes the metadata of an instance.
    UpdateMetadata {
        /// The application.
        app: String,
        /// The instance.
        id: String,
    }
    /// Gets all applications.
    GetApplications {}
    /// Gets what changed lately.
    GetDelta {}
    /// Gets an application.
    GetApplication {
        /// The application.
        app: String,
    }
    /// Gets an instance of an application.
    GetInstance {
        /// The application.
        app: String,
        /// The instance.
        id: String,
    }
    /// Gets an instance.
    GetInstanceById {
        /// The instance.
        id: String,
    }
    /// Gets the instances with a virtual address.
    GetVip {
        /// The virtual address.
        vip: String,
    }
    /// Gets the instances with a secure virtual address.
    GetSecureVip {
        /// The secure virtual address.
        vip: String,
    }
    /// Gets the registry as a page.
    GetPage {}
}

/// Registers an instance.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Register {
    /// The application.
    pub app: String,
    /// Other parameters, which are ignored.
    #[serde(flatten)]
    #[schemars(skip)]
    pub values: Parameters,
    /// The instance, at most 64 KiB.
    #[serde(skip)]
    #[schemars(skip)]
    pub body: Body,
}

operation! {
    Register => (), "discovery.register", Post "/eureka/apps/{app}", Checked("discovery:register"), 204,
    "Registers an instance of an application, or replaces it. The caller's API key must be bound to the application.",
    stream ["application/json", "application/xml", "text/xml"], body
}
operation! {
    Renew => Done, "discovery.renew", Put "/eureka/apps/{app}/{id}", Checked("discovery:register"), 200,
    "Renews the lease of an instance (heartbeat). 404 asks the instance to register again.", ignores_body
}
operation! {
    Cancel => Done, "discovery.cancel", Delete "/eureka/apps/{app}/{id}", Checked("discovery:register"), 200,
    "Removes an instance.", ignores_body
}
operation! {
    OverrideStatus => Done, "discovery.override_status", Put "/eureka/apps/{app}/{id}/status",
    Checked("discovery:register"), 200,
    "Shows a status in place of the instance's own, for example to take it out of service.", ignores_body
}
operation! {
    ClearOverride => Done, "discovery.clear_override", Delete "/eureka/apps/{app}/{id}/status",
    Checked("discovery:register"), 200, "Shows the instance's own status again.", ignores_body
}
operation! {
    UpdateMetadata => Done, "discovery.update_metadata", Put "/eureka/apps/{app}/{id}/metadata",
    Checked("discovery:register"), 200, "Adds the query parameters to the metadata of an instance.", ignores_body
}
operation! {
    GetApplications => Download, "discovery.applications", Get "/eureka/apps", Checked("discovery:register"), 200,
    "All applications with their instances.", sends ["application/xml", "application/json"]
}
operation! {
    GetDelta => Download, "discovery.delta", Get "/eureka/apps/delta", Checked("discovery:register"), 200,
    "The instances that changed in the last three minutes, and the hash of all.",
    sends ["application/xml", "application/json"]
}
operation! {
    GetApplication => Download, "discovery.application", Get "/eureka/apps/{app}", Checked("discovery:register"), 200,
    "An application with its instances.", sends ["application/xml", "application/json"]
}
operation! {
    GetInstance => Download, "discovery.instance", Get "/eureka/apps/{app}/{id}", Checked("discovery:register"), 200,
    "An instance of an application.", sends ["application/xml", "application/json"]
}
operation! {
    GetInstanceById => Download, "discovery.instance_by_id", Get "/eureka/instances/{id}",
    Checked("discovery:register"), 200, "An instance.", sends ["application/xml", "application/json"]
}
operation! {
    GetVip => Download, "discovery.vip", Get "/eureka/vips/{vip}", Checked("discovery:register"), 200,
    "The instances with a virtual address.", sends ["application/xml", "application/json"]
}
operation! {
    GetSecureVip => Download, "discovery.secure_vip", Get "/eureka/svips/{vip}", Checked("discovery:register"), 200,
    "The instances with a secure virtual address.", sends ["application/xml", "application/json"]
}
operation! {
    GetPage => Download, "discovery.page", Get "/eureka", Checked("discovery:register"), 200,
    "The registry as a page: instances, renewals, threshold, and whether instances are evicted.",
    sends ["text/html"]
}
