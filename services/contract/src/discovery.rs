//! Operations of the discovery service for other services.

use std::collections::BTreeMap;
use std::net::IpAddr;

use promox_kernel::{Timestamp, json_reply, operation, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Maximum length of an application's name: that of a label of a host name.
const MAX_APP_NAME: usize = 63;

/// What a name that [`is_app_name`] refuses must be, to complete a message.
pub const APP_NAME_RULE: &str =
    "must be 1 to 63 letters, digits, hyphens and underscores, with single dots between them";
/// What a name that [`is_host_name`] refuses must be, to complete a message.
pub const HOST_NAME_RULE: &str = "must be an IP address or a name of at most 253 letters, digits, hyphens and underscores, with single dots between them";
/// Maximum length of the name of a host.
const MAX_HOST_NAME: usize = 253;

/// Whether an application can have this name: at most 63 letters, digits, hyphens and underscores, in parts that are
/// separated by single dots.
pub fn is_app_name(name: &str) -> bool {
    name.len() <= MAX_APP_NAME && has_plain_parts(name)
}

/// Whether an instance can have this name as its host: an IP address, or at most 253 letters, digits, hyphens and
/// underscores, in parts of at most 63 that are separated by single dots.
pub fn is_host_name(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok() || (name.len() <= MAX_HOST_NAME && has_plain_parts(name))
}

/// Whether the parts of a name between its dots are 1 to 63 letters, digits, hyphens and underscores.
fn has_plain_parts(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    name.split('.').all(|part| (1..=MAX_APP_NAME).contains(&part.len()) && part.bytes().all(is_plain))
}

/// Whether a name belongs to promox, so that no application can have it: that of one of these services, alone or with
/// `-SERVICE`, or one of promox as a whole.
pub fn is_reserved_app<'a>(name: &str, services: impl IntoIterator<Item = &'a str>) -> bool {
    let name = name.to_ascii_uppercase();
    let bare = name.strip_suffix("-SERVICE").unwrap_or(&name);
    ["PROMOX", "GATEWAY", "DISCOVERY", "EUREKA"].contains(&bare)
        || services.into_iter().any(|service| service.eq_ignore_ascii_case(bare))
}

text_enum! {
    /// The status of a registered instance. Only instances that are UP receive requests.
    InstanceStatus {
        Up = "UP",
        Down = "DOWN",
        Starting = "STARTING",
        OutOfService = "OUT_OF_SERVICE",
        Unknown = "UNKNOWN",
    }
}

/// Lists the instances of registered applications. The services of promox itself are not among them.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListInstances {
    /// Only instances of this application, whose name is compared without case.
    #[serde(default)]
    pub app: Option<String>,
    /// The epoch that the caller knows. If the registry still has it, the answer contains no instances.
    #[serde(default)]
    pub known_epoch: Option<u64>,
}
operation! {
    ListInstances => RegisteredInstances, "discovery.list_instances", internal,
    "The instances of registered applications."
}

/// The answer to [`ListInstances`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegisteredInstances {
    /// Identifies the state of the registry. It changes whenever an instance is added, removed or changed; a renewal
    /// does not change it. It never repeats, not even after a restart.
    pub epoch: u64,
    /// The instances by application and id; null if the registry still has the epoch that the caller knows.
    pub items: Option<Vec<RegisteredInstance>>,
}
json_reply!(RegisteredInstances);

/// An instance of a registered application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegisteredInstance {
    /// The name of the application, in upper case.
    pub app: String,
    /// The id of the instance, unique within its application.
    pub id: String,
    /// The host name under which it registered.
    pub host: String,
    /// The IP address that it stated, which may be empty.
    pub ip: String,
    /// The port for plain HTTP, or null if it is disabled.
    pub port: Option<u16>,
    /// The port for HTTPS, or null if it is disabled.
    pub secure_port: Option<u16>,
    /// The status, which an operator may have overridden.
    pub status: InstanceStatus,
    /// The metadata that it registered with.
    pub metadata: BTreeMap<String, String>,
    /// When it registered.
    pub registered_at: Timestamp,
    /// When it last renewed its lease.
    pub renewed_at: Timestamp,
}
