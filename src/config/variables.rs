//! Environment variables: the names of settings, and names that only look like one.

use promox_kernel::did_you_mean;

/// The beginning of the names of all variables of this program.
pub(super) const PREFIX: &str = "PROMOX_";

/// Short forms: environment variables without `__` that are settings, with their keys.
const SHORT_FORMS: [(&str, &str); 2] =
    [("PROMOX_ADMIN_EMAIL", "admin.email"), ("PROMOX_ADMIN_PASSWORD", "admin.password")];

/// Variables that are no settings: of the command line, and of the build and the tests, from which programs inherit them.
const OTHERS: [&str; 14] = [
    "PROMOX_TOKEN",
    "PROMOX_COMMIT",
    "PROMOX_KILL_ROUNDS",
    "PROMOX_MERGE_ANSWERS",
    "PROMOX_MONTH",
    "PROMOX_POSTGRES_BIN",
    "PROMOX_RECORD_ANSWERS",
    "PROMOX_SEQUENCE",
    "PROMOX_SEQUENCES",
    "PROMOX_SIM_SEED",
    "PROMOX_SIM_SEEDS",
    "PROMOX_SIM_TRACE",
    "PROMOX_STRIPE_ROUNDS",
    "PROMOX_WRITE_SCHEMA",
];

/// The key that a variable names: `limits.enabled` for `PROMOX_LIMITS__ENABLED`.
pub(super) fn key_of(name: &str) -> Option<String> {
    let short = SHORT_FORMS.iter().find(|(known, _)| *known == name).map(|(_, key)| (*key).to_owned());
    let rest = name.strip_prefix(PREFIX)?;
    short.or_else(|| rest.contains("__").then(|| rest.to_lowercase().replace("__", ".")))
}

/// The variable that sets a key.
pub(super) fn name_of(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

/// Whether a variable with the prefix is meant for something else: for tests, or set by an orchestrator that tells
/// containers of a service named promox.
pub(super) fn is_other(name: &str, value: &str) -> bool {
    let is_address = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let is_service = name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT");
    let is_port = name.contains("_PORT_") && ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| name.contains(protocol));
    OTHERS.contains(&name) || name.starts_with("PROMOX_TEST_") || is_address || is_service || is_port
}

/// What is wrong with a variable that names no setting. `keys` are those of all settings.
pub(super) fn fault<'k>(name: &str, keys: impl Iterator<Item = &'k str> + Clone) -> String {
    let section = name.trim_start_matches(PREFIX).trim_end_matches('_').to_lowercase();
    if let Some(first) = keys.clone().find(|key| key.split('.').next() == Some(section.as_str())) {
        return format!("names a section: add two underscores and a setting, as in {}", name_of(first));
    }
    let of_file = name.strip_suffix("__FILE").filter(|bare| key_of(bare).is_some());
    if let Some(bare) = of_file {
        return format!("there is no setting with this name; the file with a value is named by {bare}_FILE");
    }
    let mut names: Vec<String> = keys.map(name_of).collect();
    names.extend(SHORT_FORMS.iter().map(|(name, _)| (*name).to_owned()));
    let files: Vec<String> = names.iter().map(|name| format!("{name}_FILE")).collect();
    let known = names.iter().chain(files.iter().filter(|_| name.ends_with("_FILE"))).map(String::as_str);
    // Without the prefix, which would make every name similar.
    let rest = |name: &str| name.trim_start_matches(PREFIX).to_owned();
    let known: Vec<String> = known.map(rest).chain(["TOKEN".to_owned()]).collect();
    let suggestion = did_you_mean(&rest(name), known.iter().map(String::as_str));
    format!("there is no setting with this name{}", suggestion.replacen('"', "\"PROMOX_", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_no_setting_is_explained() {
        let keys = ["mail.host", "mail.password", "server.listen"];
        let fault = |name: &str| fault(name, keys.iter().copied());
        let none = "there is no setting with this name";
        assert_eq!(fault("PROMOX_MAIL"), "names a section: add two underscores and a setting, as in PROMOX_MAIL__HOST");
        for (name, suggested) in [
            ("PROMOX_SERVER_LISTEN", "PROMOX_SERVER__LISTEN"),
            ("PROMOX_ADMIN_PASWORD", "PROMOX_ADMIN_PASSWORD"),
            ("PROMOX_MAIL_PASSWORD_FILE", "PROMOX_MAIL__PASSWORD_FILE"),
            ("PROMOX_TOKN", "PROMOX_TOKEN"),
        ] {
            assert_eq!(fault(name), format!("{none}: did you mean \"{suggested}\"?"));
        }
        assert_eq!(fault("PROMOX_HOME_OF_SOMETHING"), none);
        let file = "; the file with a value is named by PROMOX_MAIL__PASSWORD_FILE";
        assert_eq!(fault("PROMOX_MAIL__PASSWORD__FILE"), format!("{none}{file}"));
    }

    #[test]
    fn names_of_other_programs_are_let_pass() {
        for (name, value) in [
            ("PROMOX_PORT", "tcp://10.0.0.1:8080"),
            ("PROMOX_PORT_8080_TCP_ADDR", "10.0.0.1"),
            ("PROMOX_SERVICE_HOST", "10.0.0.1"),
            ("PROMOX_SERVICE_PORT_HTTP", "8080"),
            ("PROMOX_SIM_SEEDS", "10"),
        ] {
            assert!(is_other(name, value), "{name}");
        }
        assert!(!is_other("PROMOX_PORT", "8080") && !is_other("PROMOX_ADMIN_PASWORD", "hush"));
    }
}
