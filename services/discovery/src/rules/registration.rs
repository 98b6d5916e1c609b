//! An instance as it registers: read from JSON or XML, and validated.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr as _;
use std::time::Duration;

use promox_contract::codes;
use promox_contract::discovery::{APP_NAME_RULE, HOST_NAME_RULE, InstanceStatus, is_app_name, is_host_name};
use promox_kernel::{Error, Faults, Kind, Timestamp, is_disguised_address, is_never_reachable};
use serde_json::Value;

use super::xml;
use crate::api::Parameters;

/// Maximum characters of a name, an address or a URL.
const MAX_TEXT: usize = 1_000;
/// Maximum characters of a value of the metadata.
const MAX_VALUE: usize = 4_000;
/// Maximum entries of the metadata.
const MAX_METADATA: usize = 100;
/// The data center of instances that state none.
const OWN_CENTER: (&str, &str) = ("com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "MyOwn");

/// A port, which may be disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) number: u16,
    pub(crate) enabled: bool,
}

impl Port {
    /// The number, if the port is enabled.
    pub(crate) fn open(self) -> Option<u16> {
        (self.enabled && self.number != 0).then_some(self.number)
    }
}

/// What an instance states of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registration {
    /// In upper case.
    pub(crate) app: String,
    pub(crate) id: String,
    pub(crate) host: String,
    pub(crate) ip: String,
    pub(crate) status: InstanceStatus,
    pub(crate) port: Port,
    pub(crate) secure_port: Port,
    pub(crate) country: i64,
    pub(crate) center_class: String,
    pub(crate) center: String,
    pub(crate) center_metadata: BTreeMap<String, String>,
    /// The interval between renewals.
    pub(crate) renewal: Duration,
    /// How long the lease lasts after a renewal.
    pub(crate) duration: Duration,
    pub(crate) metadata: BTreeMap<String, String>,
    /// Optional texts that are passed on as they are, by their names in Eureka's documents.
    pub(crate) texts: BTreeMap<&'static str, String>,
    /// When the instance last changed, by its own clock, in milliseconds since 1970.
    pub(crate) dirty_at: i64,
}

/// Optional texts that are passed on.
const TEXTS: [&str; 8] = [
    "appGroupName",
    "asgName",
    "healthCheckUrl",
    "homePageUrl",
    "secureHealthCheckUrl",
    "secureVipAddress",
    "statusPageUrl",
    "vipAddress",
];

impl Registration {
    /// The virtual addresses, plain and secure, under which clients find the instance.
    pub(crate) fn virtual_addresses(&self) -> impl Iterator<Item = &str> {
        let texts = ["vipAddress", "secureVipAddress"].into_iter().filter_map(|name| self.texts.get(name));
        texts.flat_map(|text| text.split(',')).map(str::trim).filter(|address| !address.is_empty())
    }

    /// Reads and validates an instance of `app` as it was sent.
    pub(crate) fn read(app: &str, media_type: &str, bytes: &[u8], now: Timestamp) -> Result<Self, Error> {
        let document = document(media_type, bytes)?;
        let mut fields = Fields { document: &document, faults: Faults::below("/instance") };
        let stated = fields.text("app").to_uppercase();
        if !stated.is_empty() && stated != app {
            fields.faults.note("/app", format!("must be {app}, the application in the path"));
        }
        if !is_app_name(app) {
            fields.faults.note("/app", APP_NAME_RULE);
        }
        let host = fields.text("hostName");
        if host.is_empty() {
            fields.faults.missing("/hostName", "is required");
        } else if !is_host_name(&host) {
            fields.faults.note("/hostName", HOST_NAME_RULE);
        }
        let id = fields.text("instanceId");
        let registration = Self {
            app: app.to_owned(),
            id: if id.is_empty() { host.clone() } else { id },
            ip: fields.ip(),
            status: fields.status(),
            port: fields.port("port"),
            secure_port: fields.port("securePort"),
            country: fields.number(&["countryId"]).unwrap_or(1),
            center_class: fields.within("dataCenterInfo", "@class").unwrap_or_else(|| OWN_CENTER.0.to_owned()),
            center: fields.within("dataCenterInfo", "name").unwrap_or_else(|| OWN_CENTER.1.to_owned()),
            center_metadata: fields.entries(&["dataCenterInfo", "metadata"]),
            renewal: fields.seconds("renewalIntervalInSecs", 30, 3_600),
            duration: fields.seconds("durationInSecs", 90, 86_400),
            metadata: fields.entries(&["metadata"]),
            texts: fields.texts(),
            dirty_at: fields.number(&["lastDirtyTimestamp"]).filter(|at| *at > 0).unwrap_or(now.0 / 1_000),
            host,
        };
        for (pointer, text) in [("/hostName", &registration.host), ("/ipAddr", &registration.ip)] {
            if let Some(detail) = unusable(text) {
                fields.faults.note(pointer, detail);
            }
        }
        fields.faults.finish().map(|()| registration)
    }

    /// The address that requests are sent to, if it is not a name.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        let host = if self.ip.is_empty() { &self.host } else { &self.ip };
        host.parse().ok()
    }

    /// A text that is passed on, or an empty one.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.texts.get(name).map_or("", String::as_str)
    }
}

/// Why a host cannot be one of an application: requests to it would reach a cloud's metadata, or it hides an address from
/// those who check it.
fn unusable(host: &str) -> Option<&'static str> {
    if is_disguised_address(host) {
        return Some("must not be an IP address in another form than 10.0.0.7");
    }
    let is_refused = host.parse().is_ok_and(is_never_reachable);
    is_refused.then_some("must not be a link-local, multicast, unspecified or metadata address")
}

/// The instance in a body.
fn document(media_type: &str, bytes: &[u8]) -> Result<Value, Error> {
    let is_json = media_type.ends_with("json");
    let code = if is_json { codes::MALFORMED_JSON } else { codes::MALFORMED_XML };
    let malformed = |fault: &str| malformed(code, fault);
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8"))?;
    if is_json {
        let mut whole: Value = serde_json::from_str(text).map_err(|error| malformed(&error.to_string()))?;
        let inner = whole.get_mut("instance").map(Value::take);
        return inner.ok_or_else(|| Error::field("/instance", "is required"));
    }
    match xml::parse(text) {
        Ok((name, value)) if name == "instance" => Ok(value),
        Ok(_) => Err(malformed("the document must be an <instance>")),
        Err(fault) => Err(malformed(&fault)),
    }
}

fn malformed(code: &'static str, fault: &str) -> Error {
    Error::new(Kind::Malformed, code, format!("The instance cannot be read: {fault}."))
}

/// The metadata of an instance with the query parameters of a request added.
pub(crate) fn merged_metadata(
    mut metadata: BTreeMap<String, String>,
    values: &Parameters,
) -> Result<BTreeMap<String, String>, Error> {
    let mut faults = Faults::default();
    for (name, value) in values {
        add_values(name, value, &mut metadata, &mut faults);
    }
    if metadata.len() > MAX_METADATA {
        faults.note("?", format!("the metadata may have at most {MAX_METADATA} entries"));
    }
    faults.finish().map(|()| metadata)
}

/// Adds a parameter. One with a dot in its name was read as a member of an object.
fn add_values(name: &str, value: &Value, metadata: &mut BTreeMap<String, String>, faults: &mut Faults) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(member, value)| {
                add_values(&format!("{name}.{member}"), value, metadata, faults);
            });
        }
        value => {
            let text = plain(value).unwrap_or_default();
            match entry_name(name).and_then(|_| checked(&text, MAX_VALUE)) {
                Ok(text) => drop(metadata.insert(name.to_owned(), text)),
                Err(detail) => faults.note(format!("?{name}"), detail),
            }
        }
    }
}

/// A text, number or boolean as text.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        // An element with attributes.
        Value::Object(members) => members.get("$").and_then(plain),
        Value::Null | Value::Array(_) => None,
    }
}

fn checked(text: &str, max: usize) -> Result<String, String> {
    // XML has no way to write the last two.
    let is_unprintable = |letter: char| letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}');
    if text.chars().count() > max || text.chars().any(is_unprintable) {
        return Err(format!("must have at most {max} printable characters"));
    }
    Ok(text.to_owned())
}

/// Checks the name of an entry of the metadata, which is the name of an element in XML.
fn entry_name(name: &str) -> Result<String, String> {
    if name.is_empty() {
        return Err("the name of an entry must not be empty".to_owned());
    }
    checked(name, MAX_TEXT)
}

/// Reads the members of an instance and collects their faults.
struct Fields<'a> {
    document: &'a Value,
    faults: Faults,
}

impl Fields<'_> {
    fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(self.document, |value, name| value.get(name)).filter(|value| !value.is_null())
    }

    /// A text of limited length; empty if it is absent.
    fn text(&mut self, name: &str) -> String {
        let text = self.at(&[name]).and_then(plain).unwrap_or_default();
        self.faults.take(format!("/{name}"), checked(text.trim(), MAX_TEXT)).unwrap_or_default()
    }

    /// The stated IP address in its usual form, an IPv4 address not as IPv6; empty if there is none.
    fn ip(&mut self) -> String {
        let text = self.text("ipAddr");
        if text.is_empty() {
            return text;
        }
        let ip = text.parse::<IpAddr>().map_err(|_| "must be an IP address such as 10.0.0.7".to_owned());
        self.faults.take("/ipAddr", ip).map_or_else(String::new, |ip| ip.to_canonical().to_string())
    }

    fn within(&mut self, outer: &str, name: &str) -> Option<String> {
        let text = self.at(&[outer, name]).and_then(plain)?;
        self.faults.take(format!("/{outer}/{name}"), checked(&text, MAX_TEXT))
    }

    fn texts(&mut self) -> BTreeMap<&'static str, String> {
        TEXTS.iter().map(|name| (*name, self.text(name))).filter(|(_, text)| !text.is_empty()).collect()
    }

    fn number(&mut self, path: &[&str]) -> Option<i64> {
        let text = self.at(path).and_then(plain).filter(|text| !text.trim().is_empty())?;
        let number = text.trim().parse::<i64>();
        if number.is_err() {
            self.faults.note(format!("/{}", path.join("/")), "must be a whole number");
        }
        number.ok()
    }

    fn status(&mut self) -> InstanceStatus {
        let text = self.text("status");
        if text.is_empty() {
            return InstanceStatus::Up;
        }
        InstanceStatus::from_str(&text.to_uppercase()).unwrap_or(InstanceStatus::Unknown)
    }

    fn port(&mut self, name: &str) -> Port {
        let enabled = self.at(&[name, "@enabled"]).and_then(plain);
        let Some(number) = self.number(&[name]) else { return Port { number: 0, enabled: false } };
        let number = u16::try_from(number).map_err(|_| "must be a port".to_owned());
        let number = self.faults.take(format!("/{name}"), number).unwrap_or(0);
        // A port without the attribute is enabled if it is the plain one.
        Port { number, enabled: enabled.map_or(name == "port", |enabled| enabled == "true") }
    }

    fn seconds(&mut self, name: &str, default: i64, max: i64) -> Duration {
        let seconds = self.number(&["leaseInfo", name]).unwrap_or(default);
        if !(1..=max).contains(&seconds) {
            self.faults.note(format!("/leaseInfo/{name}"), format!("must be between 1 and {max} seconds"));
        }
        Duration::from_secs(u64::try_from(seconds).unwrap_or(1))
    }

    fn entries(&mut self, path: &[&str]) -> BTreeMap<String, String> {
        let pointer = format!("/{}", path.join("/"));
        let Some(Value::Object(members)) = self.at(path) else { return BTreeMap::new() };
        let mut entries = BTreeMap::new();
        let mut found = Vec::new();
        // A member such as @class names a type of Java.
        for (name, value) in members.iter().filter(|(name, _)| !name.starts_with('@') && *name != "$") {
            let named = entry_name(name).and_then(|_| checked(&plain(value).unwrap_or_default(), MAX_VALUE));
            match named {
                Ok(text) => drop(entries.insert(name.clone(), text)),
                Err(detail) => found.push((name.clone(), detail)),
            }
        }
        for (name, detail) in found {
            self.faults.note(format!("{pointer}/{name}"), detail);
        }
        if entries.len() > MAX_METADATA {
            self.faults.note(pointer, format!("must have at most {MAX_METADATA} entries"));
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(media_type: &str, text: &str) -> Result<Registration, Error> {
        Registration::read("REVIEWS", media_type, text.as_bytes(), Timestamp::from_seconds(1_000))
    }

    #[test]
    fn json_and_xml_give_the_same_registration() {
        let json = json!({"instance": {
            "instanceId": "r-1", "hostName": "reviews.local", "app": "reviews", "ipAddr": "10.0.0.7", "status": "UP",
            "port": {"$": 8090, "@enabled": "true"}, "securePort": {"$": "8443", "@enabled": false},
            "vipAddress": "reviews", "countryId": 1, "leaseInfo": {"renewalIntervalInSecs": 10},
            "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
            "metadata": {"zone": "a", "weight": 3}, "unknown": {"x": 1},
        }});
        let xml = "<instance><instanceId>r-1</instanceId><hostName>reviews.local</hostName><app>REVIEWS</app>\
            <ipAddr>10.0.0.7</ipAddr><status>UP</status><port enabled=\"true\">8090</port>\
            <securePort enabled=\"false\">8443</securePort><vipAddress>reviews</vipAddress><countryId>1</countryId>\
            <leaseInfo><renewalIntervalInSecs>10</renewalIntervalInSecs></leaseInfo>\
            <dataCenterInfo class=\"com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo\"><name>MyOwn</name></dataCenterInfo>\
            <metadata><zone>a</zone><weight>3</weight></metadata></instance>";
        let from_json = read("application/json", &json.to_string()).unwrap();
        assert_eq!(from_json, read("application/xml", xml).unwrap());
        assert_eq!((from_json.port.open(), from_json.secure_port.open()), (Some(8090), None));
        assert_eq!((from_json.renewal.as_secs(), from_json.duration.as_secs()), (10, 90));
        assert_eq!(from_json.metadata["weight"], "3");
    }

    #[test]
    fn addresses_have_one_spelling_and_names_plain_characters() {
        let stated = |app: &str, ip: &str| {
            let json = json!({"instance": {"hostName": "h", "app": app, "ipAddr": ip}}).to_string();
            Registration::read(app, "application/json", json.as_bytes(), Timestamp::from_seconds(1_000))
        };
        for (ip, stored) in
            [("10.0.0.7", "10.0.0.7"), ("::ffff:10.0.0.7", "10.0.0.7"), ("FD00:0:0::1", "fd00::1"), ("", "")]
        {
            assert_eq!(stated("REVIEWS", ip).unwrap().ip, stored, "{ip}");
        }
        for ip in ["167772167", "012.0.0.7", "0xa.0.0.7", "10.7", "10.0.0.7:80", "reviews.local"] {
            assert_eq!(stated("REVIEWS", ip).unwrap_err().errors()[0].pointer, "/instance/ipAddr", "{ip}");
        }
        for app in ["A B", "A/B", "A\u{e9}", ".", "..", "A.", ".A", "A..B", &"A".repeat(64)] {
            assert_eq!(stated(app, "").unwrap_err().errors()[0].pointer, "/instance/app", "{app}");
        }
        assert!(stated(&"A".repeat(63), "").is_ok());
    }

    #[test]
    fn a_host_is_an_address_or_a_name() {
        let host = |host: &str| read("application/json", &json!({"instance": {"hostName": host}}).to_string());
        let long = vec!["a".repeat(63); 4].join(".");
        for odd in ["a b", "a/b", "..", "a..b", "a.", "user@host", "host:80", "<b>", "h\u{f6}st", &long] {
            assert_eq!(host(odd).unwrap_err().errors()[0].pointer, "/instance/hostName", "{odd}");
        }
        for good in ["reviews.local", "my_app-1", "10.0.0.7", "fd12::1"] {
            assert!(host(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn metadata_can_be_written_as_xml() {
        for (name, value, pointer) in
            [("", "v", "/metadata/"), ("a", "\u{fffe}", "/metadata/a"), ("\u{ffff}", "v", "/metadata/")]
        {
            let json = json!({"instance": {"hostName": "h", "metadata": {name: value}}});
            let error = read("application/json", &json.to_string()).unwrap_err();
            assert!(
                error.errors()[0].pointer.starts_with(&format!("/instance{pointer}")),
                "{name:?} {value:?}: {error}"
            );
        }
        let query = |name: &str| Parameters::from([(name.to_owned(), json!("v"))]);
        assert!(merged_metadata(BTreeMap::new(), &query("")).is_err());
        assert!(merged_metadata(BTreeMap::new(), &query("zone")).is_ok());
    }

    #[test]
    fn every_fault_is_reported() {
        let json = json!({"instance": {
            "app": "OTHER", "ipAddr": "169.254.169.254", "port": {"$": 70000, "@enabled": "true"},
            "leaseInfo": {"durationInSecs": 0}, "metadata": {"x": "a\nb"},
        }});
        let error = read("application/json", &json.to_string()).unwrap_err();
        let pointers: Vec<&str> = error.errors().iter().map(|fault| fault.pointer.as_str()).collect();
        let expected = ["/app", "/hostName", "/port", "/leaseInfo/durationInSecs", "/metadata/x", "/ipAddr"]
            .map(|it| format!("/instance{it}"));
        assert_eq!(pointers, expected);
        for (media_type, bad) in
            [("application/json", "{}"), ("application/json", "{"), ("application/xml", "<a/>"), ("text/xml", "")]
        {
            assert!(read(media_type, bad).is_err(), "{bad}");
        }
        assert_eq!(read("application/json", "{").unwrap_err().code(), "MALFORMED_JSON");
        assert_eq!(read("application/xml", "<instance>").unwrap_err().code(), "MALFORMED_XML");
        for address in ["fe80::1", "::ffff:169.254.1.1", "0.0.0.0", "fd00:ec2::254", "224.0.0.1"] {
            assert!(unusable(address).is_some(), "{address}");
        }
        for host in ["2130706433", "0177.0.0.1", "0x7f.1"] {
            assert!(unusable(host).is_some(), "{host}");
        }
        for address in ["127.0.0.1", "10.1.2.3", "reviews.local", "", "fd12::1"] {
            assert!(unusable(address).is_none(), "{address}");
        }
    }
}
