//! Preparation of a store before the server is ready: roles, a signing key, and the first administrator.

use promox_kernel::{Cx, Email, Error};

use crate::Users;
use crate::commands::accounts::NewAccount;
use crate::commands::{administration, keys, messages, roles};
use crate::records::{Purpose, SigningKey};
use crate::rules::{passwords, secrets};
use crate::{queries, reject};

/// How an account became an administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnsuredAdmin {
    /// It was created.
    Created,
    /// It existed. It was given the role and the new password, and its sessions were ended.
    Promoted,
}

impl Users {
    /// Writes the roles of a new store, and a signing key if one is due.
    pub(crate) async fn prepare(&self, cx: &Cx) -> Result<(), Error> {
        self.db.write(cx, |tx| Ok::<_, Error>(roles::seed(tx)?)).await?;
        self.rotate_keys(cx).await
    }

    /// Whether there is an active administrator.
    pub async fn has_admin(&self) -> Result<bool, Error> {
        Ok(self.db.read(|tx| queries::has_admin(tx, None)).await?)
    }

    /// Ensures that the account with this address is an administrator with this password, and creates it if needed.
    /// Used at the first start and by the command line.
    pub async fn ensure_admin(&self, cx: &Cx, email: &str, password: &str) -> Result<EnsuredAdmin, Error> {
        let email: Email = email.parse().map_err(|fault: String| Error::field("/email", fault))?;
        passwords::check(password, Some(&email), "/password").map_err(|fault| Error::invalid(vec![fault]))?;
        let new = self.new_admin(cx, email, password.to_owned()).await?;
        let context = cx.clone();
        let work = move |tx: &mut promox_storage::Tx<'_>| {
            roles::seed(tx)?;
            let known = queries::user_by_email(tx, &new.email)?.is_some();
            administration::ensure_admin(tx, &context, &new)?;
            Ok::<_, Error>(if known { EnsuredAdmin::Promoted } else { EnsuredAdmin::Created })
        };
        self.db.write(cx, work).await
    }

    /// Creates a one-time token with which `POST /api/auth/setup` creates the first administrator. It invalidates
    /// earlier ones. Refused with 409 `ADMIN_EXISTS` if there is an administrator.
    pub async fn setup_token(&self, cx: &Cx) -> Result<String, Error> {
        let token = cx.node.entropy.token();
        let hash = secrets::hash(&token);
        let work = move |tx: &mut promox_storage::Tx<'_>| {
            if queries::has_admin(tx, None)? {
                return Err(reject::has_admin());
            }
            messages::revoke_tokens(tx, Purpose::Setup, None)?;
            Ok(messages::store_token(tx, Purpose::Setup, None, &hash)?)
        };
        self.db.write(cx, work).await.map(|()| token)
    }

    /// The data of a new administrator's account, with the hash of its password.
    pub(crate) async fn new_admin(&self, cx: &Cx, email: Email, password: String) -> Result<NewAccount, Error> {
        let password_hash = self.passwords.hash(&cx.node.entropy, password).await?;
        Ok(NewAccount {
            email,
            password_hash,
            name: None,
            phone: None,
            locale: None,
            referral_code: cx.node.entropy.code(10),
            referred_by: None,
            ignore_plus_tags: false,
            roles: administration::ADMIN_ROLES,
        })
    }

    /// Creates, retires and removes signing keys as due, and loads the keys.
    pub(crate) async fn rotate_keys(&self, cx: &Cx) -> Result<(), Error> {
        let (seed, token_lifetime) = (cx.node.entropy.bytes::<32>(), self.tokens.lifetime());
        let keys = self.db.write(cx, move |tx| keys::rotate(tx, seed, token_lifetime)).await?;
        self.tokens.load(&keys)
    }

    /// Loads the keys from the table if `kid` is among them. Returns whether it is.
    pub(crate) async fn load_key(&self, kid: String) -> Result<bool, Error> {
        let keys = self.db.read(|tx| tx.get::<SigningKey>(&kid)?.map(|_| keys::all(tx)).transpose()).await?;
        let Some(keys) = keys else { return Ok(false) };
        self.tokens.load(&keys).map(|()| true)
    }
}
