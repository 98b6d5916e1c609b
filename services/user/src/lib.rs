//! User service: accounts, tokens, roles, audit.
//!
//! It owns accounts, logins and permissions, and keeps the audit log of all services. Invariants: one account per
//! address; at most one live refresh token per login; reusing one later than 30 s ends its login; there is always an
//! active administrator; no password, token or private key is stored in clear; the audit log is a hash chain.
//! Deliberately absent: sending messages (the notification service does), carts and orders of users.

mod access;
pub mod api;
mod audit;
mod commands;
mod events;
mod handlers;
mod jobs;
mod passwords;
mod queries;
mod records;
mod reject;
mod rules;
mod start;
#[cfg(test)]
mod tests;
mod throttle;
mod tokens;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use promox_contract::user::{Authenticate, DescribeUsers, FindAccounts, GetNodePermissions, ListBirthdays};
use promox_kernel::{Cx, Error, Job, Registry, register};
use promox_storage::{Cache, Consumer, Database, Db, Record, Report, Service, StoreError, TableDef, Tx};

use tokio::sync::OnceCell;

pub use start::EnsuredAdmin;

use access::Accounts;
use api::{
    ChangePassword, CreateAddress, CreateRole, DeleteAddress, DeleteRole, EraseMe, ExportMe, ForgotPassword, GetJwks,
    GetMe, GetRole, GetUser, ListAddresses, ListAudit, ListPermissions, ListRoles, ListUsers, Login, Logout, LogoutAll,
    Refresh, Register, ResetPassword, SetUpAdmin, UpdateAddress, UpdateMe, UpdateRole, UpdateUser, VerifyEmail,
};
use passwords::Passwords;
use rules::permissions;
use throttle::GuessThrottle;
use tokens::Tokens;

/// Configuration of this service.
#[derive(Clone, Debug)]
pub struct UserSettings {
    /// The issuer that access tokens name.
    pub issuer: String,
    /// The audience of access tokens.
    pub audience: String,
    /// How long an access token lives.
    pub access_minutes: u64,
    /// How long a refresh token lives.
    pub refresh_days: u64,
    /// Whether guessing is throttled and locked out.
    pub limits_enabled: bool,
    /// Where clients reach the shop; links in messages begin with it.
    pub public_url: String,
    /// Passwords hashed at once, 19 MiB each.
    pub hashing_turns: usize,
}

impl Default for UserSettings {
    fn default() -> Self {
        Self {
            issuer: "promox".to_owned(),
            audience: "promox".to_owned(),
            access_minutes: 15,
            refresh_days: 30,
            limits_enabled: true,
            public_url: "http://localhost:8080".to_owned(),
            hashing_turns: 2,
        }
    }
}

/// The user service.
pub struct Users {
    db: Db,
    settings: UserSettings,
    passwords: Passwords,
    tokens: Tokens,
    accounts: Accounts,
    guesses: GuessThrottle,
    /// All permissions, once they have been queried.
    every_permission: OnceCell<Arc<BTreeSet<String>>>,
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Users {
    /// The service on its database.
    pub fn new(db: Db, cache: Cache, settings: UserSettings) -> Arc<Self> {
        let lifetime = Duration::from_secs(settings.access_minutes.saturating_mul(60));
        Arc::new(Self {
            db,
            passwords: Passwords::new(settings.hashing_turns),
            tokens: Tokens::new(&settings.issuer, &settings.audience, lifetime),
            accounts: Accounts::new(),
            guesses: GuessThrottle::new(&cache, settings.limits_enabled),
            every_permission: OnceCell::new(),
            settings,
        })
    }

    /// All permissions.
    async fn every_permission(&self, cx: &Cx) -> Result<Arc<BTreeSet<String>>, Error> {
        let ask = || async { Ok(Arc::new(permissions::every(cx.call(GetNodePermissions {}).await?.names))) };
        self.every_permission.get_or_try_init(ask).await.cloned()
    }

    /// How long a refresh token lives.
    fn refresh_lifetime(&self) -> Duration {
        Duration::from_secs(self.settings.refresh_days.saturating_mul(24 * 3600))
    }
}

impl Service for Users {
    const NAME: &'static str = "user";
    const DATABASE: Database = Database::Ecommerce;
    const TABLES: &'static [&'static TableDef] = &[
        records::User::TABLE,
        records::UserRole::TABLE,
        records::UserTerm::TABLE,
        records::Role::TABLE,
        records::RolePermission::TABLE,
        records::Session::TABLE,
        records::OneTimeToken::TABLE,
        records::MessageRequest::TABLE,
        records::Address::TABLE,
        records::Erasure::TABLE,
        records::SigningKey::TABLE,
        records::AccessVersion::TABLE,
        records::AuditEntry::TABLE,
        records::AuditHead::TABLE,
    ];

    fn register(self: &Arc<Self>, registry: &mut Registry) {
        register!(registry, self;
            Register, Login, Refresh, Logout, LogoutAll, ForgotPassword, ResetPassword, VerifyEmail, SetUpAdmin,
            GetJwks, GetMe, UpdateMe, EraseMe, ChangePassword, ExportMe,
            ListAddresses, CreateAddress, UpdateAddress, DeleteAddress,
            ListUsers, GetUser, UpdateUser, ListRoles, GetRole, CreateRole, UpdateRole, DeleteRole,
            ListPermissions, ListAudit, Authenticate, DescribeUsers, FindAccounts, ListBirthdays);
    }

    fn consumers(self: &Arc<Self>) -> Vec<Arc<dyn Consumer>> {
        events::consumers()
    }

    fn jobs(self: &Arc<Self>) -> Vec<Job> {
        jobs::jobs(self)
    }

    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        audit::audit(tx, report)
    }

    async fn recover(&self, cx: &Cx) -> Result<(), Error> {
        self.prepare(cx).await
    }
}
