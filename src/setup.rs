//! The settings of each service, derived from the configuration, and the first administrator.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use promox_discovery::{DiscoverySettings, OwnInstance};
use promox_gateway::GatewaySettings;
use promox_kernel::Cx;
use promox_notification::{MailSettings, MailTransport, SmsProvider, SmsSettings, SmtpSecurity, SmtpSettings};
use promox_product::IndexPlace;
use promox_store::hooks::HookSettings;
use promox_store::{Store, StoreSettings};
use promox_user::{UserSettings, Users};
use serde_json::json;

use crate::config::{Loaded, MailMode, MailTls, Origin, Payment, Settings, Shares, SmsMode};
use crate::exit::Exit;
use crate::http::{Server, ports};

/// The warning while the payment sandbox is enabled.
const SANDBOX_WARNING: &str =
    "sandbox payments are enabled: orders are confirmed without real payment (payment.sandbox)";

/// Refuses a configured currency that differs from the store's.
pub(crate) async fn check_currency(store: &Store, loaded: &Loaded) -> Result<(), Exit> {
    let configured = loaded.list.iter().find(|setting| setting.key == "store.currency");
    let Some(configured) = configured.filter(|setting| setting.origin != Origin::Default) else { return Ok(()) };
    let (wanted, own) = (loaded.settings.store.currency, store.currency().await.map_err(Exit::data)?);
    match own.filter(|own| *own != wanted) {
        None => Ok(()),
        Some(own) => Err(Exit::config(format_args!(
            "store.currency ({}): {wanted} is configured, but the currency of this store is {own}. Remove the \
                 setting, or set it to {own}: the currency is only set at the first start",
            configured.origin
        ))),
    }
}

/// The initial settings of a new store.
pub(crate) fn initial_store_settings(settings: &Settings) -> StoreSettings {
    StoreSettings {
        name: settings.store.name.clone(),
        currency: settings.store.currency,
        timezone: settings.store.time_zone.clone(),
        ..StoreSettings::default()
    }
}

/// The settings of the user service.
pub(crate) fn user_settings(settings: &Settings) -> UserSettings {
    UserSettings {
        issuer: settings.auth.issuer.clone(),
        access_minutes: settings.auth.access_minutes,
        refresh_days: settings.auth.refresh_days,
        limits_enabled: settings.limits.enabled,
        public_url: settings.server.public_url.clone(),
        max_concurrent_hashes: Shares::of(&settings.storage).max_concurrent_hashes,
        ..UserSettings::default()
    }
}

/// The settings of the gateway.
pub(crate) fn gateway_settings(settings: &Settings) -> GatewaySettings {
    GatewaySettings { issuer: settings.auth.issuer.clone(), routes: settings.gateway.routes() }
}

/// The settings of the payment service.
pub(crate) fn payment_settings(settings: &Settings) -> promox_payment::Settings {
    promox_payment::Settings {
        provider_limit: Duration::from_millis(settings.payment.timeout_ms),
        sandbox: settings.payment.sandbox,
        sandbox_webhook_secret: settings.payment.sandbox_webhook_secret.clone(),
        stripe: stripe_settings(&settings.payment),
        ..promox_payment::Settings::default()
    }
}

/// The account at Stripe, if there is one.
fn stripe_settings(payment: &Payment) -> Option<promox_payment::StripeSettings> {
    let is_set = !payment.stripe_secret_key.is_empty();
    is_set.then(|| promox_payment::StripeSettings {
        secret_key: payment.stripe_secret_key.clone(),
        publishable_key: payment.stripe_publishable_key.clone(),
        webhook_secret: payment.stripe_webhook_secret.clone(),
        url: payment.stripe_url.clone(),
    })
}

/// Adds the state of the payment sandbox to the health reply, and warns in the log if it is enabled.
pub(crate) fn warn_of_sandbox(settings: &Settings, server: &Server) {
    let enabled = settings.payment.sandbox;
    if enabled {
        tracing::warn!("{SANDBOX_WARNING}");
    }
    let details =
        if enabled { json!({"sandbox": true, "warning": SANDBOX_WARNING}) } else { json!({"sandbox": false}) };
    server.health().add("payments", Box::new(move || Ok(details.clone())));
}

/// The directory of the search index. The index is a projection: if it is lost, it is built again.
pub(crate) fn search_index(settings: &Settings) -> IndexPlace {
    IndexPlace::Directory(settings.data.dir.join("search"))
}

/// The settings of the discovery service.
pub(crate) fn discovery_settings(settings: &Settings) -> DiscoverySettings {
    let own = &settings.discovery;
    DiscoverySettings {
        open: own.open,
        self_preservation: own.self_preservation,
        renewal_percent: own.renewal_percent,
        max_instances: own.max_instances,
    }
}

/// The services that `runs` names, as discovery shows them: each at its own port if it has one, otherwise at the main one.
pub(crate) fn own_instances(settings: &Settings, server: &Server, runs: &dyn Fn(&str) -> bool) -> Vec<OwnInstance> {
    let configured = &settings.discovery.host;
    let instance = |(name, app, _): (&'static str, &str, u16)| {
        let own = server.services().iter().find(|(service, _)| *service == name);
        let address = own.map_or(server.address(), |(_, address)| *address);
        let ip = if address.ip().is_unspecified() { machine_address() } else { address.ip() };
        let host = if configured.is_empty() { ip.to_string() } else { configured.clone() };
        let ip = configured.parse().unwrap_or(ip).to_string();
        OwnInstance { app: app.to_owned(), host, ip, port: address.port(), secure: settings.tls.is_on() }
    };
    ports::SERVICES.into_iter().filter(|(name, ..)| runs(name)).map(instance).collect()
}

/// The address from which this machine reaches others, or loopback if it reaches none. Nothing is sent.
fn machine_address() -> IpAddr {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let Ok(socket) = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)) else { return loopback };
    // An address that is reserved for documentation, and as far away as any other.
    let connected = socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9));
    connected.and_then(|()| socket.local_addr()).map_or(loopback, |address| address.ip())
}

/// The settings of the notification service; fails if `mail.roots` cannot be read.
pub(crate) fn mail_settings(settings: &Settings) -> Result<MailSettings, Exit> {
    let mail = &settings.mail;
    let security = match mail.tls {
        MailTls::None => SmtpSecurity::None,
        MailTls::Starttls => SmtpSecurity::Starttls,
        MailTls::Implicit => SmtpSecurity::Implicit,
    };
    let transport = match mail.mode {
        MailMode::File => MailTransport::Files(settings.data.dir.join("mail")),
        MailMode::Smtp => MailTransport::Smtp(SmtpSettings {
            host: mail.host.clone(),
            port: mail.port,
            security,
            user: mail.user.clone(),
            password: mail.password.clone(),
            extra_roots: roots(&mail.roots)?,
        }),
    };
    Ok(MailSettings {
        from: mail.from.clone(),
        merchant: mail.merchant.clone(),
        public_url: settings.server.public_url.clone(),
        transport,
    })
}

/// The settings of text messages.
pub(crate) fn sms_settings(settings: &Settings) -> SmsSettings {
    let sms = &settings.sms;
    match sms.mode {
        SmsMode::Log => SmsSettings::Log,
        SmsMode::Http => SmsSettings::Http(SmsProvider {
            url: sms.url.clone(),
            from: sms.from.clone(),
            credentials: (sms.user.clone(), sms.password.clone()),
            headers: sms.headers.clone(),
            content_type: sms.content_type.clone(),
            body: sms.body.clone(),
        }),
        SmsMode::Twilio => {
            let twilio = SmsProvider::twilio(&sms.user, &sms.password, &sms.from);
            let url = if sms.url.is_empty() { twilio.url } else { sms.url.clone() };
            SmsSettings::Http(SmsProvider { url, headers: sms.headers.clone(), ..twilio })
        }
    }
}

/// The settings of webhooks, which are never sent to the server's own `ports`.
pub(crate) fn webhook_settings(settings: &Settings, ports: &[u16]) -> promox_notification::webhooks::WebhookSettings {
    promox_notification::webhooks::WebhookSettings {
        networks: settings.webhooks.networks.clone(),
        own_ports: ports.to_vec(),
    }
}

/// The settings of hooks, which may lead where webhooks may.
pub(crate) fn hook_settings(settings: &Settings, ports: &[u16]) -> HookSettings {
    HookSettings { networks: settings.webhooks.networks.clone(), own_ports: ports.to_vec() }
}

/// The additional certificates to trust, or none if no file is named.
fn roots(file: &Path) -> Result<Vec<u8>, Exit> {
    if file.as_os_str().is_empty() {
        return Ok(Vec::new());
    }
    std::fs::read(file).map_err(|error| Exit::config(format_args!("mail.roots: {}: {error}", file.display())))
}

/// Creates the configured administrator if the store has none. If none is configured either, prints a one-time token
/// for creating one.
pub(crate) async fn first_admin(users: &Users, cx: &Cx, settings: &Settings) -> Result<(), Exit> {
    if users.has_admin().await.map_err(Exit::data)? {
        return Ok(());
    }
    let admin = &settings.admin;
    if admin.email.is_empty() {
        let token = users.setup_token(cx).await.map_err(Exit::data)?;
        let url = &settings.server.public_url;
        eprintln!(
            "There is no administrator yet. Open this link to create the first one; it works once:\n  {url}/setup?token={token}"
        );
        eprintln!("Or send this to POST {url}/api/auth/setup:");
        eprintln!(r#"  {{"token":"{token}","email":"…","password":"…"}}"#);
        return Ok(());
    }
    match users.ensure_admin(cx, &admin.email, &admin.password).await {
        Ok(_) => Ok(()),
        Err(error) => Err(Exit::config(format_args!("admin.email, admin.password: {}", error.message()))),
    }
}
