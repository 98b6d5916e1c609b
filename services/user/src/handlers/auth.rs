//! Registration, login, token refresh, password reset.

use promox_contract::jwks::{Jwk, Jwks};
use promox_kernel::{Cx, Error, Handle};
use promox_storage::Tx;

use crate::api::{
    Accepted, ForgotPassword, GetJwks, LoggedIn, Login, Logout, LogoutAll, Refresh, Register, ResetPassword,
    SetUpAdmin, VerifyEmail,
};
use crate::commands::accounts;
use crate::commands::sessions::{self, Exchange};
use crate::commands::{administration, keys, messages};
use crate::login::{self, recheck_user, session_of};
use crate::records::{EndReason, Purpose};
use crate::rules::passwords;
use crate::rules::secrets::{self, RefreshToken};
use crate::{Users, queries, reject};

impl Handle<Register> for Users {
    async fn handle(&self, cx: &Cx, op: Register) -> Result<LoggedIn, Error> {
        let new = self.new_customer(cx, op).await?;
        self.log_in(cx, move |tx| accounts::create(tx, &new)).await
    }

    async fn check(&self, _: &Cx, op: Register) -> Result<(), Error> {
        login::registration(&op).map(drop)
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
        let keys = rows.into_iter().map(|key| Jwk::ed25519(key.kid, crate::tokens::base64url(&key.public_key)));
        Ok(Jwks { keys: keys.collect() })
    }
}
