//! Eureka's documents about instances.

use std::collections::BTreeMap;

use promox_contract::discovery::InstanceStatus;
use promox_kernel::{Timestamp, text_enum};
use serde_json::{Map, Value, json};

use super::format::Format;
use super::registration::{Port, Registration};
use super::xml;

text_enum! {
    /// How an instance changed last.
    Action { Added = "ADDED", Modified = "MODIFIED", Deleted = "DELETED" }
}

/// The lease of an instance and what an operator made of its status.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    pub(crate) status: InstanceStatus,
    pub(crate) overridden: Option<InstanceStatus>,
    pub(crate) registered_at: Timestamp,
    pub(crate) renewed_at: Timestamp,
    /// When the instance was first UP, or null.
    pub(crate) up_since: Option<Timestamp>,
    pub(crate) updated_at: Timestamp,
}

/// An instance in both formats, made once per change.
#[derive(Debug)]
pub(crate) struct Rendered {
    xml: Box<str>,
    json: Box<str>,
}

impl Rendered {
    pub(crate) fn of(registration: &Registration, lease: &Lease, action: Action) -> Self {
        let value = instance(registration, lease, action);
        let mut text = String::new();
        xml::write("instance", &value, &mut text);
        Self { xml: text.into(), json: value.to_string().into() }
    }

    pub(crate) fn text(&self, format: Format) -> &str {
        match format {
            Format::Xml => &self.xml,
            Format::Json => &self.json,
        }
    }
}

/// Milliseconds since 1970.
fn millis(time: Timestamp) -> i64 {
    time.0.div_euclid(1_000)
}

fn port(port: Port) -> Value {
    json!({"$": port.number, "@enabled": port.enabled.to_string()})
}

fn entries(entries: &BTreeMap<String, String>) -> Value {
    if entries.is_empty() {
        return json!({"@class": "java.util.Collections$EmptyMap"});
    }
    entries.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect::<Map<_, _>>().into()
}

/// The document of an instance.
fn instance(registration: &Registration, lease: &Lease, action: Action) -> Value {
    let mut center = json!({"@class": registration.center_class, "name": registration.center});
    if let Some(center) = center.as_object_mut().filter(|_| !registration.center_metadata.is_empty()) {
        center.insert("metadata".to_owned(), entries(&registration.center_metadata));
    }
    let mut value = json!({
        "instanceId": registration.id,
        "hostName": registration.host,
        "app": registration.app,
        "ipAddr": registration.ip,
        "status": lease.status,
        "overriddenstatus": lease.overridden.unwrap_or(InstanceStatus::Unknown),
        "port": port(registration.port),
        "securePort": port(registration.secure_port),
        "countryId": registration.country,
        "dataCenterInfo": center,
        "leaseInfo": {
            "renewalIntervalInSecs": registration.renewal.as_secs(),
            "durationInSecs": registration.duration.as_secs(),
            "registrationTimestamp": millis(lease.registered_at),
            "lastRenewalTimestamp": millis(lease.renewed_at),
            "evictionTimestamp": 0,
            "serviceUpTimestamp": lease.up_since.map_or(0, millis),
        },
        "metadata": entries(&registration.metadata),
        "isCoordinatingDiscoveryServer": "false",
        "lastUpdatedTimestamp": millis(lease.updated_at).to_string(),
        "lastDirtyTimestamp": registration.dirty_at.to_string(),
        "actionType": action,
    });
    if let Some(members) = value.as_object_mut() {
        members.extend(registration.texts.iter().map(|(name, text)| ((*name).to_owned(), text.as_str().into())));
    }
    value
}

/// The hash by which clients check that a delta leaves them with all instances: how many have each status.
pub(crate) fn hash(counts: &BTreeMap<&'static str, usize>) -> String {
    let parts: Vec<String> = counts.iter().map(|(status, count)| format!("{status}_{count}_")).collect();
    parts.concat()
}

/// The document of one application; `None` if it has no instances.
pub(crate) fn application<'a>(
    format: Format,
    name: &str,
    instances: impl Iterator<Item = &'a Rendered>,
) -> Option<String> {
    let texts: Vec<&str> = instances.map(|instance| instance.text(format)).collect();
    if texts.is_empty() {
        return None;
    }
    Some(match format {
        Format::Xml => {
            let mut text = "<application>".to_owned();
            xml::write("name", &name.into(), &mut text);
            text.push_str(&texts.concat());
            text.push_str("</application>");
            text
        }
        Format::Json => format!(r#"{{"name":{},"instance":[{}]}}"#, Value::from(name), texts.join(",")),
    })
}

/// The document of several applications.
pub(crate) fn applications(format: Format, version: u64, hash: &str, applications: &[String]) -> String {
    match format {
        Format::Xml => format!(
            "<applications><versions__delta>{version}</versions__delta><apps__hashcode>{hash}</apps__hashcode>{}</applications>",
            applications.concat()
        ),
        Format::Json => format!(
            r#"{{"applications":{{"versions__delta":"{version}","apps__hashcode":"{hash}","application":[{}]}}}}"#,
            applications.join(",")
        ),
    }
}

/// A document of its own with one application or instance.
pub(crate) fn single(format: Format, name: &str, text: &str) -> String {
    match format {
        Format::Xml => text.to_owned(),
        Format::Json => format!(r#"{{"{name}":{text}}}"#),
    }
}
