//! Logins: passwords and one-time tokens are checked, sessions opened.

use std::time::Duration;

use promox_contract::cart::MergeGuestCart;
use promox_contract::store::GetStoreProfile;
use promox_kernel::{Cx, Email, Error, Faults, Principal, UserId};
use promox_storage::Tx;

use crate::api::{LoggedIn, Register, Secret, UserStatus, UserView};
use crate::commands::accounts::{self, NewAccount};
use crate::commands::{messages, sessions};
use crate::records::{Purpose, Session, User};
use crate::rules::secrets::RefreshToken;
use crate::rules::{passwords, permissions, profile};
use crate::{Users, queries, reject};

/// How long a login waits until the guest's cart is merged.
const MERGE_LIMIT: Duration = Duration::from_secs(2);

/// The checked members of a registration.
pub(crate) struct Profile {
    name: Option<String>,
    phone: Option<String>,
    referred_by: Option<String>,
}

/// Checks the values of a registration.
pub(crate) fn registration(op: &Register) -> Result<Profile, Error> {
    let mut faults = Faults::default();
    let name = faults.optional("/name", op.name.as_deref(), profile::name);
    let phone = faults.optional("/phone", op.phone.as_deref(), profile::phone);
    let referred_by = faults.optional("/referralCode", op.referral_code.as_deref(), profile::referral_code);
    if let Err(fault) = passwords::check(&op.password.0, Some(&op.email), "/password") {
        faults.add(fault);
    }
    faults.finish().map(|()| Profile { name, phone, referred_by })
}

/// The caller's account and session, or 403 if the caller is no user.
pub(crate) fn session_of(cx: &Cx) -> Result<(UserId, i64), Error> {
    match cx.principal {
        Principal::User { id, session, .. } => Ok((id, session)),
        _ => Err(reject::no_account()),
    }
}

/// The current row of a user whose password was verified, if the password is still the same and the user may log in.
/// The row may have changed while the password was hashed.
pub(crate) fn recheck_user(tx: &Tx<'_>, checked: &User) -> Result<User, Error> {
    let user = queries::user(tx, checked.id)?;
    match user.status {
        UserStatus::Active if user.password_hash == checked.password_hash => Ok(user),
        UserStatus::Blocked => Err(reject::blocked()),
        UserStatus::Erasing if user.password_hash == checked.password_hash => Err(reject::erasing()),
        UserStatus::Active | UserStatus::Erasing | UserStatus::Erased => Err(reject::invalid_credentials()),
    }
}

impl Users {
    /// The account that a registration asks for.
    pub(crate) async fn new_customer(&self, cx: &Cx, op: Register) -> Result<NewAccount, Error> {
        let Profile { name, phone, referred_by } = registration(&op)?;
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
        Ok(NewAccount {
            email: op.email,
            password_hash,
            name,
            phone,
            locale: op.locale,
            referral_code,
            referred_by,
            ignore_plus_tags,
            roles: &[permissions::CUSTOMER],
        })
    }

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
    pub(crate) async fn check_token(&self, cx: &Cx, purpose: Purpose, hash: &[u8]) -> Result<(), Error> {
        self.guesses.token(cx).await?;
        self.db.read(|tx| messages::look_up(tx, purpose, hash)).await?;
        self.guesses.token_succeeded(cx).await;
        Ok(())
    }

    /// Opens a session for the user that `find` returns, in the same transaction, and then merges the guest's cart.
    pub(crate) async fn log_in<F>(&self, cx: &Cx, find: F) -> Result<LoggedIn, Error>
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
    pub(crate) async fn logged_in(
        &self,
        cx: &Cx,
        user: User,
        session: &Session,
        token: &RefreshToken,
    ) -> Result<LoggedIn, Error> {
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

    /// The view of a user for that user, with permissions.
    pub(crate) async fn view_for_self(&self, cx: &Cx, user: User) -> Result<UserView, Error> {
        let (id, all_permissions) = (user.id, self.all_permissions(cx).await?);
        let read = |tx: &Tx<'_>| {
            let view = queries::user_view(tx, user.clone())?;
            let allowed = queries::permissions_of_roles(tx, &queries::roles_of(tx, id)?, &all_permissions)?;
            Ok::<_, Error>(UserView { permissions: Some(allowed.into_iter().collect()), ..view })
        };
        self.db.read(read).await
    }
}
