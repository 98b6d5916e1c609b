//! Work before the server is ready: roles, a signing key, and the first administrator.

use promox_kernel::{Cx, Email, Error};

use crate::Users;
use crate::commands::accounts::NewAccount;
use crate::commands::{administration, keys, messages, roles};
use crate::records::{Purpose, SigningKey};
use crate::rules::{passwords, secrets};
use crate::{queries, reject};

/// How the administrator was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnsuredAdmin {
    /// A new account.
    Created,
    /// The existing account with this address: it has the role and the password now, and its logins have ended.
    Promoted,
}

impl Users {
    /// Writes the roles of a new store and a signing key.
    pub(crate) async fn prepare(&self, cx: &Cx) -> Result<(), Error> {
        self.db.write(cx, |tx| Ok::<_, Error>(roles::seed(tx)?)).await?;
        self.rotate_keys(cx).await
    }

    /// Whether there is an administrator.
    pub async fn has_admin(&self) -> Result<bool, Error> {
        Ok(self.db.read(|tx| queries::has_admin(tx, None)).await?)
    }

    /// Ensures that `email` is an administrator with this password: for the first start and the command line.
    pub async fn ensure_admin(&self, cx: &Cx, email: &str, password: &str) -> Result<EnsuredAdmin, Error> {
        let email: Email = email.parse().map_err(|fault: String| Error::field("/email", fault))?;
        passwords::check(password, Some(&email), "/password").map_err(|fault| Error::invalid(vec![fault]))?;
        let new = self.new_admin(cx, email, password.to_owned()).await?;
        let who = cx.clone();
        let work = move |tx: &mut promox_storage::Tx<'_>| {
            roles::seed(tx)?;
            let known = queries::user_by_email(tx, &new.email)?.is_some();
            administration::ensure_admin(tx, &who, &new)?;
            Ok::<_, Error>(if known { EnsuredAdmin::Promoted } else { EnsuredAdmin::Created })
        };
        self.db.write(cx, work).await
    }

    /// A one-time token that creates the first administrator through `POST /api/auth/setup`. It invalidates earlier
    /// ones. Refused when there is an administrator.
    pub async fn setup_token(&self, cx: &Cx) -> Result<String, Error> {
        let token = cx.node.entropy.token();
        let hash = secrets::hash(&token);
        let work = move |tx: &mut promox_storage::Tx<'_>| {
            if queries::has_admin(tx, None)? {
                return Err(reject::has_admin());
            }
            messages::forget(tx, Purpose::Setup, None)?;
            Ok(messages::grant(tx, Purpose::Setup, None, &hash)?)
        };
        self.db.write(cx, work).await.map(|()| token)
    }

    pub(crate) async fn new_admin(&self, cx: &Cx, email: Email, password: String) -> Result<NewAccount, Error> {
        let password_hash = self.passwords.hash(&cx.node.entropy, password).await?;
        Ok(NewAccount {
            email,
            password_hash,
            name: None,
            phone: None,
            referral_code: cx.node.entropy.code(10),
            referred_by: None,
            ignore_plus_tags: false,
            roles: administration::ADMIN_ROLES,
        })
    }

    /// Rotates signing keys as due, and loads the result.
    pub(crate) async fn rotate_keys(&self, cx: &Cx) -> Result<(), Error> {
        let (seed, access) = (cx.node.entropy.bytes::<32>(), self.tokens.lifetime());
        let keys = self.db.write(cx, move |tx| keys::rotate(tx, seed, access)).await?;
        self.tokens.hold(&keys)
    }

    /// Loads the keys from the table, if one of this name is among them.
    pub(crate) async fn hold_key(&self, kid: String) -> Result<bool, Error> {
        let keys = self.db.read(|tx| tx.get::<SigningKey>(&kid)?.map(|_| keys::all(tx)).transpose()).await?;
        let Some(keys) = keys else { return Ok(false) };
        self.tokens.hold(&keys).map(|()| true)
    }
}
