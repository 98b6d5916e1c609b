//! The settings of each service, derived from the configuration, and the first administrator.

use std::path::Path;
use std::time::Duration;

use promox_kernel::Cx;
use promox_notification::{MailSettings, MailTransport, SmtpSecurity, SmtpSettings};
use promox_product::IndexPlace;
use promox_store::{Store, StoreSettings};
use promox_user::{UserSettings, Users};
use serde_json::json;

use crate::config::{Loaded, MailMode, MailTls, Origin, Settings, Shares};
use crate::exit::Exit;
use crate::http::Server;

/// The warning while the payment sandbox is on.
const TEST_MONEY: &str = "TEST MONEY IS ON: the sandbox confirms orders that nobody pays for (payment.sandbox)";

/// Refuses a configured currency that differs from the store's.
pub(crate) async fn check_currency(store: &Store, loaded: &Loaded) -> Result<(), Exit> {
    let said = loaded.list.iter().find(|setting| setting.key == "store.currency");
    let Some(said) = said.filter(|setting| setting.origin != Origin::Default) else { return Ok(()) };
    let (wanted, own) = (loaded.settings.store.currency, store.currency().await.map_err(Exit::data)?);
    match own.filter(|own| *own != wanted) {
        None => Ok(()),
        Some(own) => Err(Exit::config(format_args!(
            "store.currency ({}): {wanted} is configured, but the currency of this store is {own}. Remove the \
                 setting, or set it to {own}: the currency is only set at the first start",
            said.origin
        ))),
    }
}

/// The initial settings of a new store.
pub(crate) fn store(settings: &Settings) -> StoreSettings {
    StoreSettings {
        name: settings.store.name.clone(),
        currency: settings.store.currency,
        timezone: settings.store.time_zone.clone(),
        ..StoreSettings::default()
    }
}

pub(crate) fn user(settings: &Settings) -> UserSettings {
    UserSettings {
        issuer: settings.auth.issuer.clone(),
        access_minutes: settings.auth.access_minutes,
        refresh_days: settings.auth.refresh_days,
        limits_enabled: settings.limits.enabled,
        public_url: settings.server.public_url.clone(),
        hashing_turns: Shares::of(&settings.storage).hashing_turns,
        ..UserSettings::default()
    }
}

pub(crate) fn payment(settings: &Settings) -> promox_payment::Settings {
    promox_payment::Settings {
        provider_limit: Duration::from_millis(settings.payment.timeout_ms),
        sandbox: settings.payment.sandbox,
        sandbox_webhook_secret: settings.payment.sandbox_webhook_secret.clone(),
        ..promox_payment::Settings::default()
    }
}

/// Reports in the log and in the health answer whether the payment sandbox is on.
pub(crate) fn warn_of_test_money(settings: &Settings, server: &Server) {
    let on = settings.payment.sandbox;
    if on {
        tracing::warn!("{TEST_MONEY}");
    }
    let details = if on { json!({"sandbox": on, "warning": TEST_MONEY}) } else { json!({"sandbox": on}) };
    server.health().add("payments", Box::new(move || Ok(details.clone())));
}

/// The search index is a projection: it may be lost, and is then built again.
pub(crate) fn index(settings: &Settings) -> IndexPlace {
    IndexPlace::Directory(settings.data.dir.join("search"))
}

pub(crate) fn mail(settings: &Settings) -> Result<MailSettings, Exit> {
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

fn roots(file: &Path) -> Result<Vec<u8>, Exit> {
    if file.as_os_str().is_empty() {
        return Ok(Vec::new());
    }
    std::fs::read(file).map_err(|error| Exit::config(format_args!("mail.roots: {}: {error}", file.display())))
}

/// Creates the configured administrator if the store has none; without a configured one, prints a one-time token.
pub(crate) async fn first_admin(users: &Users, cx: &Cx, settings: &Settings) -> Result<(), Exit> {
    if users.has_admin().await.map_err(Exit::data)? {
        return Ok(());
    }
    let admin = &settings.admin;
    if admin.email.is_empty() {
        let token = users.setup_token(cx).await.map_err(Exit::data)?;
        let url = &settings.server.public_url;
        eprintln!("There is no administrator yet. Create one, once: POST {url}/api/auth/setup");
        eprintln!(r#"  {{"token":"{token}","email":"…","password":"…"}}"#);
        return Ok(());
    }
    match users.ensure_admin(cx, &admin.email, &admin.password).await {
        Ok(_) => Ok(()),
        Err(error) => Err(Exit::config(format_args!("PROMOX_ADMIN_EMAIL, PROMOX_ADMIN_PASSWORD: {}", error.message()))),
    }
}
