//! User service: accounts, tokens, roles, audit.
//!
//! Owns accounts, sessions and permissions, and keeps the audit log of all services. Invariants:
//!
//! - There is at most one account per e-mail address.
//! - A session has at most one live refresh token. Using a token again more than 30 s after its first use ends the
//!   session.
//! - There is always an active administrator, once the first one was created.
//! - No password or token is stored in plain text, and the private half of a signing key only while it may sign.
//! - An API key permits at most what its creator may do at that moment.
//! - The audit log is a hash chain.
//!
//! Not part of this service: sending messages, which the notification service does, and the carts and orders of users.

mod access;
pub mod api;
mod audit;
mod commands;
mod events;
mod export;
mod handlers;
mod jobs;
mod keys;
mod login;
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
use promox_kernel::{Cx, Error, Job, Registry, UserId, register};
use promox_storage::{Cache, Consumer, Database, Db, Record, Report, Service, StoreError, TableDef, Tx};

use tokio::sync::OnceCell;

pub use start::EnsuredAdmin;

use access::{Account, AccountCache};
use api::{
    ChangePassword, CreateAddress, CreateKey, CreateRole, DeleteAddress, DeleteKey, DeleteRole, EraseMe, ExportMe,
    ForgotPassword, GetJwks, GetMe, GetRole, GetUser, ListAddresses, ListAudit, ListKeys, ListPermissions, ListRoles,
    ListUsers, Login, Logout, LogoutAll, Refresh, Register, ResetPassword, SetUpAdmin, UpdateAddress, UpdateMe,
    UpdateRole, UpdateUser, VerifyEmail,
};
use keys::KeyUses;
use passwords::Passwords;
use rules::permissions;
use throttle::GuessThrottle;
use tokens::Tokens;

/// Configuration of this service.
#[derive(Clone, Debug)]
pub struct UserSettings {
    /// The issuer of access tokens (`iss`).
    pub issuer: String,
    /// The audience of access tokens (`aud`).
    pub audience: String,
    /// The lifetime of an access token, in minutes.
    pub access_minutes: u64,
    /// The lifetime of a refresh token, in days.
    pub refresh_days: u64,
    /// Whether attempts at passwords and tokens are throttled.
    pub limits_enabled: bool,
    /// The URL at which clients reach the shop. Links in messages begin with it.
    pub public_url: String,
    /// Maximum passwords hashed at the same time. Each takes 19 MiB of memory.
    pub max_concurrent_hashes: usize,
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
            max_concurrent_hashes: 2,
        }
    }
}

/// The user service.
pub struct Users {
    db: Db,
    settings: UserSettings,
    passwords: Passwords,
    tokens: Tokens,
    accounts: AccountCache,
    guesses: GuessThrottle,
    key_uses: KeyUses,
    /// All permissions, cached by the first query.
    all_permissions: OnceCell<Arc<BTreeSet<String>>>,
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Users {
    /// Creates the service on its database.
    pub fn new(db: Db, cache: Cache, settings: UserSettings) -> Arc<Self> {
        let lifetime = Duration::from_secs(settings.access_minutes.saturating_mul(60));
        Arc::new(Self {
            db,
            passwords: Passwords::new(settings.max_concurrent_hashes),
            tokens: Tokens::new(&settings.issuer, &settings.audience, lifetime),
            accounts: AccountCache::new(),
            guesses: GuessThrottle::new(&cache, settings.limits_enabled),
            key_uses: KeyUses::default(),
            all_permissions: OnceCell::new(),
            settings,
        })
    }

    /// All permissions that roles can have.
    async fn all_permissions(&self, cx: &Cx) -> Result<Arc<BTreeSet<String>>, Error> {
        let query = || async { Ok(Arc::new(permissions::all(cx.call(GetNodePermissions {}).await?.names))) };
        self.all_permissions.get_or_try_init(query).await.cloned()
    }

    /// The sessions and permissions of a user at this moment.
    pub(crate) async fn account(&self, cx: &Cx, user: UserId) -> Result<Arc<Account>, Error> {
        let cached = self.accounts.get(user);
        let all_permissions = self.all_permissions(cx).await?;
        let account = self.db.read(|tx| queries::account(tx, user, cached.clone(), &all_permissions)).await?;
        if !cached.is_some_and(|cached| Arc::ptr_eq(&cached, &account)) {
            self.accounts.insert(user, account.clone());
        }
        Ok(account)
    }

    /// The lifetime of a refresh token.
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
        records::ApiKey::TABLE,
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
            ListPermissions, ListAudit, ListKeys, CreateKey, DeleteKey, Authenticate, DescribeUsers, FindAccounts, ListBirthdays);
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
