//! Registration, login, token refresh, password reset.

use std::time::Duration;

use promox_contract::cart::MergeGuestCart;
use promox_contract::store::GetStoreProfile;
use promox_kernel::{Cx, Email, Error, Faults, Handle, Principal, UserId};
use promox_storage::Tx;

use crate::api::{
    Accepted, ForgotPassword, GetJwks, Jwk, Jwks, LoggedIn, Login, Logout, LogoutAll, Refresh, Register, ResetPassword,
    Secret, SetUpAdmin, UserStatus, VerifyEmail,
};
use crate::commands::accounts::{self, NewAccount};
use crate::commands::sessions::{self, Rotated};
use crate::commands::{administration, keys, messages};
use crate::records::{EndReason, Purpose, Session, User};
use crate::rules::secrets::{self, RefreshToken};
use crate::rules::{passwords, permissions, profile};
use crate::{Users, queries, reject};

/// How long a login waits for merging the guest's cart.
const MERGE_LIMIT: Duration = Duration::from_secs(2);

impl Handle<Register> for Users {
    async fn handle(&self, cx: &Cx, op: Register) -> Result<LoggedIn, Error> {
        let mut faults = Faults::default();
        let name = faults.optional("/name", op.name.as_deref(), profile::name);
        let phone = faults.optional("/phone", op.phone.as_deref(), profile::phone);
        let referred_by = faults.optional("/referralCode", op.referral_code.as_deref(), profile::referral_code);
        if let Err(fault) = passwords::check(&op.password.0, Some(&op.email), "/password") {
            faults.add(fault);
        }
        faults.finish()?;
        // Checked before the hashing, which is expensive; the transaction checks again.
        if self.db.read(|tx| queries::user_by_email(tx, &op.email)).await?.is_some() {
            return Err(reject::email_taken());
        }
        let ignore_plus_tags = match &referred_by {
            Some(code) => {
                self.db.read(|tx| accounts::referrer(tx, code)).await?;
                cx.call(GetStoreProfile {}).await?.ignore_plus_tags
            }
            None => false,
        };
        let password_hash = self.passwords.hash(&cx.node.entropy, op.password.0).await?;
        let referral_code = cx.node.entropy.code(10);
        let (email, roles) = (op.email, &[permissions::CUSTOMER]);
        let new = NewAccount { email, password_hash, name, phone, referral_code, referred_by, ignore_plus_tags, roles };
        self.open(cx, move |tx| accounts::create(tx, &new)).await
    }
}

impl Handle<Login> for Users {
    async fn handle(&self, cx: &Cx, op: Login) -> Result<LoggedIn, Error> {
        let user = self.check_password(cx, &op.email, op.password.0).await?.ok_or_else(reject::invalid_credentials)?;
        self.open(cx, move |tx| unchanged(tx, &user)).await
    }
}

impl Handle<Refresh> for Users {
    async fn handle(&self, cx: &Cx, op: Refresh) -> Result<LoggedIn, Error> {
        let presented = RefreshToken::parse(&op.refresh_token.0).ok_or_else(reject::invalid_refresh_token)?;
        let (new_key, life) = (cx.node.entropy.bytes::<32>(), self.refresh_lifetime());
        let rotated = self.db.write(cx, move |tx| sessions::rotate(tx, &presented, new_key, life)).await?;
        match rotated {
            Rotated::Fresh(exchanged) => {
                let (session, user, next) = *exchanged;
                self.logged_in(cx, user, &session, &next).await
            }
            Rotated::Reused(session) => {
                tracing::warn!(session, request = %cx.request_id, "a used refresh token was presented: its \
                     login has ended");
                Err(reject::reused_token())
            }
        }
    }
}

impl Handle<Logout> for Users {
    async fn handle(&self, cx: &Cx, _: Logout) -> Result<(), Error> {
        let (user, session) = login_of(cx)?;
        self.db.write(cx, move |tx| Ok(sessions::end_by_id(tx, user, session)?)).await
    }
}

impl Handle<LogoutAll> for Users {
    async fn handle(&self, cx: &Cx, _: LogoutAll) -> Result<(), Error> {
        let (id, _) = login_of(cx)?;
        let work = move |tx: &mut Tx<'_>| {
            let mut user = queries::user(tx, id)?;
            sessions::end_all(tx, &mut user, None, EndReason::LogoutAll)?;
            Ok::<_, Error>(tx.put(&user)?)
        };
        self.db.write(cx, work).await
    }
}

impl Handle<ForgotPassword> for Users {
    async fn handle(&self, cx: &Cx, op: ForgotPassword) -> Result<Accepted, Error> {
        // The same single row is written whether or not an account has the address; a job finds out later.
        if self.guesses.message(cx, &op.email).await {
            let work = move |tx: &mut Tx<'_>| Ok::<_, Error>(messages::request(tx, Purpose::PasswordReset, &op.email)?);
            self.db.write(cx, work).await?;
        }
        Ok(Accepted { message: "If an account has this address, a message has been sent to it.".to_owned() })
    }
}

impl Handle<ResetPassword> for Users {
    async fn handle(&self, cx: &Cx, op: ResetPassword) -> Result<(), Error> {
        let hash = secrets::hash(&op.token.0);
        passwords::check(&op.password.0, None, "/password").map_err(|fault| Error::invalid(vec![fault]))?;
        self.check_token(cx, Purpose::PasswordReset, &hash).await?;
        let password_hash = self.passwords.hash(&cx.node.entropy, op.password.0).await?;
        let work = move |tx: &mut Tx<'_>| {
            let token = messages::take(tx, Purpose::PasswordReset, &hash)?;
            let id = token.user.ok_or_else(reject::one_time_token_invalid)?;
            let mut user = accounts::set_password(tx, id, &password_hash, None, EndReason::PasswordReset)?;
            // Whoever has the token has read the message, so the address is theirs.
            user.email_verified_at = user.email_verified_at.or(Some(tx.now()));
            Ok::<_, Error>(tx.put(&user)?)
        };
        self.db.write(cx, work).await
    }
}

impl Handle<VerifyEmail> for Users {
    async fn handle(&self, cx: &Cx, op: VerifyEmail) -> Result<(), Error> {
        let hash = secrets::hash(&op.token.0);
        self.check_token(cx, Purpose::EmailVerification, &hash).await?;
        let work = move |tx: &mut Tx<'_>| {
            let token = messages::take(tx, Purpose::EmailVerification, &hash)?;
            let id = token.user.ok_or_else(reject::one_time_token_invalid)?;
            let mut user = accounts::touched(tx, queries::user(tx, id)?);
            messages::forget(tx, Purpose::EmailVerification, Some(id))?;
            user.email_verified_at = user.email_verified_at.or(Some(tx.now()));
            Ok::<_, Error>(tx.put(&user)?)
        };
        self.db.write(cx, work).await
    }
}

impl Handle<SetUpAdmin> for Users {
    async fn handle(&self, cx: &Cx, op: SetUpAdmin) -> Result<LoggedIn, Error> {
        let hash = secrets::hash(&op.token.0);
        passwords::check(&op.password.0, Some(&op.email), "/password").map_err(|fault| Error::invalid(vec![fault]))?;
        self.check_token(cx, Purpose::Setup, &hash).await?;
        let new = self.new_admin(cx, op.email, op.password.0).await?;
        let who = cx.clone();
        let work = move |tx: &mut Tx<'_>| {
            messages::take(tx, Purpose::Setup, &hash)?;
            if queries::has_admin(tx, None)? {
                return Err(reject::has_admin());
            }
            administration::ensure_admin(tx, &who, &new)
        };
        self.open(cx, work).await
    }
}

impl Handle<GetJwks> for Users {
    async fn handle(&self, _: &Cx, _: GetJwks) -> Result<Jwks, Error> {
        let mut rows = self.db.read(keys::all).await?;
        rows.sort_by_key(|key| std::cmp::Reverse(key.signs_from));
        let keys = rows.into_iter().map(|key| Jwk {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: crate::tokens::base64url(&key.public_key),
            kid: key.kid,
            alg: "EdDSA".to_owned(),
            usage: "sig".to_owned(),
        });
        Ok(Jwks { keys: keys.collect() })
    }
}

impl Users {
    /// The user with this address and password; `None` takes the same time whether the address is known or not.
    pub(crate) async fn check_password(&self, cx: &Cx, email: &Email, password: String) -> Result<Option<User>, Error> {
        let attempt = self.guesses.login(cx, email).await?;
        let user = self.db.read(|tx| queries::user_by_email(tx, email)).await?;
        let hash = user.as_ref().and_then(|user| user.password_hash.clone());
        match self.passwords.matches(password, hash).await {
            Ok(true) => {
                attempt.succeeded().await;
                Ok(user)
            }
            Ok(false) => Ok(None),
            Err(error) => {
                attempt.withdraw().await;
                Err(error)
            }
        }
    }

    /// Rejects an unknown token before anything expensive is done for it.
    async fn check_token(&self, cx: &Cx, purpose: Purpose, hash: &[u8]) -> Result<(), Error> {
        self.guesses.token(cx).await?;
        self.db.read(|tx| messages::look_up(tx, purpose, hash)).await?;
        self.guesses.token_succeeded(cx).await;
        Ok(())
    }

    /// Opens a login for the user that `find` finds or creates, in one transaction, and merges the guest's cart.
    async fn open<F>(&self, cx: &Cx, find: F) -> Result<LoggedIn, Error>
    where
        F: Fn(&mut Tx<'_>) -> Result<User, Error> + Send + 'static,
    {
        let (token, life) = (RefreshToken::first(&cx.node.entropy), self.refresh_lifetime());
        let first = token.clone();
        let work = move |tx: &mut Tx<'_>| {
            let user = find(tx)?;
            let session = sessions::open(tx, user.id, &first, life)?;
            Ok::<_, Error>((user, session))
        };
        let (user, session) = self.db.write(cx, work).await?;
        self.merge_cart(cx, user.id).await;
        self.logged_in(cx, user, &session, &token).await
    }

    /// Merges the guest's cart into the user's. A failure must not prevent the login.
    async fn merge_cart(&self, cx: &Cx, user_id: UserId) {
        let Some(token) = &cx.cart_token else { return };
        let merge = MergeGuestCart { cart_token: token.as_ref().to_owned(), user_id };
        match tokio::time::timeout(MERGE_LIMIT, cx.elevated().call(merge)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%user_id, %error, "a guest's cart was not merged"),
            Err(_) => tracing::warn!(%user_id, "a guest's cart was not merged in time"),
        }
    }

    async fn logged_in(&self, cx: &Cx, user: User, session: &Session, token: &RefreshToken) -> Result<LoggedIn, Error> {
        let access_token = self.access_token(cx, &user, session).await?;
        Ok(LoggedIn {
            user: self.own_view(cx, user).await?,
            access_token: Secret(access_token),
            refresh_token: Secret(token.text()),
            expires_in: self.tokens.lifetime().as_secs(),
        })
    }

    async fn access_token(&self, cx: &Cx, user: &User, session: &Session) -> Result<String, Error> {
        let issue = || self.tokens.issue(cx.now, user.id, session.id, user.session_version);
        if let Some(token) = issue()? {
            return Ok(token);
        }
        self.rotate_keys(cx).await?;
        issue()?.ok_or_else(|| Error::internal("no signing key"))
    }
}

/// The caller's account and login.
pub(super) fn login_of(cx: &Cx) -> Result<(UserId, i64), Error> {
    match cx.principal {
        Principal::User { id, session, .. } => Ok((id, session)),
        _ => Err(reject::no_account()),
    }
}

/// The user whose password was right, if that still holds and the user may log in: hashing takes time.
pub(super) fn unchanged(tx: &Tx<'_>, checked: &User) -> Result<User, Error> {
    let user = queries::user(tx, checked.id)?;
    match user.status {
        UserStatus::Active if user.password_hash == checked.password_hash => Ok(user),
        UserStatus::Blocked => Err(reject::blocked()),
        UserStatus::Erasing if user.password_hash == checked.password_hash => Err(reject::erasing()),
        UserStatus::Active | UserStatus::Erasing | UserStatus::Erased => Err(reject::invalid_credentials()),
    }
}
