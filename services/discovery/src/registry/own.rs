//! The services of this process as instances of the registry.

use std::collections::BTreeMap;
use std::time::Duration;

use promox_contract::discovery::InstanceStatus;
use promox_kernel::Timestamp;

use crate::rules::registration::{Port, Registration};

/// A service of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnInstance {
    /// The name of its application, such as `ORDER-SERVICE`.
    pub app: String,
    /// The host name at which clients reach it.
    pub host: String,
    /// The IP address at which clients reach it.
    pub ip: String,
    /// The port.
    pub port: u16,
    /// Whether the port speaks TLS.
    pub secure: bool,
}

impl OwnInstance {
    pub(crate) fn registration(&self, now: Timestamp) -> Registration {
        let vip = self.app.to_lowercase();
        let scheme = if self.secure { "https" } else { "http" };
        let base = format!("{scheme}://{}:{}", self.host, self.port);
        let port = |enabled| Port { number: self.port, enabled };
        let texts = [
            ("homePageUrl", format!("{base}/")),
            ("statusPageUrl", format!("{base}/actuator/info")),
            (if self.secure { "secureHealthCheckUrl" } else { "healthCheckUrl" }, format!("{base}/actuator/health")),
            ("vipAddress", vip.clone()),
            ("secureVipAddress", vip),
        ];
        Registration {
            app: self.app.clone(),
            id: format!("{}:{}:{}", self.host, self.app.to_lowercase(), self.port),
            host: self.host.clone(),
            ip: self.ip.clone(),
            status: InstanceStatus::Up,
            port: port(!self.secure),
            secure_port: port(self.secure),
            country: 1,
            center_class: "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo".to_owned(),
            center: "MyOwn".to_owned(),
            center_metadata: BTreeMap::new(),
            renewal: Duration::from_secs(30),
            duration: Duration::from_secs(90),
            metadata: BTreeMap::new(),
            texts: texts.into_iter().collect(),
            dirty_at: now.0 / 1_000,
        }
    }
}
