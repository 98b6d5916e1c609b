//! Operations for other services and the HTTP layer: authentication, and data of users.

use promox_contract::user::{
    AccountIds, Authenticate, Authenticated, BirthdayPage, DescribeUsers, FindAccounts, KEY_PREFIX, ListBirthdays,
    UserDescriptions,
};
use promox_kernel::{Cx, Error, Handle, UserId};
use promox_storage::StoreError;

use crate::Users;
use crate::queries::{self, description};
use crate::records::User;

/// Maximum users that one request describes.
const MAX_DESCRIBED: usize = 1_000;

/// Maximum accounts that one request for birthdays examines.
const MAX_EXAMINED: usize = 2_000;

impl Handle<Authenticate> for Users {
    async fn handle(&self, cx: &Cx, op: Authenticate) -> Result<Authenticated, Error> {
        if op.token.starts_with(KEY_PREFIX) {
            return self.authenticate_key(cx, &op.token).await;
        }
        let token = self.verify(cx.now, &op.token).await?;
        let account = self.account(cx, token.user).await?;
        account.check_session(&token, cx.now, op.leaving)?;
        let (user, session, permissions) = (token.user, token.session, account.permissions.clone());
        Ok(Authenticated::User { user, session, permissions })
    }
}

impl Handle<DescribeUsers> for Users {
    async fn handle(&self, _: &Cx, op: DescribeUsers) -> Result<UserDescriptions, Error> {
        if op.ids.len() > MAX_DESCRIBED {
            return Err(Error::field("/ids", format!("must have at most {MAX_DESCRIBED} entries")));
        }
        let found = self.db.read(|tx| {
            let users = op.ids.iter().map(|id: &UserId| tx.get::<User>(id));
            users.collect::<Result<Vec<_>, StoreError>>()
        });
        let described = found.await?.into_iter().flatten().filter_map(description);
        Ok(UserDescriptions { items: described.collect() })
    }
}

impl Handle<FindAccounts> for Users {
    async fn handle(&self, _: &Cx, op: FindAccounts) -> Result<AccountIds, Error> {
        let ids = self.db.read(|tx| queries::accounts_of(tx, &op.emails, op.ignore_plus_tags)).await?;
        Ok(AccountIds { ids })
    }
}

impl Handle<ListBirthdays> for Users {
    async fn handle(&self, _: &Cx, op: ListBirthdays) -> Result<BirthdayPage, Error> {
        let first = op.after.map_or(1, |after| after.0.saturating_add(1));
        let examined = self.db.read(|tx| tx.scan::<User>().from(UserId(first)).collect(MAX_EXAMINED)).await?;
        let next = examined.last().filter(|_| examined.len() == MAX_EXAMINED).map(|user| user.id);
        let is_birthday =
            |user: &User| user.birth_date.as_ref().is_some_and(|date| op.days.iter().any(|day| date.ends_with(day)));
        Ok(BirthdayPage {
            user_ids: examined.iter().filter(|user| is_birthday(user)).map(|user| user.id).collect(),
            next,
        })
    }
}
