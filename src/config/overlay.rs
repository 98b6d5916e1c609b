//! Merges defaults, file, environment and flags. For each key the last source that sets it wins and is recorded as its
//! origin.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use promox_kernel::did_you_mean;
use toml::{Table, Value};

use super::{Fault, Faults, Settings, check};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The built-in default.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// A file named by an environment variable.
    VariableFile(String, PathBuf),
    /// A command line flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Variable(name) | Self::VariableFile(name, _) => write!(f, "environment {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// A command line flag and the key it sets.
#[derive(Clone, Debug)]
pub struct Flag {
    /// The flag, such as `--listen`.
    pub name: &'static str,
    /// The key, such as `server.listen`.
    pub key: &'static str,
    /// The value as typed.
    pub value: String,
}

/// One setting, for display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key, such as `limits.enabled`.
    pub key: String,
    /// The value as TOML. A secret is shown as `"********"`.
    pub value: String,
    /// Where the value came from.
    pub origin: Origin,
}

/// Validated settings with the origin of each.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Every setting in the order of keys, secrets masked.
    pub list: Vec<Setting>,
}

/// Keys of secrets, which are never shown.
const SECRETS: [&str; 9] = [
    "mail.password",
    "sms.password",
    "sms.headers",
    "payment.sandbox_webhook_secret",
    "payment.stripe_secret_key",
    "payment.stripe_webhook_secret",
    "postgres.password",
    "redis.url",
    "admin.password",
];

/// The table of routes, whose members are not known beforehand.
const ROUTES: &str = "gateway.apps";
/// Members of a route that are numbers.
const ROUTE_NUMBERS: [&str; 6] = ["weight", "requests_per_minute", "burst", "cost", "concurrent", "deadline_ms"];
/// Members of a route that are lists.
const ROUTE_LISTS: [&str; 3] = ["methods", "networks", "instances"];

/// The mask of a secret.
const MASK: &str = "\"********\"";

/// Whether a setting is a secret, and set.
pub(super) fn is_masked(setting: &Setting) -> bool {
    SECRETS.contains(&setting.key.as_str()) && setting.value == MASK
}

/// Short forms: environment variables without `__` that are settings, with their keys.
const SHORT_FORMS: [(&str, &str); 2] =
    [("PROMOX_ADMIN_EMAIL", "admin.email"), ("PROMOX_ADMIN_PASSWORD", "admin.password")];

/// Reads all sources and validates the result. `environment` is the whole environment of the process.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: &[Flag],
) -> Result<Loaded, Faults> {
    let mut tree = Tree::defaults()?;
    if let Some(path) = file {
        tree.apply_file(path)?;
    }
    for (name, value) in environment {
        tree.apply_variable(&name, value);
    }
    for flag in flags {
        tree.set_text(flag.key, Origin::Flag(flag.name), &flag.value);
    }
    tree.finish()
}

/// The values by key, with the faults found so far.
struct Tree {
    values: BTreeMap<String, (Value, Origin)>,
    faults: Vec<Fault>,
}

impl Tree {
    fn defaults() -> Result<Self, Faults> {
        let table = Table::try_from(Settings::default())
            .map_err(|error| Faults::one("settings", Origin::Default, error.to_string()))?;
        let mut values = BTreeMap::new();
        for (key, value) in leaves(table) {
            values.insert(key, (value, Origin::Default));
        }
        Ok(Self { values, faults: Vec::new() })
    }

    fn apply_file(&mut self, path: &Path) -> Result<(), Faults> {
        let origin = Origin::File(path.to_owned());
        let fault = |message: String| Faults::one("--config", origin.clone(), message);
        let text = std::fs::read_to_string(path).map_err(|error| fault(format!("cannot be read: {error}")))?;
        let table: Table = text.parse().map_err(|error: toml::de::Error| fault(error.to_string()))?;
        for (key, value) in leaves(table) {
            self.set(key, origin.clone(), value);
        }
        Ok(())
    }

    /// Applies a variable if it is a setting: a name with `__`, or one of the documented short forms.
    fn apply_variable(&mut self, name: &str, value: String) {
        let Some(rest) = name.strip_prefix("PROMOX_") else { return };
        let origin = Origin::Variable(name.to_owned());
        let bare = name.strip_suffix("_FILE");
        if let Some(key) = key_of(name, rest).filter(|key| bare.is_none() || self.values.contains_key(key)) {
            return self.set_text(&key, origin, &value);
        }
        let Some(key) = bare.and_then(|bare| key_of(bare, bare.strip_prefix("PROMOX_")?)) else { return };
        let origin = Origin::VariableFile(name.to_owned(), value.clone().into());
        match std::fs::read_to_string(&value) {
            Ok(text) => self.set_text(&key, origin, text.trim_end_matches(['\n', '\r'])),
            Err(error) => self.add_fault(key, origin, format!("{value} cannot be read: {error}")),
        }
    }

    /// Sets a key from text, parsed by the type of its default.
    fn set_text(&mut self, key: &str, origin: Origin, text: &str) {
        if let Some(member) = key.strip_prefix(ROUTES).and_then(|rest| rest.strip_prefix('.')) {
            return self.set_route_member(member, origin, text);
        }
        let value = match self.values.get(key).map(|(value, _)| value) {
            Some(Value::Boolean(_)) => text.trim().parse().map(Value::Boolean).map_err(|_| "must be true or false"),
            Some(Value::Integer(_)) => text.trim().parse().map(Value::Integer).map_err(|_| "must be a whole number"),
            Some(Value::Array(_)) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                Ok(Value::Array(parts.map(|part| Value::String(part.to_owned())).collect()))
            }
            _ => Ok(Value::String(text.to_owned())),
        };
        match value {
            Ok(value) => self.set(key.to_owned(), origin, value),
            Err(wanted) => self.add_fault(key.to_owned(), origin, format!("{wanted}; got \"{text}\"")),
        }
    }

    /// Sets a member of a route, such as `blog.path`. Numbers and lists are recognised by the member's name.
    fn set_route_member(&mut self, member: &str, origin: Origin, text: &str) {
        let Some((Value::Table(routes), slot)) = self.values.get_mut(ROUTES) else { return };
        *slot = origin;
        let Some((app, name)) = member.split_once('.') else {
            let origin = slot.clone();
            return self.add_fault(format!("{ROUTES}.{member}"), origin, "a member is missing".to_owned());
        };
        let value = match text.trim().parse() {
            Ok(number) if ROUTE_NUMBERS.contains(&name) => Value::Integer(number),
            _ if ROUTE_LISTS.contains(&name) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                Value::Array(parts.map(|part| Value::String(part.to_owned())).collect())
            }
            _ => Value::String(text.to_owned()),
        };
        let route = routes.entry(app.to_owned()).or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(route) = route {
            match name.strip_prefix("headers.") {
                Some(header) => {
                    let headers = route.entry("headers").or_insert_with(|| Value::Table(Table::new()));
                    headers.as_table_mut().map(|headers| headers.insert(header.to_owned(), value));
                }
                None => drop(route.insert(name.to_owned(), value)),
            }
        }
    }

    fn set(&mut self, key: String, origin: Origin, value: Value) {
        if let Some(slot) = self.values.get_mut(&key) {
            *slot = (value, origin);
            return;
        }
        let suggestion = did_you_mean(&key, self.values.keys().map(String::as_str));
        self.add_fault(key, origin, format!("there is no setting with this name{suggestion}"));
    }

    fn add_fault(&mut self, key: String, origin: Origin, message: String) {
        self.faults.push(Fault { key, origin, message });
    }

    fn origin(&self, key: &str) -> Origin {
        let key = if key.starts_with(ROUTES) { ROUTES } else { key };
        self.values.get(key).map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// Unless `server.public_url` is configured, sets it to this host at the port of `server.listen`.
    fn derive_public_url(&mut self) {
        let is_set = |key: &str| self.values.get(key).is_some_and(|(value, _)| value.as_str() != Some(""));
        let scheme = if is_set("tls.certificate") { "https" } else { "http" };
        let listen = self.values.get("server.listen").and_then(|(value, _)| value.as_str());
        let port = listen.and_then(|listen| listen.parse::<SocketAddr>().ok()).map_or(0, |listen| listen.port());
        if port != 0 && self.origin("server.public_url") == Origin::Default {
            let url = Value::String(format!("{scheme}://localhost:{port}"));
            self.set("server.public_url".to_owned(), Origin::Default, url);
        }
    }

    fn finish(mut self) -> Result<Loaded, Faults> {
        self.derive_public_url();
        let settings: Option<Settings> = match serde_path_to_error::deserialize(Value::Table(self.table())) {
            Ok(settings) => Some(settings),
            Err(error) => {
                let path = error.path().to_string();
                let key = path.split('[').next().unwrap_or_default().to_owned();
                let message = if key == "server.listen" {
                    "must be an address and a port such as 127.0.0.1:8080".to_owned()
                } else {
                    error.into_inner().message().to_owned()
                };
                let origin = self.origin(&key);
                self.add_fault(key, origin, message);
                None
            }
        };
        for (key, message) in settings.iter().flat_map(check::check) {
            self.add_fault(key.to_owned(), self.origin(key), message);
        }
        match settings {
            Some(settings) if self.faults.is_empty() => Ok(Loaded { settings, list: self.list() }),
            _ => Err(Faults(self.faults)),
        }
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        for (key, (value, _)) in &self.values {
            let (section, name) = key.split_once('.').unwrap_or((key, ""));
            let section = table.entry(section.to_owned()).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(section) = section {
                section.insert(name.to_owned(), value.clone());
            }
        }
        table
    }

    fn list(&self) -> Vec<Setting> {
        let setting = |(key, (value, origin)): (&String, &(Value, Origin))| {
            let secret = SECRETS.contains(&key.as_str()) && value.as_str() != Some("");
            let value = if secret { MASK.to_owned() } else { value.to_string() };
            Setting { key: key.clone(), value, origin: origin.clone() }
        };
        self.values.iter().map(setting).collect()
    }
}

/// The key that a variable sets: `limits.enabled` for `PROMOX_LIMITS__ENABLED`. `rest` is the name without its prefix.
fn key_of(name: &str, rest: &str) -> Option<String> {
    let short = SHORT_FORMS.iter().find(|(known, _)| *known == name).map(|(_, key)| (*key).to_owned());
    short.or_else(|| rest.contains("__").then(|| rest.to_lowercase().replace("__", ".")))
}

/// The leaves of a table by key, `section.name`. Leaves outside a section keep their bare name.
fn leaves(table: Table) -> Vec<(String, Value)> {
    let mut leaves = Vec::new();
    for (section, value) in table {
        match value {
            Value::Table(inner) => {
                leaves.extend(inner.into_iter().map(|(key, value)| (format!("{section}.{key}"), value)));
            }
            value => leaves.push((section, value)),
        }
    }
    leaves
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn origin(loaded: &Loaded, key: &str) -> Origin {
        loaded.list.iter().find(|setting| setting.key == key).unwrap().origin.clone()
    }

    #[test]
    fn the_last_source_wins_and_is_recorded() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("promox.toml");
        std::fs::write(&file, "[server]\nlisten = \"127.0.0.1:1\"\n[limits]\nenabled = false\nburst = 5\n").unwrap();
        let secret = dir.path().join("secret");
        std::fs::write(&secret, "hush\n").unwrap();
        let variables = env(&[
            ("PROMOX_LIMITS__BURST", "6"),
            ("PROMOX_SERVER__CORS_ORIGINS", "https://a.example, https://b.example"),
            ("PROMOX_MAIL__PASSWORD_FILE", secret.to_str().unwrap()),
            ("PROMOX_ADMIN_EMAIL", "ada@example.com"),
            ("PROMOX_ADMIN_PASSWORD", "correct horse"),
            ("PROMOX_HOME", "not a setting"),
        ]);
        let flags = [Flag { name: "--listen", key: "server.listen", value: "127.0.0.1:2".into() }];
        let loaded = load(Some(&file), variables, &flags).unwrap();
        let settings = &loaded.settings;
        assert_eq!((settings.server.listen.port(), settings.limits.burst, settings.limits.enabled), (2, 6, false));
        assert_eq!(settings.server.cors_origins, ["https://a.example", "https://b.example"]);
        assert_eq!((settings.mail.password.as_str(), settings.admin.email.as_str()), ("hush", "ada@example.com"));
        assert_eq!(origin(&loaded, "server.listen"), Origin::Flag("--listen"));
        assert_eq!(origin(&loaded, "limits.burst"), Origin::Variable("PROMOX_LIMITS__BURST".into()));
        assert_eq!(origin(&loaded, "limits.enabled"), Origin::File(file));
        assert_eq!(origin(&loaded, "log.level"), Origin::Default);
        assert!(!format!("{:?}", loaded.list).contains("hush"), "secrets are masked");
    }

    #[test]
    fn the_public_address_follows_the_listener_unless_it_is_set() {
        let url = |pairs: &[(&str, &str)]| load(None, env(pairs), &[]).unwrap().settings.server.public_url;
        assert_eq!(url(&[]), "http://localhost:8080");
        assert_eq!(url(&[("PROMOX_SERVER__LISTEN", "127.0.0.1:8301")]), "http://localhost:8301");
        let both = [("PROMOX_SERVER__LISTEN", "127.0.0.1:8301"), ("PROMOX_SERVER__PUBLIC_URL", "https://shop.example")];
        assert_eq!(url(&both), "https://shop.example");
    }

    #[test]
    fn every_fault_names_its_key_and_source() {
        let table = [
            ("PROMOX_LIMITS__ENABELD", "true", "limits.enabeld"),
            ("PROMOX_LIMITS__BURST", "many", "limits.burst"),
            ("PROMOX_LIMITS__BURST", "0", "limits.burst"),
            ("PROMOX_LIMITS__ENABLED", "yes please", "limits.enabled"),
            ("PROMOX_LIMITS__RATES", "order.look_up=x", "limits.rates"),
            ("PROMOX_STORE__CURRENCY", "POUND", "store.currency"),
            ("PROMOX_STORE__NAME", "two\nlines", "store.name"),
            ("PROMOX_SERVER__LISTEN", "8080", "server.listen"),
            ("PROMOX_SERVER__TRUSTED_PROXIES", "10.0.0.0/33", "server.trusted_proxies"),
            ("PROMOX_LOG__LEVEL", "info,promox=loud", "log.level"),
            ("PROMOX_LOG__LEVEL", "inof", "log.level"),
            ("PROMOX_LOG__FORMAT", "xml", "log.format"),
            ("PROMOX_STORAGE__MEMORY_MIB", "66", "storage.memory_mib"),
            ("PROMOX_TLS__KEY", "key.pem", "tls.certificate"),
            ("PROMOX_MAIL__MODE", "smtp", "mail.host"),
            ("PROMOX_DISCOVERY__HOST", "shop.example:8080", "discovery.host"),
            ("PROMOX_DISCOVERY__LISTEN", "8761", "discovery.listen"),
            ("PROMOX_DISCOVERY__RENEWAL_PERCENT", "101", "discovery.renewal_percent"),
            ("PROMOX_MAIL__PASSWORD_FILE", "/nowhere", "mail.password"),
            ("PROMOX_PAYMENT__STRIPE_URL", "http://stripe.example", "payment.stripe_url"),
            ("PROMOX_PAYMENT__STRIPE_SECRET_KEY", "pk_live_1", "payment.stripe_secret_key"),
            ("PROMOX_PAYMENT__STRIPE_PUBLISHABLE_KEY", "sk_live_1", "payment.stripe_publishable_key"),
        ];
        for (name, value, key) in table {
            let faults = load(None, env(&[(name, value)]), &[]).unwrap_err();
            assert_eq!(faults.0[0].key, key, "{name}={value}: {faults}");
            assert!(!faults.0[0].message.is_empty());
        }
    }

    #[test]
    fn a_file_with_unknown_or_wrong_keys_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("promox.toml");
        for (text, key) in [
            ("[limits]\nenabeld = true\n", "limits.enabeld"),
            ("listen = \"127.0.0.1:1\"\n", "listen"),
            ("[limits]\nburst = \"9\"\n", "limits.burst"),
            ("[limits\n", "--config"),
        ] {
            std::fs::write(&file, text).unwrap();
            let faults = load(Some(&file), env(&[]), &[]).unwrap_err();
            assert_eq!(faults.0[0].key, key, "{text}: {faults}");
        }
        std::fs::write(&file, "[limits]\nenabeld = true\n").unwrap();
        let faults = load(Some(&file), env(&[]), &[]).unwrap_err();
        let suggestion = "there is no setting with this name: did you mean \"limits.enabled\"?";
        assert_eq!(faults.0[0].message, suggestion);
    }
}
