//! Merges defaults, file, environment and flags. For each key the last source that sets it wins and is recorded as its
//! origin.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use promox_kernel::did_you_mean;
use serde::Deserialize as _;
use toml::{Table, Value};

use super::secrets::{self, Secrets};
use super::{AppRoute, Fault, Faults, Settings, check, variables, wording};

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
    secrets: Secrets,
}

impl Loaded {
    /// A message in which no value of a secret is shown.
    pub fn hide_secrets(&self, message: &str) -> String {
        self.secrets.hide(message)
    }
}

/// All that can be said of settings: their faults, and what remains when the wrong values are replaced by their defaults.
#[derive(Clone, Debug)]
pub struct Examined {
    /// The settings without the wrong values; `None` if a source could not be read.
    pub loaded: Option<Loaded>,
    /// The faults, in the order of the sources.
    pub faults: Vec<Fault>,
}

/// The table of routes, whose members are not known beforehand.
const ROUTES: &str = "gateway.apps";
/// Members of a route that are numbers.
const ROUTE_NUMBERS: [&str; 6] = ["weight", "requests_per_minute", "burst", "cost", "concurrent", "deadline_ms"];
/// Members of a route that are lists.
const ROUTE_LISTS: [&str; 3] = ["methods", "networks", "instances"];

/// Reads all sources and validates the result. `environment` is the whole environment of the process.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: &[Flag],
) -> Result<Loaded, Faults> {
    match examine(file, environment, flags)? {
        Examined { loaded: Some(loaded), faults } if faults.is_empty() => Ok(loaded),
        Examined { faults, .. } => Err(Faults(faults)),
    }
}

/// Reads all sources and finds every fault. The error is a fault of the program's own defaults.
pub fn examine(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: &[Flag],
) -> Result<Examined, Faults> {
    let mut tree = Tree::defaults()?;
    if let Some(path) = file {
        tree.apply_file(path);
    }
    for (name, value) in environment {
        tree.apply_variable(&name, &value);
    }
    for flag in flags {
        tree.set_text(flag.key, Origin::Flag(flag.name), &flag.value);
    }
    Ok(tree.finish())
}

/// The values by key, with the faults found so far.
struct Tree {
    values: BTreeMap<String, (Value, Origin)>,
    defaults: BTreeMap<String, Value>,
    faults: Vec<Fault>,
    secrets: Secrets,
    /// Whether every source could be read.
    is_whole: bool,
}

impl Tree {
    fn defaults() -> Result<Self, Faults> {
        let table = Table::try_from(Settings::default())
            .map_err(|error| Faults::one("settings", Origin::Default, error.to_string()))?;
        let defaults: BTreeMap<String, Value> = leaves(table).into_iter().collect();
        let values = defaults.iter().map(|(key, value)| (key.clone(), (value.clone(), Origin::Default))).collect();
        Ok(Self { values, defaults, faults: Vec::new(), secrets: Secrets::default(), is_whole: true })
    }

    fn apply_file(&mut self, path: &Path) {
        let origin = Origin::File(path.to_owned());
        let table: Result<Table, String> = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot be read: {error}"))
            .and_then(|text| text.parse().map_err(|error| syntax_fault(&text, &error)));
        match table {
            Ok(table) => leaves(table).into_iter().for_each(|(key, value)| self.set(key, origin.clone(), value)),
            Err(message) => {
                self.is_whole = false;
                self.add_fault("--config".to_owned(), origin, message);
            }
        }
    }

    /// Applies a variable if it is a setting: a name with `__`, or one of the documented short forms. With the suffix
    /// `_FILE` it names the file with the value.
    fn apply_variable(&mut self, name: &str, value: &str) {
        if !name.starts_with(variables::PREFIX) {
            return;
        }
        let origin = Origin::Variable(name.to_owned());
        let is_known = |key: &String| self.values.contains_key(key) || is_of_route(key);
        let key = variables::key_of(name);
        let of_file = name.strip_suffix("_FILE").and_then(variables::key_of).filter(is_known);
        let is_setting = |key: &String| self.values.contains_key(key) || of_file.is_none() && !name.ends_with("__FILE");
        match (key.filter(is_setting), of_file) {
            (Some(key), _) => self.set_text(&key, origin, value),
            (None, Some(key)) => self.apply_file_of(key, name, value),
            (None, None) if variables::is_other(name, value) => {}
            (None, None) => {
                let message = variables::fault(name, self.values.keys().map(String::as_str));
                self.add_fault(name.to_owned(), origin, message);
            }
        }
    }

    /// Sets a key to the text of the file that a variable names.
    fn apply_file_of(&mut self, key: String, name: &str, path: &str) {
        let origin = Origin::VariableFile(name.to_owned(), path.into());
        match std::fs::read_to_string(path) {
            Ok(text) => self.set_text(&key, origin, text.trim_end_matches(['\n', '\r'])),
            Err(error) if secrets::is_secret(&key) => {
                // The secret itself is often put where the file's name belongs.
                self.secrets.add(path);
                let direct = name.trim_end_matches("_FILE");
                let what = format!("the file that it names cannot be read ({error}); {direct} is for the value itself");
                self.add_fault(key, origin, what);
            }
            Err(error) => self.add_fault(key, origin, format!("{path} cannot be read: {error}")),
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

    fn finish(mut self) -> Examined {
        self.derive_public_url();
        self.collect_secrets();
        let mut settings = self.settings();
        let broken = check::check(&settings);
        for (key, message) in &broken {
            self.add_fault((*key).to_owned(), self.origin(key), message.clone());
        }
        if !broken.is_empty() {
            broken.iter().for_each(|(key, _)| self.reset(key));
            settings = self.settings();
        }
        let hide = |fault: &Fault| Fault { message: self.secrets.hide(&fault.message), ..fault.clone() };
        let faults = self.faults.iter().map(hide).collect();
        let loaded = Loaded { settings, list: self.list(), secrets: self.secrets };
        Examined { loaded: self.is_whole.then_some(loaded), faults }
    }

    /// Notes the values of secrets, whatever their type.
    fn collect_secrets(&mut self) {
        for (key, (value, _)) in self.values.iter().filter(|(key, _)| secrets::is_secret(key)) {
            if self.defaults.get(key) != Some(value) {
                self.secrets.add(value.as_str().unwrap_or(&value.to_string()));
            }
        }
    }

    /// The settings. Values of another type than they should have are faults and replaced by their defaults.
    fn settings(&mut self) -> Settings {
        if let Ok(settings) = Settings::deserialize(Value::Table(table_of(&self.values))) {
            return settings;
        }
        self.drop_wrong_members();
        let read_alone = |(key, slot): (&String, &(Value, Origin))| {
            let alone = BTreeMap::from([(key.clone(), slot.clone())]);
            let error = Settings::deserialize(Value::Table(table_of(&alone))).err()?;
            Some((key.clone(), slot.1.clone(), wording::plain(error.message(), secrets::is_secret(key))))
        };
        let wrong: Vec<_> = self.values.iter().filter_map(read_alone).collect();
        for (key, origin, message) in wrong {
            self.reset(&key);
            self.add_fault(key, origin, message);
        }
        Settings::deserialize(Value::Table(table_of(&self.values))).unwrap_or_else(|error| {
            self.is_whole = false;
            self.add_fault("settings".to_owned(), Origin::Default, wording::plain(error.message(), true));
            Settings::default()
        })
    }

    /// Removes members of routes that cannot be read, each with a fault.
    fn drop_wrong_members(&mut self) {
        let Some((Value::Table(routes), origin)) = self.values.get_mut(ROUTES) else { return };
        let (mut faults, origin) = (Vec::new(), origin.clone());
        for (app, route) in routes.iter_mut() {
            let Value::Table(members) = route else {
                faults.push((app.clone(), "must be a table with members such as path".to_owned()));
                *route = Value::Table(Table::new());
                continue;
            };
            members.retain(|name, value| {
                let alone = Table::from_iter([(name.to_owned(), value.clone())]);
                let Err(error) = AppRoute::deserialize(Value::Table(alone)) else { return true };
                faults.push((format!("{app}.{name}"), wording::plain(error.message(), false)));
                false
            });
        }
        for (member, message) in faults {
            self.add_fault(format!("{ROUTES}.{member}"), origin.clone(), message);
        }
    }

    /// Gives a key its default.
    fn reset(&mut self, key: &str) {
        if let (Some((value, _)), Some(default)) = (self.values.get_mut(key), self.defaults.get(key)) {
            value.clone_from(default);
        }
    }

    fn list(&self) -> Vec<Setting> {
        let setting = |(key, (value, origin)): (&String, &(Value, Origin))| {
            let value = secrets::listed(key, value);
            Setting { key: key.clone(), value, origin: origin.clone() }
        };
        self.values.iter().map(setting).collect()
    }
}

/// Whether a key is of a member of a route.
fn is_of_route(key: &str) -> bool {
    key.strip_prefix(ROUTES).is_some_and(|rest| rest.starts_with('.'))
}

/// What is wrong with a file that is not TOML. The line itself is not shown, because it can contain a secret.
fn syntax_fault(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count());
    format!("line {}, column {}: {}", before.matches('\n').count() + 1, column + 1, error.message())
}

/// The tree of some values by key.
fn table_of(values: &BTreeMap<String, (Value, Origin)>) -> Table {
    let mut table = Table::new();
    for (key, (value, _)) in values {
        let (section, name) = key.split_once('.').unwrap_or((key, ""));
        let section = table.entry(section.to_owned()).or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(section) = section {
            section.insert(name.to_owned(), value.clone());
        }
    }
    table
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
            ("PROMOX_SIM_SEEDS", "not a setting"),
            ("HOME", "not a setting"),
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
            ("PROMOX_ADMIN_PASWORD", "hush", "PROMOX_ADMIN_PASWORD"),
            ("PROMOX_MAIL", "smtp", "PROMOX_MAIL"),
            ("PROMOX_GATEWAY__APPS__BLOG__PTH", "/blog", "gateway.apps.blog.pth"),
            ("PROMOX_GATEWAY__APPS__BLOG__WEIGHT", "-1", "gateway.apps.blog.weight"),
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

    #[test]
    fn all_faults_are_found_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("promox.toml");
        let text = "[limits]\nburst = \"9\"\nenabeld = true\n[log]\nformat = \"jsn\"\n[storage]\nmemory_mib = 1\n\
                    [mail]\nport = 70000\n[gateway.apps.blog]\npth = \"/blog\"\nweight = \"2\"\n";
        std::fs::write(&file, text).unwrap();
        let variables = env(&[("PROMOX_SERVER__WORKERS", "9999"), ("PROMOX_MAIL", "x")]);
        let found = examine(Some(&file), variables, &[]).unwrap();
        let mut keys: Vec<&str> = found.faults.iter().map(|fault| fault.key.as_str()).collect();
        keys.sort_unstable();
        keys.dedup();
        let wanted = [
            "PROMOX_MAIL",
            "gateway.apps.blog.pth",
            "gateway.apps.blog.weight",
            "limits.burst",
            "limits.enabeld",
            "log.format",
            "mail.port",
            "server.workers",
            "storage.memory_mib",
        ];
        assert_eq!(keys, wanted, "{:?}", found.faults);
        let settings = found.loaded.unwrap().settings;
        assert_eq!((settings.limits.burst, settings.server.workers), (1_000, 0), "wrong values are left out");
    }

    #[test]
    fn no_message_shows_a_secret() {
        const SECRET: &str = "hush-1234";
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("promox.toml");
        let of_file = |text: &str| {
            std::fs::write(&file, text).unwrap();
            load(Some(&file), env(&[]), &[]).unwrap_err().to_string()
        };
        for text in [
            "[mail]\npassword = \"hush-1234\nhost = \"x\"\n",
            "[mail]\npassword = hush-1234\n",
            "[mail]\npassword = [\"hush-1234\"]\nport = \"x\"\n",
            "[sms]\nurl = \"http://ada:hush-1234@sms.example/?key=hush-1234\"\n",
            "[server]\npublic_url = \"ftp://ada:hush-1234@shop.example\"\n",
            "[gateway.apps.blog]\ninstances = [\"ftp://ada:hush-1234@blog.example\"]\n",
            "[mail]\npassword = \"hush-1234\"\n[limits]\nburst = \"hush-1234\"\n",
        ] {
            let message = of_file(text);
            assert!(!message.contains(SECRET), "{text}{message}");
        }
        assert!(of_file("[mail]\npassword = \"hush-1234\n").contains("line 2"));
        assert!(!of_file("[mail]\npassword = 12345678\n").contains("12345678"));
        let misused = ["MAIL__PASSWORD_FILE", "MAIL__PASSWORD__FILE", "ADMIN_PASSWORD_FILE", "PASSWORD"];
        for name in misused.map(|name| format!("PROMOX_{name}")) {
            let message = load(None, env(&[(&name, SECRET)]), &[]).unwrap_err().to_string();
            assert!(!message.contains(SECRET), "{name}: {message}");
        }
        let url = "https://ada:hush-1234@shop.example";
        let loaded = load(None, env(&[("PROMOX_SERVER__PUBLIC_URL", url)]), &[]).unwrap();
        assert!(!format!("{:?}", loaded.list).contains(SECRET));
    }
}
