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
use crate::commands::sessions::{self, Exchange};
use crate::commands::{administration, keys, messages};
use crate::records::{EndReason, Purpose, Session, User};
use crate::rules::secrets::{self, RefreshToken};
use crate::rules::{passwords, permissions, profile};
use crate::{Users, queries, reject};

/// How long a login waits until the guest's cart is merged.
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
        // Checked before the expensive hashing. The transaction checks it again.
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
        self.log_in(cx, move |tx| accounts::create(tx, &new)).await
    }
}

impl Handle<Login> for Users {
    async fn handle(&self, cx: &Cx, op: Login) -> Result<LoggedIn, Error> {
        let user = self.check_password(cx, &op.email, op.password.0).await?.ok_or_else(reject::invalid_credentials)?;
        self.log_in(cx, move |tx| recheck_user(tx, &user)).await
    }
}

impl Handle<Refresh> for Users {
    async fn handle(&self, cx: &Cx, op: Refresh) -> Result<LoggedIn, Error> {
        let presented = RefreshToken::parse(&op.refresh_token.0).ok_or_else(reject::invalid_refresh_token)?;
        let (new_key, lifetime) = (cx.node.entropy.bytes::<32>(), self.refresh_lifetime());
        let exchange = self.db.write(cx, move |tx| sessions::rotate(tx, &presented, new_key, lifetime)).await?;
        match exchange {
            Exchange::Fresh(exchanged) => {
                let (session, user, next) = *exchanged;
                self.logged_in(cx, user, &session, &next).await
            }
            Exchange::Reused(session) => {
                tracing::warn!(session, request = %cx.request_id, "a used refresh token was presented, so its \
                     session was ended");
                Err(reject::reused_token())
            }
        }
    }
}

impl Handle<Logout> for Users {
    async fn handle(&self, cx: &Cx, _: Logout) -> Result<(), Error> {
        let (user, session) = session_of(cx)?;
        self.db.write(cx, move |tx| Ok(sessions::log_out(tx, user, session)?)).await
    }
}

impl Handle<LogoutAll> for Users {
    async fn handle(&self, cx: &Cx, _: LogoutAll) -> Result<(), Error> {
        let (id, _) = session_of(cx)?;
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
        // The same row is written whether or not an account has the address. A job looks for the account later.
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
            let token = messages::redeem(tx, Purpose::PasswordReset, &hash)?;
            let id = token.user.ok_or_else(reject::one_time_token_invalid)?;
            let mut user = accounts::set_password(tx, id, &password_hash, None, EndReason::PasswordReset)?;
            // The token was sent to the address, so the user owns it.
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
            let token = messages::redeem(tx, Purpose::EmailVerification, &hash)?;
            let id = token.user.ok_or_else(reject::one_time_token_invalid)?;
            let mut user = accounts::with_new_version(tx, queries::user(tx, id)?);
            messages::revoke_tokens(tx, Purpose::EmailVerification, Some(id))?;
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
        let context = cx.clone();
        let work = move |tx: &mut Tx<'_>| {
            messages::redeem(tx, Purpose::Setup, &hash)?;
            if queries::has_admin(tx, None)? {
                return Err(reject::has_admin());
            }
            administration::ensure_admin(tx, &context, &new)
        };
        self.log_in(cx, work).await
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
    /// The user with this address and password, or `None` if either is wrong. It takes the same time whether or not the
    /// address is known. Attempts are throttled.
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

    /// Rejects an unknown token before anything expensive is done for the request. Attempts are throttled.
    async fn check_token(&self, cx: &Cx, purpose: Purpose, hash: &[u8]) -> Result<(), Error> {
        self.guesses.token(cx).await?;
        self.db.read(|tx| messages::look_up(tx, purpose, hash)).await?;
        self.guesses.token_succeeded(cx).await;
        Ok(())
    }

    /// Opens a session for the user that `find` returns, in the same transaction, and then merges the guest's cart.
    async fn log_in<F>(&self, cx: &Cx, find: F) -> Result<LoggedIn, Error>
    where
        F: Fn(&mut Tx<'_>) -> Result<User, Error> + Send + 'static,
    {
        let (token, lifetime) = (RefreshToken::first(&cx.node.entropy), self.refresh_lifetime());
        let first = token.clone();
        let work = move |tx: &mut Tx<'_>| {
            let user = find(tx)?;
            let session = sessions::open(tx, user.id, &first, lifetime)?;
            Ok::<_, Error>((user, session))
        };
        let (user, session) = self.db.write(cx, work).await?;
        self.merge_cart(cx, user.id).await;
        self.logged_in(cx, user, &session, &token).await
    }

    /// Merges the guest's cart into the user's. A failure is only logged, because it must not prevent the login.
    async fn merge_cart(&self, cx: &Cx, user_id: UserId) {
        let Some(token) = &cx.cart_token else { return };
        let merge = MergeGuestCart { cart_token: token.as_ref().to_owned(), user_id };
        match tokio::time::timeout(MERGE_LIMIT, cx.elevated().call(merge)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%user_id, %error, "a guest's cart was not merged"),
            Err(_) => tracing::warn!(%user_id, "a guest's cart was not merged in time"),
        }
    }

    /// The reply to a login or refresh.
    async fn logged_in(&self, cx: &Cx, user: User, session: &Session, token: &RefreshToken) -> Result<LoggedIn, Error> {
        let access_token = self.access_token(cx, &user, session).await?;
        Ok(LoggedIn {
            user: self.view_for_self(cx, user).await?,
            access_token: Secret(access_token),
            refresh_token: Secret(token.text()),
            expires_in: self.tokens.lifetime().as_secs(),
        })
    }

    /// Issues an access token, and creates a signing key first if there is none.
    async fn access_token(&self, cx: &Cx, user: &User, session: &Session) -> Result<String, Error> {
        let issue = || self.tokens.issue(cx.now, user.id, session.id, user.session_version);
        if let Some(token) = issue()? {
            return Ok(token);
        }
        self.rotate_keys(cx).await?;
        issue()?.ok_or_else(|| Error::internal("no signing key"))
    }
}

/// The caller's account and session, or 403 if the caller is no user.
pub(super) fn session_of(cx: &Cx) -> Result<(UserId, i64), Error> {
    match cx.principal {
        Principal::User { id, session, .. } => Ok((id, session)),
        _ => Err(reject::no_account()),
    }
}

/// The current row of a user whose password was verified, if the password is still the same and the user may log in.
/// The row may have changed while the password was hashed.
pub(super) fn recheck_user(tx: &Tx<'_>, checked: &User) -> Result<User, Error> {
    let user = queries::user(tx, checked.id)?;
    match user.status {
        UserStatus::Active if user.password_hash == checked.password_hash => Ok(user),
        UserStatus::Blocked => Err(reject::blocked()),
        UserStatus::Erasing if user.password_hash == checked.password_hash => Err(reject::erasing()),
        UserStatus::Active | UserStatus::Erasing | UserStatus::Erased => Err(reject::invalid_credentials()),
    }
}
