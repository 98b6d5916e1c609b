//! Validation beyond types: ranges, formats, and settings that depend on each other.

use std::path::Path;

use promox_contract::condition::Timetable;
use promox_kernel::bounded;

use super::{MailMode, Settings, Shares, SmsMode};

/// Every violated rule as `(key, message)`.
pub(super) fn check(settings: &Settings) -> Vec<(&'static str, String)> {
    let mut broken = ranges(settings);
    broken.extend(memory(settings));
    broken.extend(tls(settings));
    broken.extend(postgres(settings));
    broken.extend(mail(settings));
    broken.extend(discovery(settings));
    broken.extend(stripe(settings));
    broken.extend(sms(settings));
    broken.extend(tracing(settings));
    broken.extend(texts(settings));
    broken.extend(origins(settings));
    broken.extend(settings.gateway.faults());
    broken
}

/// Origins that no browser sends.
fn origins(settings: &Settings) -> Vec<(&'static str, String)> {
    let is_origin = |origin: &&String| {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        *origin == "*"
            || host.is_some_and(|host| !host.is_empty() && !host.contains('/') && *host == host.to_lowercase())
    };
    let fault = |origin: &String| {
        let what = "must be an origin such as https://shop.example, in lower case and without a path, or *";
        ("server.cors_origins", format!("{what}; got {origin:?}"))
    };
    settings.server.cors_origins.iter().filter(|origin| !is_origin(origin)).map(fault).collect()
}

/// Numbers outside their ranges.
fn ranges(settings: &Settings) -> Vec<(&'static str, String)> {
    let Settings { server, tls, storage, postgres, redis, limits, auth, discovery, .. } = settings;
    let to_u64 = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let hour = 3_600_000;
    let table: [(&'static str, u64, u64, u64); 28] = [
        ("server.workers", to_u64(server.workers), 0, 1024),
        ("server.header_timeout_ms", server.header_timeout_ms, 1, hour),
        ("server.handshake_timeout_ms", server.handshake_timeout_ms, 1, hour),
        ("server.body_timeout_ms", server.body_timeout_ms, 1, hour),
        ("server.idle_timeout_ms", server.idle_timeout_ms, 1, hour),
        ("server.request_timeout_ms", server.request_timeout_ms, 100, hour),
        ("server.upload_timeout_ms", server.upload_timeout_ms, 100, 24 * hour),
        ("server.drain_timeout_ms", server.drain_timeout_ms, 0, hour),
        ("tls.reload_ms", tls.reload_ms, 10, hour),
        ("storage.memory_mib", storage.memory_mib, 32, 1 << 20),
        ("storage.checkpoint_mib", storage.checkpoint_mib, 1, 1024),
        ("storage.checkpoint_seconds", storage.checkpoint_seconds, 1, 3600),
        ("postgres.readers", to_u64(postgres.readers), 1, 64),
        ("postgres.timeout_ms", postgres.timeout_ms, 100, hour),
        ("redis.timeout_ms", redis.timeout_ms, 1, 10_000),
        ("limits.connections", to_u64(limits.connections), 1, 1 << 20),
        ("limits.header_bytes", limits.header_bytes.into(), 8192, 1 << 20),
        ("limits.headers", to_u64(limits.headers), 16, 1000),
        ("limits.body_bytes", to_u64(limits.body_bytes), 1024, 64 << 20),
        ("limits.upload_mib", limits.upload_mib, 1, 1 << 20),
        ("limits.streams", limits.streams.into(), 1, 10_000),
        ("limits.service_requests", to_u64(limits.service_requests), 256, 1 << 20),
        ("limits.requests_per_minute", limits.requests_per_minute.into(), 1, 100_000_000),
        ("limits.burst", limits.burst.into(), 1, 100_000_000),
        ("discovery.renewal_percent", discovery.renewal_percent, 1, 100),
        ("discovery.max_instances", to_u64(discovery.max_instances), 1, 100_000),
        ("auth.access_minutes", auth.access_minutes, 1, 1440),
        ("auth.refresh_days", auth.refresh_days, 1, 3650),
    ];
    let is_outside = |(_, value, min, max): &(&str, u64, u64, u64)| value < min || value > max;
    let fault = |(key, value, min, max)| (key, format!("must be between {min} and {max}; got {value}"));
    table.into_iter().chain(settings.gateway.ranges()).filter(is_outside).map(fault).collect()
}

/// A server that cannot be addressed, or databases that are one.
fn postgres(settings: &Settings) -> Vec<(&'static str, String)> {
    let postgres = &settings.postgres;
    let mut broken = Vec::new();
    if !postgres.is_on() {
        return broken;
    }
    if let Err(what) = promox_external::postgres::Address::from_url(&postgres.url) {
        broken.push(("postgres.url", what.to_owned()));
    }
    if postgres.ecommerce_db.is_empty() || postgres.promox_db.is_empty() {
        broken.push(("postgres.ecommerce_db", "both databases must have a name".to_owned()));
    }
    if postgres.ecommerce_db == postgres.promox_db {
        broken.push(("postgres.promox_db", "must be another database than postgres.ecommerce_db".to_owned()));
    }
    broken
}

/// Checks that the memory is enough for everything that shares it.
fn memory(settings: &Settings) -> Vec<(&'static str, String)> {
    let storage = &settings.storage;
    let (memory, checkpoint, minimum) = (storage.memory_mib, storage.checkpoint_mib, Shares::minimum_mib(storage));
    if memory >= minimum {
        return Vec::new();
    }
    let message = format!("must be at least {minimum} with storage.checkpoint_mib = {checkpoint}; got {memory}");
    vec![("storage.memory_mib", message)]
}

fn tls(settings: &Settings) -> Vec<(&'static str, String)> {
    let tls = &settings.tls;
    let is_set = |path: &Path| !path.as_os_str().is_empty();
    match (is_set(&tls.certificate), is_set(&tls.key)) {
        (true, false) => vec![("tls.key", "must name the private key's file when tls.certificate is set".to_owned())],
        (false, true) => vec![("tls.certificate", "must name the certificate's file when tls.key is set".to_owned())],
        _ => Vec::new(),
    }
}

fn mail(settings: &Settings) -> Vec<(&'static str, String)> {
    let mail = &settings.mail;
    if mail.mode == MailMode::Smtp && mail.host.is_empty() {
        return vec![("mail.host", "must name the mail server when mail.mode is smtp".to_owned())];
    }
    Vec::new()
}

/// Settings that a provider of text messages needs.
fn sms(settings: &Settings) -> Vec<(&'static str, String)> {
    let sms = &settings.sms;
    let mut broken = Vec::new();
    let required: &[(&'static str, &str)] = match sms.mode {
        SmsMode::Log => &[],
        SmsMode::Http => &[("sms.url", &sms.url), ("sms.body", &sms.body)],
        SmsMode::Twilio => &[("sms.user", &sms.user), ("sms.password", &sms.password), ("sms.from", &sms.from)],
    };
    for (key, _) in required.iter().filter(|(_, value)| value.is_empty()) {
        broken.push((*key, "must be set when sms.mode is not log".to_owned()));
    }
    if !sms.url.is_empty()
        && let Err(fault) = promox_outbound::check_url(&sms.url, false)
    {
        broken.push(("sms.url", fault));
    }
    broken
}

/// The collector of traces.
fn tracing(settings: &Settings) -> Vec<(&'static str, String)> {
    let tracing = &settings.tracing;
    let mut broken = Vec::new();
    if !tracing.otlp_url.is_empty()
        && let Err(fault) = promox_outbound::check_url(&tracing.otlp_url, true)
    {
        broken.push(("tracing.otlp_url", fault));
    }
    if tracing.sample_percent > 100 {
        broken.push(("tracing.sample_percent", format!("must be 0 to 100; got {}", tracing.sample_percent)));
    }
    broken
}

/// Keys that are mixed up, and a URL that is not Stripe's or a test's.
fn stripe(settings: &Settings) -> Vec<(&'static str, String)> {
    let payment = &settings.payment;
    let mut broken = Vec::new();
    let begins = |key: &str, prefixes: &[&str]| key.is_empty() || prefixes.iter().any(|prefix| key.starts_with(prefix));
    if !begins(&payment.stripe_secret_key, &["sk_", "rk_"]) {
        broken.push(("payment.stripe_secret_key", "must be a secret key (sk_…) or a restricted key (rk_…)".to_owned()));
    }
    if !begins(&payment.stripe_publishable_key, &["pk_"]) {
        broken.push(("payment.stripe_publishable_key", "must be a publishable key (pk_…)".to_owned()));
    }
    if let Err(fault) = promox_outbound::check_url(&payment.stripe_url, false) {
        broken.push(("payment.stripe_url", fault));
    }
    broken
}

fn discovery(settings: &Settings) -> Vec<(&'static str, String)> {
    let host = &settings.discovery.host;
    let is_name = host.len() <= 253 && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    if is_name || host.parse::<std::net::IpAddr>().is_ok() {
        return Vec::new();
    }
    vec![("discovery.host", format!("must be a host name or an address, without a port; got \"{host}\""))]
}

/// Whether `text` is a comma-separated list of log levels, each a default or for one target. A bare word that is not a
/// level is refused: it would be read as a target's name and silence everything else.
fn are_levels(text: &str) -> bool {
    let is_level = |part: &str| part.parse::<tracing::level_filters::LevelFilter>().is_ok();
    let parts = text.split(',').all(|part| is_level(part.rsplit('=').next().unwrap_or_default().trim()));
    parts && text.parse::<tracing_subscriber::filter::Targets>().is_ok()
}

fn texts(settings: &Settings) -> Vec<(&'static str, String)> {
    let mut broken = Vec::new();
    if !are_levels(&settings.log.level) {
        let message = "must be levels such as info or info,promox=debug (off, error, warn, info, debug, trace)";
        broken.push(("log.level", message.to_owned()));
    }
    // The rule that a later change of the store's settings applies to its name too.
    if let Err(detail) = bounded(&settings.store.name, 1, promox_store::MAX_NAME_LEN) {
        broken.push(("store.name", detail));
    }
    let zone = &settings.store.time_zone;
    if Timetable::read(zone, None, "").is_err() {
        broken.push(("store.time_zone", format!("must be an IANA time zone such as Europe/London; got \"{zone}\"")));
    }
    if settings.data.dir.as_os_str().is_empty() {
        broken.push(("data.dir", "must name a directory".to_owned()));
    }
    if settings.admin.email.is_empty() != settings.admin.password.is_empty() {
        let key = if settings.admin.email.is_empty() { "admin.email" } else { "admin.password" };
        broken.push((key, "the first administrator needs both an e-mail address and a password".to_owned()));
    }
    let url = &settings.server.public_url;
    if !(url.starts_with("http://") || url.starts_with("https://")) || url.parse::<http::Uri>().is_err() {
        broken
            .push(("server.public_url", format!("must be an address such as https://shop.example.com; got \"{url}\"")));
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_that_no_browser_sends_is_refused() {
        let faults = |origin: &str| {
            let mut settings = Settings::default();
            settings.server.cors_origins = vec![origin.to_owned()];
            check(&settings).into_iter().filter(|(key, _)| *key == "server.cors_origins").count()
        };
        for good in ["*", "https://shop.example", "http://localhost:3000"] {
            assert_eq!(faults(good), 0, "{good}");
        }
        for bad in ["", "shop.example", "https://", "https://shop.example/", "https://Shop.example", "null"] {
            assert_eq!(faults(bad), 1, "{bad}");
        }
    }
}
